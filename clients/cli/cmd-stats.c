/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd-stats.c: the counters and gauges, and the counts by kind.
 *
 * Three forms: a line each for people, one object for scripts, and the text format that
 * Prometheus reads, so that a host without anything else installed can serve them by a node
 * exporter's textfile directory and cron.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clients/cli/command.h"
#include "clients/cli/key.h"
#include "clients/cli/options.h"
#include "clients/cli/units.h"

static const struct option stats_longs[] = {
	{ "long", no_argument, NULL, 'l' },
	{ "prometheus", no_argument, NULL, 'p' },
	{ NULL, 0, NULL, 0 },
};

struct stats {
	const char *prefix; /* of the names */
	char form;	    /* 0, 'l', 'p', or 'j' */
	struct json_object *object;
	const char *last; /* metric that was printed */
};

/* In every form a kind has the name that Prometheus' text has for it: metric{label="kind"}. */
#define STATS_NAME_SIZE 128

static const char *stats_name(const struct shmc_stat_value *value, char name[STATS_NAME_SIZE])
{
	if (!value->kind)
		return value->name;
	snprintf(name, STATS_NAME_SIZE, "%s{%s=\"%s\"}", value->name, value->label, value->kind);
	return name;
}

static void stats_print(
	struct stats *stats, const char *name, const struct shmc_stat_value *value)
{
	switch (stats->form) {
	case 'j':
		json_add_uint(stats->object, name, value->value);
		break;
	case 'p':
		if (!stats->last || strcmp(stats->last, value->name))
			printf("# HELP %s %s\n# TYPE %s %s\n", value->name, value->help,
				value->name, value->is_counter ? "counter" : "gauge");
		stats->last = value->name;
		printf("%s %" PRIu64 "\n", name, value->value);
		break;
	case 'l':
		printf("%-52s %20" PRIu64 "  %s\n", name, value->value, value->help);
		break;
	default:
		printf("%-52s %20" PRIu64 "\n", name, value->value);
	}
}

/* All values, in memory that the caller frees. The number is fixed for a build of the library. */
static int stats_read(struct cli *cli, struct shmc_stat_value **values)
{
	int n = shmc_stats(cli->cache, NULL, 0), n_again;

	if (n < 0)
		return n;
	*values = calloc((size_t)n + 1, sizeof(**values));
	if (!*values)
		return -ENOMEM;
	n_again = shmc_stats(cli->cache, *values, (size_t)n);
	if (n_again < 0) {
		free(*values);
		return n_again;
	}
	return n;
}

static uint64_t value_named(const struct shmc_stat_value *values, int n, const char *name)
{
	for (int i = 0; i < n; i++)
		if (!strcmp(values[i].name, name))
			return values[i].value;
	return 0;
}

/* What to look at first of the rest of a cluster; `peers` has it one by one. */
static void stats_print_peers(const struct shmc_stat_value *values, int n)
{
	uint64_t n_peers = value_named(values, n, "shmcache_peers");
	char fetched[UNITS_TEXT_SIZE], served[UNITS_TEXT_SIZE];

	if (!n_peers)
		return;
	units_size_format(fetched, value_named(values, n, "shmcache_transferred_bytes_total"));
	units_size_format(served, value_named(values, n, "shmcache_served_bytes_total"));
	printf("%" PRIu64 " other broker%s, %" PRIu64 " up; values fetched: %" PRIu64 " (%s), failed: "
	       "%" PRIu64 ", served: %" PRIu64 " (%s)\n",
		n_peers, n_peers == 1 ? "" : "s", value_named(values, n, "shmcache_peers_up"),
		value_named(values, n, "shmcache_transfers_done_total"), fetched,
		value_named(values, n, "shmcache_transfers_failed_total"),
		value_named(values, n, "shmcache_served_total"), served);
}

static enum cli_exit stats_show(struct cli *cli, struct stats *stats)
{
	char buffer[STATS_NAME_SIZE];
	struct shmc_stat_value *values;
	int n = stats_read(cli, &values);
	const char *name;

	if (n < 0)
		return cli_result(cli, n, "read the counters", NULL, 0);
	if (stats->form == 'j')
		stats->object = json_new();
	for (int i = 0; i < n; i++) {
		name = stats_name(&values[i], buffer);
		if (!strncmp(name, stats->prefix, strlen(stats->prefix)))
			stats_print(stats, name, &values[i]);
	}
	if (stats->form == 'j')
		json_print(stats->object);
	else if (stats->form != 'p' && !stats->prefix[0])
		stats_print_peers(values, n);
	free(values);
	return CLI_OK;
}

static enum cli_exit stats_run(struct cli *cli, int argc, char **argv)
{
	struct stats stats = { .prefix = "" };
	enum cli_exit status;
	struct options o;
	int c;

	options_begin(&o, cli, argc, argv, "lp", stats_longs, false);
	while ((c = options_next(&o)) >= 0)
		stats.form = (char)c;
	if (c == OPTIONS_STOP)
		return o.status;
	if (cli->json)
		stats.form = 'j';
	status = options_operands(&o, 0, 1);
	if (!status && optind < argc)
		stats.prefix = argv[optind];
	if (!status)
		status = cli_attach(cli);
	return status ? status : stats_show(cli, &stats);
}

const struct command command_stats = {
	.name = "stats",
	.summary = "show the counters",
	.usage = "[PREFIX] [-l | --prometheus]",
	.help = "  -l, --long           say what each of them counts\n"
		"  -p, --prometheus     print the text format of Prometheus\n"
		"\n"
		"PREFIX selects by the beginning of the name. --json prints one object of them.\n"
		"What comes in kinds, such as requests by operation, has a line for each kind.\n"
		"Where there are other brokers, the last line of the whole list has their sums.\n"
		"\n"
		"Examples:\n"
		"  shmcache stats -l\n"
		"  shmcache stats shmcache_misses_by_reason\n"
		"  shmcache stats --json\n",
	.run = stats_run,
};
