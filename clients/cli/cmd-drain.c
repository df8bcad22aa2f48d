/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd-drain.c: stop the broker when nobody holds anything any more.
 *
 * Returns when its process is gone, so that what comes after it in a script finds the name free. To
 * interrupt it gives up the waiting here, not the drain: asking again, with another limit or none,
 * is how to change one's mind, and SIGTERM how to end it now.
 */
#include <stdio.h>

#include "clients/cli/command.h"
#include "clients/cli/key.h"
#include "clients/cli/options.h"

enum { OPT_WITHIN = OPTIONS_OWN };

static const struct option drain_longs[] = {
	{ "within", required_argument, NULL, OPT_WITHIN },
	{ NULL, 0, NULL, 0 },
};

static void drain_told(void *context, const char *sentence)
{
	const struct cli *cli = context;

	if (!cli->quiet)
		cli_say(cli, "%s", sentence);
}

static enum cli_exit drain_run(struct cli *cli, int argc, char **argv)
{
	char why[256] = "";
	struct shmc_control_options options = {
		.timeout_ms = SHMC_TIMEOUT_NEVER,
		.told = drain_told,
		.context = cli,
		.why = why,
		.why_size = sizeof(why),
	};
	enum cli_exit status = CLI_OK;
	uint64_t within_ms = 0;
	struct options o;
	int c;

	options_begin(&o, cli, argc, argv, "", drain_longs, false);
	while (!status && (c = options_next(&o)) >= 0)
		status = options_duration(cli, "--within", &within_ms);
	if (!status && c == OPTIONS_STOP)
		return o.status;
	if (!status && within_ms > UINT32_MAX)
		status = cli_usage(cli, "--within is longer than a broker can wait");
	if (!status)
		status = options_operands(&o, 0, 0);
	options.within_ms = (uint32_t)within_ms;
	return status ? status : cli_control(cli, SHMC_DRAIN, &options);
}

const struct command command_drain = {
	.name = "drain",
	.summary = "stop the broker when nothing is held any more",
	.usage = "[--within TIME]",
	.help = "      --within TIME    stop after this time, whatever is held then\n"
		"\n"
		"New sessions are refused at once, those that there are go on. When no process holds a\n"
		"view or an open reservation, the broker stops as after SIGTERM. Returns when it has:\n"
		"with 0, or with 4 when the time was over and something was held. For the broker's own\n"
		"user, and root.\n"
		"\n"
		"Example:\n"
		"  shmcache -n kv0 drain --within 30s\n",
	.run = drain_run,
};
