/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Small puts, one at a time: the answer is here before the next one starts.
 *
 * memcached and redis need a system call, a wake-up and a context switch each way for
 * that. They are fastest where client and server share a CPU, as the wake-up then needs
 * no interrupt, although nothing can then run at the same time; on two CPUs they wait for
 * each other to wake up. Both are measured, and the goal is held against the faster.
 *
 * Our broker spins for a while before it sleeps, as it is configured by default, so
 * between two puts that follow each other nobody sleeps. It has the second CPU; the
 * rivals sleep while it has its turn.
 */
#include "bench/compare.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define PUT_PREFIX "key:"
#define FEW 1000
#define FEW_SEQUENCE 16384
#define SYNC_GROUP 8

static void put_sync(void *context, size_t first, size_t n)
{
	struct load *load = context;
	const struct keys *keys = load->keys;
	size_t i, at = load_position(load, first);
	char value[KEYS_VALUE_SIZE];

	for (i = at; i < at + n; i++) {
		keys_value_fill(value, sizeof(value), keys->id[i], load->version);
		load->n_wrong += !!shmc_put(load->store, keys_at(keys, i), keys->size,
			value, sizeof(value), NULL, 30000);
	}
}

/* A server at one place. */
struct placed {
	struct load load;
	int cpu;
	struct timing timing;
};

/* The servers, each measured on the first and on the second CPU. */
static const struct rival {
	const char *name, *row;
	int (*open)(struct rival_server *server);
	int (*check)(struct rival_server *server, const struct keys *keys,
		size_t position, uint64_t version);
	timing_fn *put;
	enum report_bound bound;
	const char *notes[2], *missing;
} rivals[] = {
	{"memcached", "put-64B-sync", rival_memcached_open, rival_memcached_check,
		rival_memcached_put, REPORT_AT_MOST,
		{"memcached set, on the client's CPU",
			"memcached set, on the other CPU"},
		"memcached: not installed"},
	{"redis", "put-64B-sync-redis", rival_redis_open, rival_redis_check,
		rival_redis_put, REPORT_FIGURE,
		{"redis SET, on the client's CPU", "redis SET, on the other CPU"},
		"redis: not installed"},
};

enum { N_RIVALS = sizeof(rivals) / sizeof(rivals[0]) };

struct contest {
	struct rival_server server;
	struct placed at[2];
	bool is_here;
};

static void placed_begin(void *context)
{
	struct placed *placed = context;
	struct rival_server *server = placed->load.store;

	placed->load.n_wrong += !!proc_pin(server->proc.pid, placed->cpu);
}

static void contest_open(struct compare *compare, struct contest *contest,
	const struct rival *rival, const struct keys *keys)
{
	int i, r = rival->open(&contest->server);

	contest->is_here = r != -ENOENT;
	if (!contest->is_here)
		return;
	bench_must(&compare->rep, r, rival->name);
	for (i = 0; i < 2; i++) {
		contest->at[i].load = (struct load){
			.store = &contest->server, .keys = keys, .version = 1};
		contest->at[i].cpu = compare->cpu[i];
		contest->at[i].timing = (struct timing){.fn = rival->put,
			.context = &contest->at[i],
			.n_ops = (compare->rep.quick ? 250 : 1000) * SYNC_GROUP,
			.group = SYNC_GROUP,
			.begin = placed_begin};
	}
}

static void contest_rows(struct compare *compare, struct contest *contest,
	const struct rival *rival, const struct timing *ours)
{
	struct timing *theirs[2] = {&contest->at[0].timing, &contest->at[1].timing};
	int best = timing_p50(theirs[0]) <= timing_p50(theirs[1]) ? 0 : 1;
	char further[64];

	compare_row_p50(compare, rival->row, ours, theirs[best], rival->bound, 0.05,
		rival->notes[best]);
	snprintf(
		further, sizeof(further), "%s-%s", rival->row, best ? "1-cpu" : "2-cpus");
	compare_row_p50(compare, further, ours, theirs[!best], REPORT_FIGURE, 0,
		rival->notes[!best]);
}

void compare_put_sync(struct compare *compare)
{
	static struct contest contests[N_RIVALS];
	struct timing *sides[1 + 2 * N_RIVALS];
	struct broker_run broker;
	struct shmc *cache;
	struct keys keys;
	size_t i, n = 0;

	bench_must(&compare->rep,
		keys_init(&keys, FEW, FEW_SEQUENCE, COMPARE_KEY_SIZE, PUT_PREFIX, 7),
		"keys");
	compare_broker_start(compare, &broker, &cache, "64MiB", "");
	struct load load = {.store = cache, .keys = &keys, .version = 1};
	struct timing ours = {.fn = put_sync,
		.context = &load,
		.n_ops = (compare->rep.quick ? 4 : 20) * FEW_SEQUENCE,
		.group = SYNC_GROUP};
	sides[n++] = &ours;
	for (i = 0; i < N_RIVALS; i++) {
		contest_open(compare, &contests[i], &rivals[i], &keys);
		if (!contests[i].is_here)
			continue;
		sides[n++] = &contests[i].at[0].timing;
		sides[n++] = &contests[i].at[1].timing;
	}
	compare_run(compare, sides, n, false);
	compare_check(compare, cache, &keys, 1);
	for (i = 0; i < N_RIVALS; i++) {
		if (!contests[i].is_here) {
			compare_row_p50(compare, rivals[i].row, &ours, NULL,
				REPORT_FIGURE, 0, rivals[i].missing);
			continue;
		}
		bench_must(&compare->rep, rivals[i].check(&contests[i].server, &keys, 0, 1),
			"a rival's value");
		contest_rows(compare, &contests[i], &rivals[i], &ours);
		rival_server_close(&contests[i].server);
	}
	compare_broker_stop(compare, &broker, cache);
	keys_deinit(&keys);
}
