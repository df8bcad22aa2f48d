/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Readers of a broker with two tiers: where they hit, and what moves beside.
 *
 * Moves are made to happen by hits alone, without a put: DRAM and CXL are filled with
 * values of 8 MiB, then those in CXL are looked up twice each, which makes them candidates;
 * each one that moves up drives one down. So a pass over what is below moves it all up
 * and as much down, with nothing else for the broker to do. The readers' own values are
 * small and stay in DRAM, as they are read all the time.
 */
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench/keys.h"
#include "bench/load.h"
#include "bench/tiers.h"
#include "bench/timing.h"
#include "clients/shmcache.h"
#include "tests/support/broker-run.h"

enum { GROUP = 32, KEY_SIZE = 16 };
#define MIB (UINT64_C(1) << 20)

static void broker_start(struct tiers *t, struct broker_run *run, struct shmc **cache,
	const char *dram_size, const char *config)
{
	char text[512];
	struct broker_run_options options = {.program = t->program,
		.dram_size = dram_size,
		.config = text,
		.cpu = t->cpu[1]};

	snprintf(text, sizeof(text), "[broker]\ncpus = %d\n%s", t->cpu[1], config);
	machine_pin(&t->rep, t->cpu[0]);
	if (broker_run_start(run, &options, cache, NULL))
		report_fatal(&t->rep, "no broker, no benchmark");
}

static void broker_stop(struct tiers *t, struct broker_run *run, struct shmc *cache)
{
	int status;

	shmc_detach(cache);
	status = broker_run_stop(run);
	if (status)
		report_fatal(&t->rep, "the broker %s ended with status %#x", run->name, status);
}

static void put(struct tiers *t, struct shmc *cache, const char *prefix, size_t id, uint8_t tier,
	size_t size)
{
	const struct shmc_put_options options = {.tier = tier};
	struct shmc_reservation block;
	char key[64];

	keys_write(key, KEY_SIZE, prefix, id);
	bench_must(&t->rep, shmc_reserve(cache, key, KEY_SIZE, size, &options, &block, 30000), "reserve");
	keys_value_fill(block.data, size, id, 0);
	bench_must(&t->rep, shmc_commit(cache, &block, 30000), "commit");
}

/* Wait for about @ns, as slower memory would have us. */
static inline void delay(unsigned ns)
{
	uint64_t until;

	if (!ns)
		return;
	until = report_now() + ns;
	while (report_now() < until)
		;
}

struct side {
	struct load load;
	unsigned delay_ns;
};

static void get(void *context, size_t first, size_t n)
{
	struct side *side = context;
	struct load *load = &side->load;
	const struct keys *keys = load->keys;
	size_t i, at = load_position(load, first);
	struct shmc_view view;

	for (i = at; i < at + n; i++) {
		if (shmc_get(load->store, keys_at(keys, i), keys->size, &view)) {
			load->n_wrong++;
			continue;
		}
		delay(side->delay_ns);
		load->sum += keys_word_read(view.data);
		shmc_release(load->store, &view);
	}
}

/* --- a hit ---------------------------------------------------------------------------------- */

static void hits(struct tiers *t, struct shmc *cache, const char *name, size_t n_keys, size_t n_seq,
	size_t size)
{
	size_t n_ops = (t->rep.quick ? 16 : 64) * 16384;
	struct keys keys[2];
	struct side side[2];
	struct timing timing[2], *sides[2] = {&timing[1], &timing[0]};
	static const char *const prefix[2] = {"drm:", "cxl:"};
	unsigned i;
	size_t id;

	/* By turns: neither has the better places in the index. */
	for (id = 0; id < n_keys; id++) {
		put(t, cache, prefix[id % 2], id, id % 2 ? SHMC_TIER_CXL : SHMC_TIER_DRAM, size);
		put(t, cache, prefix[!(id % 2)], id, id % 2 ? SHMC_TIER_DRAM : SHMC_TIER_CXL, size);
	}
	for (i = 0; i < 2; i++) {
		bench_must(&t->rep, keys_init(&keys[i], n_keys, n_seq, KEY_SIZE, prefix[i], 7), "keys");
		side[i] = (struct side){.load = {.store = cache, .keys = &keys[i]},
			.delay_ns = i ? t->delay_ns : 0};
		timing[i] = (struct timing){.fn = get, .context = &side[i], .n_ops = n_ops,
			.group = GROUP};
	}
	bench_must(&t->rep, timing_run(sides, 2, t->n_rounds), "timing");
	for (i = 0; i < 2; i++)
		if (side[i].load.n_wrong ||
			side[i].load.sum != keys_sum(&keys[i], n_ops, 0) * (t->n_rounds + 1))
			report_fatal(&t->rep, "a value was wrong");
	report_row(&t->rep, &(struct report_row){.name = name,
		.ours = timing_p50(&timing[1]),
		.theirs = timing_p50(&timing[0]),
		.unit = "ns",
		.goal = 1.05,
		.bound = t->delay_ns ? REPORT_FIGURE : REPORT_AT_MOST,
		.note = "theirs: the same in DRAM",
		.ours_spread = timing_spread_p50(&timing[1]),
		.theirs_spread = timing_spread_p50(&timing[0])});
	for (i = 0; i < 2; i++)
		keys_deinit(&keys[i]);
}

