/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shmcache beside memcached, redis and LMDB, and beside what the machine itself can do.
 *
 * Every goal of the project's speed is a ratio within one run of this program: absolute
 * figures say more about the machine than about the cache. So rivals and broker run side
 * by side, take turns (timing.c), use the same keys in the same order (keys.c), and each
 * rival is set up to be as fast as it can be (rival-*.c say how). A rival that is not
 * installed is named and its rows left out.
 *
 * On a machine with two CPUs there is a place for each: this process keeps to the first
 * and the broker to the second. With one CPU all is still measured, but rows about two
 * processes that run at the same time tell nothing, and are left out.
 */
#include "bench/compare.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char arguments[] = "[--only NAME] [--shmcached PATH]";

static const struct {
	const char *name;
	compare_fn *fn;
} cases[] = {
	{"hit-few", compare_hit_few},
	{"hit-many", compare_hit_many},
	{"hit-large", compare_hit_large},
	{"copy", compare_copy},
	{"ring", compare_ring},
	{"put-sync", compare_put_sync},
	{"put-pipelined", compare_put_pipelined},
	{"put-large", compare_put_large},
	{"books", compare_books},
	{"idle", compare_idle},
};

static const size_t n_cases = sizeof(cases) / sizeof(cases[0]);

void compare_broker_start(struct compare *compare, struct broker_run *run,
	struct shmc **cache, const char *dram_size, const char *config)
{
	char text[512];
	struct broker_run_options options = {.program = compare->program,
		.dram_size = dram_size,
		.config = text,
		.cpu = compare->cpu[1]};

	snprintf(text, sizeof(text), "[broker]\ncpus = %d\n%s", compare->cpu[1], config);
	machine_pin(&compare->rep, compare->cpu[0]);
	if (broker_run_start(run, &options, cache, NULL))
		report_fatal(&compare->rep, "no broker, no benchmark");
}

void compare_broker_stop(
	struct compare *compare, struct broker_run *run, struct shmc *cache)
{
	int status;

	shmc_detach(cache);
	status = broker_run_stop(run);
	if (status)
		report_fatal(&compare->rep, "the broker %s ended with status %#x",
			run->name, status);
}

void compare_fill(struct compare *compare, struct shmc *cache, const struct keys *keys,
	const char *prefix)
{
	enum { BATCH = 128 };
	static char key[BATCH][64], value[BATCH][KEYS_VALUE_SIZE];
	struct shmc_request requests[BATCH];
	size_t id, i, n;

	for (id = 0; id < keys->n; id += n) {
		n = keys->n - id < BATCH ? keys->n - id : BATCH;
		memset(requests, 0, sizeof(requests));
		for (i = 0; i < n; i++) {
			keys_write(key[i], keys->size, prefix, id + i);
			keys_value_fill(value[i], KEYS_VALUE_SIZE, id + i, 0);
			requests[i].operation = SHMC_OP_PUT;
			requests[i].key = key[i];
			requests[i].key_size = keys->size;
			requests[i].value = value[i];
			requests[i].value_size = KEYS_VALUE_SIZE;
		}
		bench_must(&compare->rep, shmc_execute(cache, requests, n, 30000), "fill");
		for (i = 0; i < n; i++)
			bench_must(&compare->rep, requests[i].result, "fill");
	}
}

void compare_check(struct compare *compare, struct shmc *cache, const struct keys *keys,
	uint64_t version)
{
	struct shmc_view view;
	size_t i;

	for (i = 0; i < keys->n_seq; i++) {
		bench_must(&compare->rep,
			shmc_get(cache, keys_at(keys, i), keys->size, &view),
			"a key that was stored");
		if (view.size != KEYS_VALUE_SIZE ||
			keys_value_check(view.data, view.size, keys->id[i], version))
			report_fatal(
				&compare->rep, "key %u has a wrong value", keys->id[i]);
		shmc_release(cache, &view);
	}
}

void compare_run(struct compare *compare, struct timing *const *sides, size_t n_sides,
	bool check_sums)
{
	uint64_t expected;
	struct load *load;
	size_t i;

	for (i = 0; i < n_sides; i++) {
		load = sides[i]->context;
		load->sum = load->n_wrong = 0;
	}
	bench_must(&compare->rep, timing_run(sides, n_sides, compare->n_rounds), "timing");
	for (i = 0; i < n_sides; i++) {
		load = sides[i]->context;
		expected = keys_sum(load->keys, sides[i]->n_ops, load->version) *
			   (compare->n_rounds + 1);
		if (load->n_wrong || (check_sums && load->sum != expected))
			report_fatal(&compare->rep,
				"side %zu: %llu wrong answers, the sum of what was read "
				"is %s",
				i, (unsigned long long)load->n_wrong,
				check_sums && load->sum != expected ? "wrong" : "right");
	}
}

void compare_row_p50(struct compare *compare, const char *name, const struct timing *ours,
	const struct timing *theirs, enum report_bound bound, double goal,
	const char *note)
{
	struct report_row row = {.name = name,
		.ours = timing_p50(ours),
		.theirs = theirs ? timing_p50(theirs) : NAN,
		.unit = "ns",
		.goal = goal,
		.bound = bound,
		.note = note,
		.ours_spread = timing_spread_p50(ours)};

	if (theirs)
		row.theirs_spread = timing_spread_p50(theirs);
	report_row(&compare->rep, &row);
}

void compare_row_rate(struct compare *compare, const char *name,
	const struct timing *ours, const struct timing *theirs, const char *unit,
	double scale, enum report_bound bound, double goal, const char *note)
{
	struct report_row row = {.name = name,
		.ours = timing_rate(ours) * scale,
		.theirs = theirs ? timing_rate(theirs) * scale : NAN,
		.unit = unit,
		.goal = goal,
		.bound = bound,
		.note = note,
		.ours_spread = timing_spread_rate(ours, scale)};

	if (theirs)
		row.theirs_spread = timing_spread_rate(theirs, scale);
	report_row(&compare->rep, &row);
}

int main(int argc, char **argv)
{
	struct compare compare = {0};
	const char *only = NULL;
	const struct report_option own[] = {
		{"--only", &only}, {"--shmcached", &compare.program}, {0}};
	size_t i, n_run = 0;

	if (argc > 1 && !strcmp(argv[1], "--reader"))
		return compare_reader_main(argv + 2);
	if (argc > 1 && !strcmp(argv[1], "--idler"))
		return compare_idler_main(argv + 2);
	report_open(&compare.rep, &argc, argv, "compare", arguments);
	report_options(&compare.rep, argv, arguments, own);
	compare.rep.spread = true;
	compare.n_rounds = compare.rep.quick ? 3 : 5;
	bench_must(&compare.rep, cleanup_guard(), "signals");
	machine_choose(&compare.rep, compare.cpu);
	for (i = 0; i < n_cases; i++) {
		if (only && strncmp(only, cases[i].name, strlen(only)))
			continue;
		cases[i].fn(&compare);
		n_run++;
	}
	if (!n_run) {
		fprintf(stderr, "compare: no case is called '%s'; there are:", only);
		for (i = 0; i < n_cases; i++)
			fprintf(stderr, " %s", cases[i].name);
		fputc('\n', stderr);
		return 2;
	}
	return report_close(&compare.rep);
}
