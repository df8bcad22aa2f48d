/* SPDX-License-Identifier: Apache-2.0 */
/* cmd-exists.c: tell whether entries are there. */
#include <stdio.h>

#include "clients/cli/command.h"
#include "clients/cli/each.h"
#include "clients/cli/options.h"
#include "clients/cli/text.h"

static int exists_key(struct cli *cli, struct each *each, const struct key *key)
{
	(void)each;
	return shmc_exists(cli->cache, key->bytes, key->size);
}

static void exists_print(
	const struct cli *cli, const struct each *each, const struct key *key, bool hit)
{
	(void)each;
	if (cli->json) {
		json_print(each_to_json(key, "exists", hit));
	} else if (!cli->quiet) {
		fputs(hit ? "yes " : "no  ", stdout);
		text_print_escaped(stdout, key->bytes, key->size);
		putchar('\n');
	}
}

static enum cli_exit exists_run(struct cli *cli, int argc, char **argv)
{
	struct each each = { .doing = "look up", .fn = exists_key, .print = exists_print };
	enum cli_exit status;

	if (!options_only_operands(cli, argc, argv, 1, -1, &status))
		return status;
	return each_key(cli, argc, argv, &each);
}

const struct command command_exists = {
	.name = "exists",
	.summary = "tell whether entries are there",
	.usage = "KEY...",
	.help = "Prints a line for each, unless --quiet. Exits with 1 if any is not there. Does not\n"
		"count as a use of the entry.\n"
		"\n"
		"Examples:\n"
		"  shmcache exists motd src.tar\n"
		"  shmcache exists -q motd && echo cached\n",
	.run = exists_run,
};
