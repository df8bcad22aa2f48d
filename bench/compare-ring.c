/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A request that asks for nothing, beside a bare exchange of cache lines.
 *
 * The least that two cores can do for one another is to hand a cache line over and get
 * another one back; how long that takes is a property of the machine, and everything that
 * a ring adds to it is ours. Two threads bounce two words, 128 bytes apart so that no
 * prefetcher brings both, on the very cores on which client and broker run when the
 * ring's turn comes. The broker never sleeps here (poll = busy), and the client spins.
 */
#include "bench/compare.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#if defined(__x86_64__) || defined(__i386__)
#define cpu_relax() __builtin_ia32_pause()
#elif defined(__aarch64__)
#define cpu_relax() __asm__ volatile("yield")
#else
#define cpu_relax() ((void)0)
#endif

#define BOUNCE_STOP UINT64_MAX

struct bounce {
	struct load load; /* what compare_run() looks at */
	struct compare *compare;
	pthread_t thread;
	uint64_t count;
	_Alignas(128) _Atomic uint64_t there;
	_Alignas(128) _Atomic uint64_t back;
};

static void *bounce_main(void *context)
{
	struct bounce *bounce = context;
	uint64_t word, last = 0;

	machine_pin(&bounce->compare->rep, bounce->compare->cpu[1]);
	do {
		while ((word = atomic_load_explicit(
				&bounce->there, memory_order_acquire)) == last)
			cpu_relax();
		last = word;
		atomic_store_explicit(&bounce->back, word, memory_order_release);
	} while (word != BOUNCE_STOP);
	return NULL;
}

static void bounce_round_trip(struct bounce *bounce, uint64_t word)
{
	atomic_store_explicit(&bounce->there, word, memory_order_release);
	while (atomic_load_explicit(&bounce->back, memory_order_acquire) != word)
		cpu_relax();
}

static void bounce_begin(void *context)
{
	struct bounce *bounce = context;

	bounce->count = 0;
	atomic_store(&bounce->there, 0);
	atomic_store(&bounce->back, 0);
	bench_must(&bounce->compare->rep,
		-pthread_create(&bounce->thread, NULL, bounce_main, bounce), "thread");
	bounce_round_trip(bounce, ++bounce->count); /* it is there */
}

static void bounce_end(void *context)
{
	struct bounce *bounce = context;

	bounce_round_trip(bounce, BOUNCE_STOP);
	pthread_join(bounce->thread, NULL);
}

static void bounce_fn(void *context, size_t first, size_t n)
{
	struct bounce *bounce = context;
	size_t i;

	(void)first;
	for (i = 0; i < n; i++)
		bounce_round_trip(bounce, ++bounce->count);
}

static void ping_fn(void *context, size_t first, size_t n)
{
	struct load *load = context;
	size_t i;

	(void)first;
	for (i = 0; i < n; i++)
		load->n_wrong += !!shmc_ping(load->store, 30000);
}

/*
 * The broker would be in the way of the thread that bounces, and the other way round:
 * both have the second CPU. So a broker that polls without end is started for each round
 * of pings and is gone while the lines bounce.
 */
void compare_ring(struct compare *compare)
{
	uint32_t no_id = 0;
	const struct keys no_keys = {.n_seq = 1, .id = &no_id};
	static struct bounce bounce;
	size_t n_ops = (compare->rep.quick ? 2000 : 10000) * COMPARE_GROUP;
	struct load load = {.keys = &no_keys};
	struct timing ours = {
		.fn = ping_fn, .context = &load, .n_ops = n_ops, .group = COMPARE_GROUP};
	struct timing theirs = {.fn = bounce_fn,
		.context = &bounce,
		.n_ops = n_ops,
		.group = COMPARE_GROUP,
		.begin = bounce_begin,
		.end = bounce_end};
	struct timing *our_side[] = {&ours}, *their_side[] = {&theirs};
	unsigned round, n_rounds = compare->n_rounds;
	struct timing all_ours = {0}, all_theirs = {0};
	struct broker_run broker;
	struct shmc *cache;

	if (compare->cpu[0] == compare->cpu[1]) {
		report_say(&compare->rep, "ring-noop: left out, there is one CPU");
		return;
	}
	bounce.load.keys = &no_keys;
	bounce.compare = compare;
	compare->n_rounds = 1;
	for (round = 0; round < n_rounds; round++) {
		compare_broker_start(compare, &broker, &cache, "64MiB", "poll = busy\n");
		load.store = cache;
		compare_run(compare, our_side, 1, false);
		compare_broker_stop(compare, &broker, cache);
		compare_run(compare, their_side, 1, false);
		timing_append(&all_ours, &ours);
		timing_append(&all_theirs, &theirs);
	}
	compare->n_rounds = n_rounds;
	compare_row_p50(compare, "ring-noop", &all_ours, &all_theirs, REPORT_AT_MOST, 2.5,
		"bare exchange of two cache lines, same cores");
}
