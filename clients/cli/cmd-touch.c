/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd-touch.c: give an entry a new time to live.
 *
 * The time has to be said: the library sets it with every touch, so a default would turn an
 * entry that never expires into one that does, or the other way round.
 */
#include <stdio.h>

#include "clients/cli/command.h"
#include "clients/cli/key.h"
#include "clients/cli/options.h"

enum { OPT_TTL = OPTIONS_OWN };

static const struct option touch_longs[] = {
	{ "ttl", required_argument, NULL, OPT_TTL },
	{ NULL, 0, NULL, 0 },
};

static enum cli_exit touch_key(struct cli *cli, const struct key *key, uint64_t ttl_ms)
{
	int r = shmc_touch(cli->cache, key->bytes, key->size, ttl_ms, SHMC_TIMEOUT_DEFAULT);

	return cli_result(cli, r, "touch", key->bytes, key->size);
}

static enum cli_exit touch_run(struct cli *cli, int argc, char **argv)
{
	enum cli_exit status = CLI_OK;
	bool has_ttl = false;
	uint64_t ttl_ms = 0;
	struct options o;
	struct key key;
	int c;

	options_begin(&o, cli, argc, argv, "", touch_longs, false);
	while (!status && (c = options_next(&o)) >= 0) {
		status = options_duration(cli, "--ttl", &ttl_ms);
		has_ttl = true;
	}
	if (c == OPTIONS_STOP)
		return o.status;
	if (!status)
		status = options_operands(&o, 1, 1);
	if (!status && !has_ttl)
		status = cli_usage(cli, "--ttl is missing; 0 lets the entry live for ever");
	if (!status)
		status = key_parse(cli, argv[optind], &key);
	if (!status)
		status = cli_attach(cli);
	return status ? status : touch_key(cli, &key, ttl_ms);
}

const struct command command_touch = {
	.name = "touch",
	.summary = "set an entry's time to live, and count as a use of it",
	.usage = "KEY --ttl TIME",
	.help = "      --ttl TIME       from now; 0: the entry does not expire\n"
		"\n"
		"Example:\n"
		"  shmcache touch session-17 --ttl 30m\n",
	.run = touch_run,
};