void tiers_hits(struct tiers *t)
{
	size_t many = t->rep.quick ? 65536 : 262144;
	struct broker_run run;
	struct shmc *cache;
	uint64_t n;

	broker_start(t, &run, &cache, "512MiB",
		"[index]\nsize_max = 256MiB\n"
		"[cxl]\nbackend = shm\nsize = 512MiB\npromote_after = 0\n");
	hits(t, cache, "hit-cxl-64B-1k", 1000, 16384, 64);
	hits(t, cache, "hit-cxl-64B-many", many, many, 64);
	hits(t, cache, "hit-cxl-16MiB", 8, 16384, 16 * MIB);
	n = broker_run_stat(cache, "shmcache_promotions_total");
	if (n || broker_run_stat(cache, "shmcache_demotions_total"))
		report_fatal(&t->rep, "something moved that should not");
	broker_stop(t, &run, cache);
}

/* --- readers beside moves --------------------------------------------------------------------- */

#define PIECE (8 * MIB)
#define N_PIECES 32		/* in each tier */
#define MOVED (UINT64_C(1) << 30) /* up, and as much down, in a round */
#define ALONE_NS 400000000

struct readers {
	struct tiers *t;
	struct side side;
	pthread_t thread;
	_Atomic uint64_t n; /* values read */
	atomic_bool is_over;
};

static void *reader_main(void *argument)
{
	struct readers *r = argument;
	size_t n = 0;

	machine_pin(&r->t->rep, r->t->cpu[0]);
	while (!atomic_load_explicit(&r->is_over, memory_order_relaxed)) {
		get(&r->side, n, GROUP);
		n += GROUP;
		atomic_store_explicit(&r->n, n, memory_order_relaxed);
	}
	return NULL;
}

static void pause_ms(long ms)
{
	nanosleep(&(struct timespec){.tv_nsec = ms * 1000000}, NULL);
}

/* Values a second of the clock, and of the time that the reader was running. */
struct rates {
	double wall[TIMING_ROUNDS_MAX], cpu[TIMING_ROUNDS_MAX];
};

