/* SPDX-License-Identifier: Apache-2.0 */
/* cli.h: what all commands of the command line share. */
#ifndef CLIENTS_CLI_CLI_H
#define CLIENTS_CLI_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "clients/shmcache.h"

/* What the process exits with. Scripts rely on it: see shmcache(1). */
enum cli_exit {
	CLI_OK = 0,
	CLI_MISS = 1,	 /* no such entry, or --if-absent and it was there */
	CLI_USAGE = 2,	 /* the command line is wrong */
	CLI_ATTACH = 3,	 /* no broker to talk to */
	CLI_REFUSED = 4, /* not for this role, or no quota or space for it */
	CLI_ERROR = 5,	 /* anything else: a timeout, a file, a full pipe */
};

struct command;

/* One run of the program; main() owns it. Single-threaded but for bench's workers. */
struct cli {
	const char *name; /* of the cache */
	int timeout_ms;	  /* as in struct shmc_attach_options */
	bool json;
	bool quiet;   /* no word on a miss, no progress */
	bool key_hex; /* keys on the command line are in hexadecimal */
	const struct command *command;
	struct shmc *cache; /* NULL before cli_attach() */
};

/*
 * Attach to cli->name. CLI_OK, or the exit status, after saying on stderr why not. Commands
 * call it once they have read their arguments, so that a mistake in these is told without a
 * broker.
 */
enum cli_exit cli_attach(struct cli *cli);

/* A line on stderr, with the program's and the command's name before it. */
__attribute__((format(printf, 2, 3)))
void cli_say(const struct cli *cli, const char *fmt, ...);

/* The same for a wrong command line, with a hint at --help. Returns CLI_USAGE. */
__attribute__((format(printf, 2, 3)))
enum cli_exit cli_usage(const struct cli *cli, const char *fmt, ...);

/*
 * What a result of the library, or a negative errno of our own, means for the exit status.
 * Says nothing.
 */
enum cli_exit cli_exit_of(int result);

/*
 * Send the broker a command without attaching; options->why is a buffer. Says what went wrong, but
 * for SHMC_FAILED, which the sentences told have said.
 */
enum cli_exit cli_control(
	const struct cli *cli, enum shmc_command command, const struct shmc_control_options *options);

/* The second half of it: @why is what the library wrote there. */
enum cli_exit cli_control_result(const struct cli *cli, int result, const char *why);

/*
 * Say on stderr what became of a key (escaped; NULL: of no key in particular) and return
 * the exit status. Silent for 0, and with --quiet for CLI_MISS.
 */
enum cli_exit cli_result(
	const struct cli *cli, int result, const char *doing, const void *key, size_t key_size);

#endif
