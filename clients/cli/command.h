/* SPDX-License-Identifier: Apache-2.0 */
/* command.h: the table of commands. */
#ifndef CLIENTS_CLI_COMMAND_H
#define CLIENTS_CLI_COMMAND_H

#include "clients/cli/cli.h"

/* A command is one file cmd-NAME.c that defines one of these. All strings are static. */
struct command {
	const char *name;
	const char *summary; /* one line, for the list */
	const char *usage;   /* what follows the name */
	const char *help;    /* options and examples, whole lines */
	/*
	 * argv[0] is the command's name. Attaches when it is ready to, leaves detaching and
	 * flushing stdout to main().
	 */
	enum cli_exit (*run)(struct cli *cli, int argc, char **argv);
};

/* In the order of the list, ends with NULL. */
extern const struct command *const command_table[];

/* NULL if there is none of that name. */
const struct command *command_find(const char *name);

/* The command whose name is most like @name, or NULL if none is near. */
const struct command *command_nearest(const char *name);

void command_print_list(void);
void command_print_help(const struct command *command);

extern const struct command command_put, command_get, command_del, command_exists, command_stat,
	command_events, command_keys, command_touch, command_pin, command_flush, command_usage, command_stats,
	command_ping, command_bench, command_reload, command_drain, command_pki,
	command_prefetch, command_peers;

#endif
