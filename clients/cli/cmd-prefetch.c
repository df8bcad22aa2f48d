/* SPDX-License-Identifier: Apache-2.0 */
/* cmd-prefetch.c: have the broker get entries from other brokers. */
#include "clients/cli/command.h"
#include "clients/cli/each.h"
#include "clients/cli/fetch.h"
#include "clients/cli/options.h"

/* Waits, since the broker gives up what a process that is gone has asked for. */
static int prefetch_key(struct cli *cli, struct each *each, const struct key *key)
{
	struct shmc_request request = { .operation = SHMC_OP_PREFETCH, .key = key->bytes,
		.key_size = key->size, .fetch = each->fetch };
	int r = shmc_execute(cli->cache, &request, 1, SHMC_TIMEOUT_DEFAULT);

	if (!r)
		r = request.result;
	if (r == SHMC_MISS)
		fetch_say_miss(cli, key, request.why);
	return r;
}

static void prefetch_print(
	const struct cli *cli, const struct each *each, const struct key *key, bool hit)
{
	(void)each;
	if (cli->json)
		json_print(each_to_json(key, "here", hit));
}

static const struct option prefetch_longs[] = {
	{ "write-back", required_argument, NULL, OPTIONS_OWN },
	{ NULL, 0, NULL, 0 },
};

static enum cli_exit prefetch_run(struct cli *cli, int argc, char **argv)
{
	struct each each = { .doing = "prefetch", .fn = prefetch_key, .print = prefetch_print };
	enum cli_exit status = CLI_OK;
	struct options o;
	int c;

	options_begin(&o, cli, argc, argv, "", prefetch_longs, false);
	while (!status && (c = options_next(&o)) >= 0)
		status = fetch_parse_policy(cli, optarg, &each.fetch);
	if (status)
		return status;
	if (c == OPTIONS_STOP)
		return o.status;
	status = options_operands(&o, 1, -1);
	return status ? status : each_key(cli, argc, argv, &each);
}

const struct command command_prefetch = {
	.name = "prefetch",
	.summary = "have the broker get entries from other brokers",
	.usage = "KEY... [--write-back POLICY]",
	.help = "      --write-back POLICY  which of them are kept: always, all-found,\n"
		"                       contiguous-prefix, second-hit, free-space or off\n"
		"\n"
		"Exits with 1 if any of them is not here then.\n"
		"\n"
		"Examples:\n"
		"  shmcache prefetch chunk/1 chunk/2 && use-them\n",
	.run = prefetch_run,
};
