/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd-bench.c: a quick load on a cache that is there, to see whether it does what it
 * should.
 *
 * It answers "is this host's cache in order?", and not "is it faster than another?": for
 * that the programs in bench/ hold it against other caches, under conditions that they
 * control.
 *
 * Its entries may push others out of a full cache, as any put may. A wrong value is not
 * slow but broken, and fails the run.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clients/cli/command.h"
#include "clients/cli/key.h"
#include "clients/cli/load.h"
#include "clients/cli/options.h"
#include "clients/cli/units.h"

enum { OPT_SIZE = OPTIONS_OWN, OPT_KEYS, OPT_THREADS, OPT_TIME, OPT_ONLY };

static const struct option bench_longs[] = {
	{ "size", required_argument, NULL, OPT_SIZE },
	{ "keys", required_argument, NULL, OPT_KEYS },
	{ "threads", required_argument, NULL, OPT_THREADS },
	{ "time", required_argument, NULL, OPT_TIME },
	{ "only", required_argument, NULL, OPT_ONLY },
	{ NULL, 0, NULL, 0 },
};

struct bench {
	struct cli *cli;
	struct load load;
	bool no_put, no_get;
};

static void bench_interrupt(int number)
{
	(void)number;
	load_interrupt();
}

static uint64_t per_second(uint64_t n, const struct load_result *result)
{
	return (uint64_t)((double)n / result->seconds);
}

static void bench_print_json(
	const struct load *load, const char *name, const struct load_result *result)
{
	struct json_object *object = json_new();

	json_add_string(object, "name", name);
	json_add_uint(object, "value_size", load->value_size);
	json_add_uint(object, "n_keys", load->n_keys);
	json_add_uint(object, "n_threads", load->n_threads);
	json_add_uint(object, "time_ms", (uint64_t)(result->seconds * 1000));
	json_add_uint(object, "n_operations", result->n);
	json_add_uint(object, "n_missed", result->n_missed);
	json_add_uint(object, "per_second", per_second(result->n, result));
	json_add_uint(object, "p50_ns", histogram_quantile(&result->histogram, 0.5));
	json_add_uint(object, "p99_ns", histogram_quantile(&result->histogram, 0.99));
	json_add_uint(object, "max_ns", result->histogram.max);
	json_print(object);
}

static void bench_print(
	const struct load *load, const char *name, const struct load_result *result)
{
	char p50[UNITS_TEXT_SIZE], p99[UNITS_TEXT_SIZE], size[UNITS_TEXT_SIZE],
		rate[UNITS_TEXT_SIZE];

	printf("%s  %s, %" PRIu64 " thread%s: %" PRIu64 "/s, %s/s, p50 %s, p99 %s", name,
		units_size_format(size, load->value_size), load->n_threads,
		load->n_threads == 1 ? "" : "s", per_second(result->n, result),
		units_size_format(rate, per_second(result->n * load->value_size, result)),
		units_ns_format(p50, histogram_quantile(&result->histogram, 0.5)),
		units_ns_format(p99, histogram_quantile(&result->histogram, 0.99)));
	if (result->n_missed)
		printf(", %.1f %% missed", 100.0 * (double)result->n_missed / (double)result->n);
	putchar('\n');
}

static enum cli_exit bench_result(const struct bench *bench, int r)
{
	if (r == -EBADMSG) {
		cli_say(bench->cli, "a value is not what was put under its key");
		return CLI_ERROR;
	}
	return cli_result(bench->cli, r, "run the load", NULL, 0);
}

static enum cli_exit bench_phase(struct bench *bench, enum load_kind kind)
{
	const char *name = kind == LOAD_PUT ? "put" : "get";
	struct load_result *result = malloc(sizeof(*result));
	enum cli_exit status;

	status = bench_result(bench, result ? load_run(&bench->load, kind, result) : -ENOMEM);
	if (!status && result->n && bench->cli->json)
		bench_print_json(&bench->load, name, result);
	else if (!status && result->n)
		bench_print(&bench->load, name, result);
	fflush(stdout);
	free(result);
	return status;
}

static enum cli_exit bench_now(struct bench *bench)
{
	struct sigaction action = { .sa_handler = bench_interrupt };
	enum cli_exit status;
	int r;

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	status = bench_result(bench, load_fill(&bench->load));
	if (!status && !bench->no_put)
		status = bench_phase(bench, LOAD_PUT);
	if (!status && !bench->no_get)
		status = bench_phase(bench, LOAD_GET);
	r = load_clean(&bench->load);
	return status ? status : bench_result(bench, r);
}

static enum cli_exit bench_option(struct bench *bench, int option)
{
	const struct cli *cli = bench->cli;
	struct load *load = &bench->load;

	switch (option) {
	case OPT_SIZE:
		return options_size(cli, "--size", &load->value_size);
	case OPT_KEYS:
		return options_number(cli, "--keys", LOAD_KEYS_MAX, &load->n_keys);
	case OPT_THREADS:
		return options_number(cli, "--threads", LOAD_THREADS_MAX, &load->n_threads);
	case OPT_TIME:
		return options_duration(cli, "--time", &load->time_ms);
	}
	bench->no_put = !strcmp(optarg, "get");
	bench->no_get = !strcmp(optarg, "put");
	if (!bench->no_put && !bench->no_get)
		return cli_usage(cli, "--only: '%s' is none of get, put", optarg);
	return CLI_OK;
}

static enum cli_exit bench_check(const struct bench *bench)
{
	const struct load *load = &bench->load;

	if (!load->value_size || !load->n_keys || !load->n_threads || !load->time_ms)
		return cli_usage(bench->cli, "a load of 0 is none");
	if (load->value_size > SHMC_VALUE_SIZE_MAX)
		return cli_usage(bench->cli, "--size: values are at most 1GiB");
	if (load->time_ms > 24 * 60 * 60 * 1000)
		return cli_usage(bench->cli, "--time: at most 1d");
	return CLI_OK;
}

static enum cli_exit bench_run(struct cli *cli, int argc, char **argv)
{
	struct bench bench = {
		.cli = cli,
		.load = { .value_size = 64, .n_keys = 1000, .n_threads = 1, .time_ms = 2000 },
	};
	enum cli_exit status = CLI_OK;
	struct options o;
	int c;

	options_begin(&o, cli, argc, argv, "", bench_longs, false);
	while (!status && (c = options_next(&o)) >= 0)
		status = bench_option(&bench, c);
	if (c == OPTIONS_STOP)
		return o.status;
	if (!status)
		status = options_operands(&o, 0, 0);
	if (!status)
		status = bench_check(&bench);
	if (!status)
		status = cli_attach(cli);
	bench.load.cache = cli->cache;
	return status ? status : bench_now(&bench);
}

const struct command command_bench = {
	.name = "bench",
	.summary = "run a quick load and print rates and latencies",
	.usage = "[--size SIZE] [--keys N] [--threads N] [--time TIME] [--only get|put]",
	.help = "      --size SIZE      of each value (default 64)\n"
		"      --keys N         how many (default 1000)\n"
		"      --threads N      default 1\n"
		"      --time TIME      for each of put and get (default 2s)\n"
		"      --only get|put   one of them\n"
		"\n"
		"Accesses are at random and every hit is checked. Its entries take N times SIZE of\n"
		"the cache meanwhile (others may be evicted for them) and are deleted at the end.\n"
		"Latencies include reading the clock.\n"
		"\n"
		"Examples:\n"
		"  shmcache bench\n"
		"  shmcache bench --size 4MiB --keys 100 --threads 2 --json\n",
	.run = bench_run,
};
