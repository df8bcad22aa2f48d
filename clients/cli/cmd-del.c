/* SPDX-License-Identifier: Apache-2.0 */
/* cmd-del.c: delete entries, here or at all brokers. */
#include <inttypes.h>

#include "clients/cli/command.h"
#include "clients/cli/each.h"
#include "clients/cli/options.h"

static int del_key(struct cli *cli, struct each *each, const struct key *key)
{
	(void)each;
	return shmc_delete(cli->cache, key->bytes, key->size, SHMC_TIMEOUT_DEFAULT);
}

static void del_print(
	const struct cli *cli, const struct each *each, const struct key *key, bool hit)
{
	(void)each;
	if (cli->json)
		json_print(each_to_json(key, "deleted", hit));
	else if (!hit)
		cli_result(cli, SHMC_MISS, "delete", key->bytes, key->size);
}

static int del_cluster_key(struct cli *cli, struct each *each, const struct key *key)
{
	return shmc_delete_cluster(cli->cache, key->bytes, key->size, &each->n_told,
		&each->n_untold, SHMC_TIMEOUT_DEFAULT);
}

/* Who could not be told may go on to serve it: that is said, and is no failure of the rest. */
static void del_cluster_print(
	const struct cli *cli, const struct each *each, const struct key *key, bool hit)
{
	struct json_object *object;

	if (each->n_untold)
		cli_say(cli, "%" PRIu64 " of %" PRIu64 " other brokers could not be told",
			each->n_untold, each->n_told + each->n_untold);
	if (!cli->json) {
		del_print(cli, each, key, hit);
		return;
	}
	object = each_to_json(key, "deleted", hit);
	json_add_uint(object, "told", each->n_told);
	json_add_uint(object, "untold", each->n_untold);
	json_print(object);
}

static const struct option del_longs[] = {
	{ "cluster", no_argument, NULL, OPTIONS_OWN },
	{ NULL, 0, NULL, 0 },
};

static enum cli_exit del_run(struct cli *cli, int argc, char **argv)
{
	struct each each = { .doing = "delete", .fn = del_key, .print = del_print };
	enum cli_exit status;
	struct options o;
	int c;

	options_begin(&o, cli, argc, argv, "", del_longs, false);
	while ((c = options_next(&o)) >= 0) {
		each.fn = del_cluster_key;
		each.print = del_cluster_print;
	}
	if (c == OPTIONS_STOP)
		return o.status;
	status = options_operands(&o, 1, -1);
	return status ? status : each_key(cli, argc, argv, &each);
}

const struct command command_del = {
	.name = "del",
	.summary = "delete entries",
	.usage = "KEY... [--cluster]",
	.help = "      --cluster        at all brokers that this one knows, too\n"
		"\n"
		"Exits with 1 if any of them was not there; the others are deleted all the same.\n"
		"Whoever is reading a value keeps it until they are done. How many other brokers\n"
		"were told, and how many could not be and may go on to serve it, stands in the\n"
		"members \"told\" and \"untold\" with --json.\n"
		"\n"
		"Examples:\n"
		"  shmcache del motd src.tar\n"
		"  shmcache keys tmp/ --hex | xargs shmcache del -x\n"
		"  shmcache --json del --cluster motd | jq .untold\n",
	.run = del_run,
};
