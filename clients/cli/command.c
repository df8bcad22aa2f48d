/* SPDX-License-Identifier: Apache-2.0 */
/*
 * command.c: the table of commands, its help, and the guess at a mistyped name.
 *
 * A guess is only offered, never run: what `shmcache fulsh` meant may be the one command
 * that can't be taken back.
 */
#include "clients/cli/command.h"

#include <stdio.h>
#include <string.h>

#include "clients/cli/text.h"

const struct command *const command_table[] = {
	&command_put,
	&command_get,
	&command_prefetch,
	&command_del,
	&command_exists,
	&command_stat,
	&command_keys,
	&command_touch,
	&command_pin,
	&command_flush,
	&command_usage,
	&command_stats,
	&command_peers,
	&command_events,
	&command_ping,
	&command_bench,
	&command_reload,
	&command_drain,
	&command_pki,
	NULL,
};

const struct command *command_find(const char *name)
{
	for (size_t i = 0; command_table[i]; i++)
		if (!strcmp(command_table[i]->name, name))
			return command_table[i];
	return NULL;
}

const struct command *command_nearest(const char *name)
{
	const struct command *best = NULL;
	size_t best_distance = 0;

	for (size_t i = 0; command_table[i]; i++) {
		const struct command *command = command_table[i];
		size_t distance = text_distance(name, command->name);

		/* More letters wrong than right is no mistyped name. */
		if (distance > 2 || distance * 2 > strlen(command->name))
			continue;
		if (!best || distance < best_distance) {
			best = command;
			best_distance = distance;
		}
	}
	return best;
}

void command_print_list(void)
{
	puts("usage: shmcache [-n NAME] [OPTION...] COMMAND [ARGUMENT...]\n"
	     "\n"
	     "Talk to a shared-memory cache on this host.\n"
	     "\n"
	     "Commands:");
	for (size_t i = 0; command_table[i]; i++)
		printf("  %-8s %s\n", command_table[i]->name, command_table[i]->summary);
	puts("\n"
	     "Options, before or behind the command:\n"
	     "  -n, --name NAME      the cache (default $SHMCACHE_NAME, else 'shmcache')\n"
	     "  -x, --key-hex        keys and prefixes are given in hexadecimal\n"
	     "  -j, --json           print JSON\n"
	     "  -q, --quiet          say nothing on a miss, show no progress\n"
	     "      --timeout TIME   wait at most so long for the broker (default 5s; or 'never')\n"
	     "  -h, --help           this text, or a command's own\n"
	     "      --version        print the version\n"
	     "\n"
	     "Times are given as 500ms, 5s, 10m, 2h or 1d, sizes as 4096, 4KiB, 8MiB or 1GiB.\n"
	     "\n"
	     "Exit status:\n"
	     "  0  done              3  no broker could be attached to\n"
	     "  1  not there (or,    4  refused: role, quota or space\n"
	     "     --if-absent, is)  5  anything else: a timeout, a file, a pipe\n"
	     "  2  wrong usage\n"
	     "\n"
	     "Examples:\n"
	     "  shmcache put model.cfg ./model.cfg --ttl 1h\n"
	     "  shmcache get model.cfg > copy.cfg\n"
	     "  shmcache -n kv0 usage --json");
}

void command_print_help(const struct command *command)
{
	printf("usage: shmcache [OPTION...] %s%s%s\n\n%s\n\n%s", command->name,
		command->usage[0] ? " " : "", command->usage, command->summary, command->help);
	puts("\nThe common options (--name, --json, --timeout, ...) are in 'shmcache --help'.");
}
