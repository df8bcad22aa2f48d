/* SPDX-License-Identifier: Apache-2.0 */
/* options.h: getopt_long with the common options mixed in. */
#ifndef CLIENTS_CLI_OPTIONS_H
#define CLIENTS_CLI_OPTIONS_H

#include <getopt.h>

#include "clients/cli/cli.h"

#define OPTIONS_MAX 24

/* What options_next() returns besides an option's val. */
enum {
	OPTIONS_END = -1,  /* argv[optind ...] are the operands */
	OPTIONS_STOP = -2, /* end the run with `status`: help was asked for, or something is wrong */
};

/* The first value that a command may give to an option without a short name. */
#define OPTIONS_OWN 0x100

struct options {
	struct cli *cli;
	int argc;
	char **argv;
	bool in_order; /* stop at the first operand */
	enum cli_exit status;
	char shorts[64];
	struct option longs[OPTIONS_MAX];
};

/*
 * Begin on argv[1 ...]. @shorts and @longs (ends with a zeroed entry, NULL: none) are the
 * command's own, as getopt_long takes them. Without @in_order argv is permuted so that
 * operands come last.
 */
void options_begin(struct options *o, struct cli *cli, int argc, char **argv, const char *shorts,
	const struct option *longs, bool in_order);

/*
 * The next of the command's own options, with optarg; the common ones are put into the
 * struct cli on the way. OPTIONS_END or OPTIONS_STOP at the end. Uses getopt's globals: one
 * at a time.
 */
int options_next(struct options *o);

/*
 * To be called at OPTIONS_END: there are @min to @max operands (@max -1: any number), or
 * say what is missing or too many.
 */
enum cli_exit options_operands(const struct options *o, int min, int max);

/*
 * All of the above for a command without options of its own. False: the run ends with *status, and
 * that is no error where help was asked for.
 */
bool options_only_operands(
	struct cli *cli, int argc, char **argv, int min, int max, enum cli_exit *status);

/* An option's argument as a time, a size, a number up to @max. Say what is wrong, and CLI_USAGE. */
enum cli_exit options_duration(const struct cli *cli, const char *option, uint64_t *ms);
enum cli_exit options_size(const struct cli *cli, const char *option, uint64_t *size);
enum cli_exit options_number(
	const struct cli *cli, const char *option, uint64_t max, uint64_t *number);

#endif
