/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd-flush.c: delete all entries, or those with a prefix.
 *
 * At a terminal it asks first: the cache is shared, and others may be living off it. A
 * script is not asked, since there is nobody to answer, and it has said what it wants.
 */
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "clients/cli/command.h"
#include "clients/cli/key.h"
#include "clients/cli/options.h"
#include "clients/cli/text.h"

static const struct option flush_longs[] = {
	{ "yes", no_argument, NULL, 'y' },
	{ NULL, 0, NULL, 0 },
};

/* Only a y at the beginning of the line is a yes. */
static bool flush_confirmed(const struct cli *cli, const struct key *prefix)
{
	int answer, c;

	if (prefix->size) {
		fputs("Delete all entries whose key begins with ", stderr);
		text_print_escaped(stderr, prefix->bytes, prefix->size);
	} else {
		fputs("Delete ALL entries", stderr);
	}
	fprintf(stderr, " of the cache '%s'? [y/N] ", cli->name);
	answer = c = getchar();
	while (c != EOF && c != '\n')
		c = getchar();
	return answer == 'y' || answer == 'Y';
}

static enum cli_exit flush_now(struct cli *cli, const struct key *prefix)
{
	struct json_object *object;
	uint64_t n_deleted = 0;
	int r = shmc_flush(cli->cache, prefix->bytes, prefix->size, &n_deleted,
		SHMC_TIMEOUT_DEFAULT);

	if (r)
		return cli_result(cli, r, "flush", NULL, 0);
	if (cli->json) {
		object = json_new();
		json_add_uint(object, "n_deleted", n_deleted);
		json_print(object);
	} else if (!cli->quiet) {
		printf("%" PRIu64 " %s deleted\n", n_deleted, n_deleted == 1 ? "entry" : "entries");
	}
	return CLI_OK;
}

static enum cli_exit flush_run(struct cli *cli, int argc, char **argv)
{
	struct key prefix = { 0 };
	enum cli_exit status;
	bool yes = false;
	struct options o;
	int c;

	options_begin(&o, cli, argc, argv, "y", flush_longs, false);
	while ((c = options_next(&o)) >= 0)
		yes = true;
	if (c == OPTIONS_STOP)
		return o.status;
	status = options_operands(&o, 0, 1);
	if (!status && optind < argc)
		status = key_parse_prefix(cli, argv[optind], &prefix);
	if (!status)
		status = cli_attach(cli);
	if (status)
		return status;
	if (!yes && isatty(STDIN_FILENO) && !flush_confirmed(cli, &prefix)) {
		cli_say(cli, "nothing deleted");
		return CLI_REFUSED;
	}
	return flush_now(cli, &prefix);
}

const struct command command_flush = {
	.name = "flush",
	.summary = "delete all entries, or those with a prefix",
	.usage = "[PREFIX] [--yes]",
	.help = "  -y, --yes            don't ask at a terminal\n"
		"\n"
		"Examples:\n"
		"  shmcache flush tmp/\n"
		"  shmcache -n kv0 flush --yes\n",
	.run = flush_run,
};