static uint64_t cpu_now(struct readers *r)
{
	struct timespec ts = {0};
	clockid_t clock;

	if (pthread_getcpuclockid(r->thread, &clock) || clock_gettime(clock, &ts))
		report_fatal(&r->t->rep, "the reader has no clock");
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static void rate_beside(struct readers *r, struct rates *rates, unsigned round,
	void (*fn)(void *context), void *context)
{
	uint64_t begin = report_now(), cpu = cpu_now(r), n = atomic_load(&r->n);

	fn(context);
	n = atomic_load(&r->n) - n;
	rates->wall[round] = (double)n * 1e9 / (double)(report_now() - begin);
	rates->cpu[round] = (double)n * 1e9 / (double)(cpu_now(r) - cpu);
}

/* Until the reader had its time, which on a busy machine takes longer than that. */
static void alone(void *context)
{
	struct readers *r = context;
	uint64_t cpu = cpu_now(r);

	while (cpu_now(r) - cpu < ALONE_NS)
		pause_ms(20);
}

struct hog {
	char *from, *to;
};

/* As many bytes as the moves copy, from one large piece of memory to another. */
static void hog(void *context)
{
	struct hog *h = context;
	uint64_t done, off;

	for (done = 0, off = 0; done < 2 * MOVED; done += PIECE, off += PIECE) {
		if (off == N_PIECES * PIECE)
			off = 0;
		memcpy(h->to + off, h->from + off, PIECE);
		__asm__ __volatile__("" ::: "memory");
	}
}

struct moves {
	struct tiers *t;
	struct shmc *cache;
	uint64_t up, down;
};

static void look_up(struct tiers *t, struct shmc *cache, const char *prefix, size_t id)
{
	struct shmc_view view;
	char key[64];

	keys_write(key, KEY_SIZE, prefix, id);
	bench_must(&t->rep, shmc_get(cache, key, KEY_SIZE, &view), "a large value");
	shmc_release(cache, &view);
}

static void moves(void *context)
{
	struct moves *m = context;
	uint64_t up, down, begin = report_now();
	size_t id;

	up = broker_run_stat(m->cache, "shmcache_promoted_bytes_total");
	down = broker_run_stat(m->cache, "shmcache_demoted_bytes_total");
	m->up = m->down = 0;
	while (m->up < MOVED || m->down < MOVED) {
		/* Those above get a hit more as well, which does no harm. */
		for (id = 0; id < 2 * N_PIECES; id++) {
			look_up(m->t, m->cache, "big:", id);
			look_up(m->t, m->cache, "big:", id);
			if (id % 8 == 7)
				pause_ms(12);
			m->up = broker_run_stat(m->cache, "shmcache_promoted_bytes_total") - up;
		}
		m->down = broker_run_stat(m->cache, "shmcache_demoted_bytes_total") - down;
		if (report_now() - begin > 60000000000)
			report_fatal(&m->t->rep, "%llu bytes up and %llu down in a minute",
				(unsigned long long)m->up, (unsigned long long)m->down);
	}
}

static void readers_row(struct tiers *t, const char *name, const double *ours, const double *theirs,
	enum report_bound bound, const char *note)
{
	double low = INFINITY, high = 0, x[TIMING_ROUNDS_MAX], y[TIMING_ROUNDS_MAX];
	unsigned i;

	for (i = 0; i < t->n_rounds; i++) {
		x[i] = ours[i] / 1e6;
		y[i] = theirs[i] / 1e6;
		low = fmin(low, x[i]);
		high = fmax(high, x[i]);
	}
	report_row(&t->rep, &(struct report_row){.name = name,
		.ours = report_median(x, t->n_rounds),
		.theirs = report_median(y, t->n_rounds),
		.unit = "M/s",
		.goal = 0.9,
		.bound = bound,
		.note = note,
		.ours_spread = {.min = low, .max = high}});
}

static void readers_measure(struct tiers *t, struct readers *r, struct moves *m, struct hog *h)
{
	struct rates none, moving, hogged;
	uint64_t begin, ns = 0, up = 0, down = 0;
	unsigned i;

	for (i = 0; i < t->n_rounds; i++) {
		rate_beside(r, &none, i, alone, r);
		begin = report_now();
		rate_beside(r, &moving, i, moves, m);
		ns += report_now() - begin;
		up += m->up;
		down += m->down;
		rate_beside(r, &hogged, i, hog, h);
	}
	report_say(&t->rep, "a round moved %.2f GiB up and %.2f GiB down in %.2f s",
		(double)up / t->n_rounds / (double)MOVED,
		(double)down / t->n_rounds / (double)MOVED, (double)ns / 1e9 / t->n_rounds);
	readers_row(t, "readers-beside-moves", moving.cpu, none.cpu,
		t->cpu[0] == t->cpu[1] ? REPORT_FIGURE : REPORT_AT_LEAST,
		"1 GiB up and 1 GiB down, by the reader's own time; theirs: alone");
	readers_row(t, "readers-beside-moves-clock", moving.wall, none.wall, REPORT_FIGURE,
		"the same by the clock, with what else the machine does");
	readers_row(t, "readers-beside-a-hog", hogged.cpu, none.cpu, REPORT_FIGURE,
		"a thread that copies as many bytes on the broker's CPU, without a pause");
}

void tiers_readers(struct tiers *t)
{
	size_t n_keys = t->rep.quick ? 65536 : 262144;
	struct readers r = {.t = t};
	struct broker_run run;
	struct keys small, big;
	struct shmc *cache;
	struct moves m = {.t = t};
	struct hog h;
	size_t id;

	/* Both large sets fit: what is in DRAM at first, and what is below. */
	broker_start(t, &run, &cache, "384MiB",
		"[index]\nsize_max = 256MiB\n[eviction]\npolicy = lru\n"
		"[cxl]\nbackend = shm\nsize = 1GiB\npromote_after = 2\npromote_rate = 0\n");
	h.from = calloc(N_PIECES, PIECE);
	h.to = malloc(N_PIECES * PIECE);
	if (!h.from || !h.to)
		report_fatal(&t->rep, "no memory for the hog");
	memset(h.from, 1, N_PIECES * PIECE);
	memset(h.to, 1, N_PIECES * PIECE);
	bench_must(&t->rep, keys_init(&big, 2 * N_PIECES, 64, KEY_SIZE, "big:", 7), "keys");
	for (id = 0; id < big.n; id++)
		put(t, cache, "big:", id, SHMC_TIER_CXL, PIECE);
	bench_must(&t->rep, keys_init(&small, n_keys, n_keys, KEY_SIZE, "sml:", 7), "keys");
	for (id = 0; id < small.n; id++)
		put(t, cache, "sml:", id, SHMC_TIER_DRAM, 64);
	r.side.load = (struct load){.store = cache, .keys = &small};
	m.cache = cache;
	if (pthread_create(&r.thread, NULL, reader_main, &r))
		report_fatal(&t->rep, "no thread");
	machine_pin(&t->rep, t->cpu[1]);
	moves(&m); /* a first round that does not count fills DRAM */
	readers_measure(t, &r, &m, &h);
	atomic_store(&r.is_over, true);
	pthread_join(r.thread, NULL);
	if (r.side.load.n_wrong || r.side.load.sum != keys_sum(&small, r.n, 0))
		report_fatal(&t->rep, "a reader has read a wrong value");
	keys_deinit(&small);
	keys_deinit(&big);
	free(h.from);
	free(h.to);
	broker_stop(t, &run, cache);
	machine_pin(&t->rep, t->cpu[0]);
}
