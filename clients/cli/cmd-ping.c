/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd-ping.c: ask the broker for an answer, and time it.
 *
 * The first round trip after an attach wakes a sleeping broker and opens a lane, so it
 * costs more than the later ones. Both are told: the first is what a rare caller sees, the
 * best of some more what a busy one does.
 */
#include <stdio.h>

#include "clients/cli/command.h"
#include "clients/cli/key.h"
#include "clients/cli/options.h"
#include "clients/cli/progress.h"
#include "clients/cli/units.h"

#define N_MORE 16

static const char *role_name(enum shmc_role role)
{
	static const char *const names[] = { "none", "reader", "stager", "writer" };

	return (unsigned)role < sizeof(names) / sizeof(names[0]) ? names[role] : "unknown";
}

static int ping_time(struct cli *cli, uint64_t *ns)
{
	uint64_t begin = progress_now();
	int r = shmc_ping(cli->cache, SHMC_TIMEOUT_DEFAULT);

	*ns = progress_now() - begin;
	return r;
}

static void ping_print(const struct cli *cli, uint64_t first_ns, uint64_t best_ns)
{
	const char *role = role_name(shmc_role(cli->cache));
	char first[UNITS_TEXT_SIZE], best[UNITS_TEXT_SIZE];
	struct json_object *object;

	if (!cli->json) {
		printf("%s: role %s, first answer in %s, best in %s\n", shmc_name(cli->cache), role,
			units_ns_format(first, first_ns), units_ns_format(best, best_ns));
		return;
	}
	object = json_new();
	json_add_string(object, "name", shmc_name(cli->cache));
	json_add_string(object, "role", role);
	json_add_uint(object, "first_ns", first_ns);
	json_add_uint(object, "best_ns", best_ns);
	json_print(object);
}

static enum cli_exit ping_now(struct cli *cli)
{
	uint64_t first_ns, best_ns = UINT64_MAX, ns;
	int r = ping_time(cli, &first_ns);

	for (int i = 0; i < N_MORE && !r; i++) {
		r = ping_time(cli, &ns);
		if (ns < best_ns)
			best_ns = ns;
	}
	if (!r && (cli->json || !cli->quiet))
		ping_print(cli, first_ns, best_ns);
	return cli_result(cli, r, "ping the broker", NULL, 0);
}

static enum cli_exit ping_run(struct cli *cli, int argc, char **argv)
{
	enum cli_exit status;

	if (!options_only_operands(cli, argc, argv, 0, 0, &status))
		return status;
	status = cli_attach(cli);
	return status ? status : ping_now(cli);
}

const struct command command_ping = {
	.name = "ping",
	.summary = "check that the broker answers, and how fast",
	.usage = "",
	.help = "Exits with 0 when it does. --quiet prints nothing.\n"
		"\n"
		"Example:\n"
		"  until shmcache ping -q 2>/dev/null; do sleep 1; done\n",
	.run = ping_run,
};
