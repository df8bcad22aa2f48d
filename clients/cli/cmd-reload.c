/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd-reload.c: have the broker read its configuration again, and say what came of it.
 *
 * What SIGHUP can't do: whoever sends a signal learns nothing. Here a service manager gets an exit
 * status, and a person the keys that changed, those that wait for a restart, or what is wrong with
 * the file, in which case nothing has changed.
 */
#include <stdio.h>

#include "clients/cli/command.h"
#include "clients/cli/key.h"
#include "clients/cli/options.h"

static void reload_told(void *context, const char *sentence)
{
	const struct cli *cli = context;

	if (!cli->quiet)
		printf("%s\n", sentence);
}

static enum cli_exit reload_run(struct cli *cli, int argc, char **argv)
{
	char why[256] = "";
	struct shmc_control_options options = {
		.timeout_ms = cli->timeout_ms,
		.told = reload_told,
		.context = cli,
		.why = why,
		.why_size = sizeof(why),
	};
	enum cli_exit status;

	if (!options_only_operands(cli, argc, argv, 0, 0, &status))
		return status;
	return cli_control(cli, SHMC_RELOAD, &options);
}

const struct command command_reload = {
	.name = "reload",
	.summary = "have the broker read its configuration again",
	.usage = "",
	.help = "Prints each key that changed, and each that needs a restart. A configuration with an\n"
		"error changes nothing: what is wrong is printed, and the exit status is 4.\n"
		"For the broker's own user, and root.\n"
		"\n"
		"Example:\n"
		"  shmcache -n kv0 reload\n",
	.run = reload_run,
};
