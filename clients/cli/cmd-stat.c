/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd-stat.c: what is known of one entry.
 *
 * Read from the index alone: the value is not touched, and the broker is not asked.
 */
#include <inttypes.h>
#include <stdio.h>

#include "clients/cli/command.h"
#include "clients/cli/key.h"
#include "clients/cli/options.h"
#include "clients/cli/text.h"
#include "clients/cli/units.h"

static void stat_print(const struct shmc_entry *entry)
{
	char text[UNITS_TEXT_SIZE];

	fputs("key       ", stdout);
	text_print_escaped(stdout, entry->key, entry->key_size);
	printf("\nkey size  %zu B\n", entry->key_size);
	printf("value     %zu B", entry->value_size);
	if (entry->value_size >= 1024)
		printf(" (%s)", units_size_format(text, entry->value_size));
	printf("\ntier      %s\n", key_tier_name(entry->tier));
	printf("expires   %s%s\n", entry->ttl_ms ? "in " : "never",
		entry->ttl_ms ? units_duration_format(text, entry->ttl_ms) : "");
	printf("priority  %u\n", entry->priority);
	if (entry->group)
		printf("group     0x%" PRIx64 ", position %" PRIu32 "\n", entry->group,
			entry->position);
}

static enum cli_exit stat_key(struct cli *cli, const struct key *key)
{
	struct shmc_entry entry;
	enum cli_exit status;
	int r = shmc_stat(cli->cache, key->bytes, key->size, &entry);

	status = cli_result(cli, r, "look up", key->bytes, key->size);
	if (status)
		return status;
	if (cli->json)
		json_print(json_new_entry(&entry));
	else
		stat_print(&entry);
	return CLI_OK;
}

static enum cli_exit stat_run(struct cli *cli, int argc, char **argv)
{
	enum cli_exit status;
	struct key key;

	if (!options_only_operands(cli, argc, argv, 1, 1, &status))
		return status;
	status = key_parse(cli, argv[optind], &key);
	if (!status)
		status = cli_attach(cli);
	return status ? status : stat_key(cli, &key);
}

const struct command command_stat = {
	.name = "stat",
	.summary = "show an entry's size, tier, expiry and hints",
	.usage = "KEY",
	.help = "In JSON, ttl_ms is what is left in milliseconds, and 0 says that it never expires.\n"
		"\n"
		"Examples:\n"
		"  shmcache stat src.tar\n"
		"  shmcache stat src.tar --json\n",
	.run = stat_run,
};
