/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Broker and clients as threads on one mapping of everything they share, for the thread sanitizer.
 *
 * A broker runs in this process (host.c), clients attach to it as they always do, and each shared
 * object has one address (one-mapping.c). Four threads of two handles, one a writer's and one a
 * stager's, do everything that the library can (load.c), while a visitor attaches and detaches and
 * a releaser lets go of views that others took. Two workers serve them, adaptively with a short
 * spin in one run and asleep whenever they can be in the other. Tier and index are so small that
 * everything is evicted, reclaimed and used again all the time while the index grows. Every value
 * that is read tells by each of its bytes whether it is the one that was asked for; at the end the
 * counters show that all this did happen, and that the books balance.
 *
 * In a build with -Db_sanitize=thread every plain access has to be ordered by release and acquire
 * operations that the sanitizer can follow. In any other build this is a load like others, and a
 * quick one. SHMCACHE_TSAN_OPS and SHMCACHE_SEED choose how many operations and which.
 *
 * What it sees, and by which edge:
 *	keys, values in staging	 a submission's sequence, and back the completion's
 *	records, values in place publish -> the reader's second load of the slot
 *	their reuse		 hold_clear() -> the scan of the holds -> the store's lock; where
 *				 another thread clears: hold_clear() -> hold_table_free_cell() ->
 *				 hold_set() -> the scan
 *	reservations		 the completion, then the COMMIT's submission
 *	the client's own memory	 the locks and owner words of clients/lib
 *	the broker's books	 its locks; for walks without one, the grace period, which liburcu
 *				 as installed does not tell and shared_happens_after() does
 *
 * What it can't see: gcc says -Wtsan, and means that it takes a stand-alone fence for nothing.
 * There are three kinds, and no plain data hangs on any of them. Each keeps a store apart from a
 * later load of another atomic word, so that of two sides at least one sees the other. Missing that
 * is a wrong decision and not a race of two accesses, so the sanitizer has nothing to report with
 * the fence and would have nothing to report without it:
 *	hold, then the slot	 reader_fence(), membarrier(2) in reclaim.c
 *	abi_worker.need_wakeup,	 ring_announce(), sleep_once()
 *	the lane's need_wakeup	 ring_arm(), answered()
 * The first would show as wrong bytes, the others as a time-out, if ever the moment came. The
 * models in tests/model go through all moments: hold-reclaim.pml and sleep-wake.pml fail without
 * each fence. For the same reason order among words that are all atomic is not for this test:
 * n_buckets against the slots that a split clears is grow.pml's, positions and sequences are
 * ring.pml's.
 *
 * Nor does it know that a hang-up comes after all that a process did: clients here say a last word
 * through a ring before they detach. There are no suppressions.
 *
 * What was taken out by hand, and who told (gcc 12, 20,000 operations a thread; a report is a data
 * race in the function named):
 *	publish() with a relaxed store		reports in lane_view(), read_copy(), 14 more
 *	the slot's loads relaxed in reader.h	reports in lane_view(), read_copy(), 7 more
 *	a completion's sequence stored relaxed	reports in engine_stage(), put_reserved()
 *	the same, loaded relaxed		reports in engine_stage(), chunk_push()
 *	a submission's sequence relaxed		report in guard_copy()
 *	the scan's loads of holds relaxed	reports in guard_copy(), index_open()
 *	hold_clear() relaxed			reports in guard_copy(), put_reserved()
 *	a free hold cell found and set relaxed	report in guard_copy(); about one run in three
 *	the scan passes over the holds		wrong bytes in views that were held for long
 *	free_unheld() frees the held		the same
 *	no synchronize_rcu(), nor its mark	report in index_open()
 *	read_mail() without the inbox's lock	reports in worker_add_lane(), worker_leave()
 *	store_hits() without the store's lock	reports in block.c and all over the policy, a crash
 *	a lane's owner word released relaxed	reports in ring_arm(), ring_is_ready()
 *	two mappings again			the test says so
 *	no second look at the slot		nothing: the moment is too short; the model finds it
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/support/broker-run.h"
#include "tests/tsan/host.h"
#include "tests/tsan/load.h"
#include "tests/tsan/one-mapping.h"

enum { N_LOADS = 4, N_GENERATIONS = 3, N_OPS = 20000 };

static struct host host;
static struct load_run run;
static unsigned n_ops = N_OPS;

static struct shmc *attach(enum shmc_role role)
{
	struct shmc_attach_options options = {.timeout_ms = LOAD_TIMEOUT_MS, .role = role,
		.spin_us = role == SHMC_ROLE_STAGER ? UINT32_MAX : 5};
	struct shmc *cache = NULL;
	char why[256] = "";
	int r;

	options.why = why;
	options.why_size = sizeof(why);
	r = shmc_attach(&cache, host_name(&host), &options);
	if (r) {
		fprintf(stderr, "attach: %s (%s)\n", why, shmc_strerror(r));
		atomic_fetch_add(&run.n_failures, 1);
	}
	return cache;
}

/*
 * A client that comes and goes while the others work, and leaves things behind. Its last word is a
 * ping: whatever it read is read before the broker takes that, in the eyes of the sanitizer too,
 * which does not know that a hang-up comes after all that the process did.
 */
static void *visitor_main(void *done)
{
	struct shmc_reservation left;
	struct load load;
	struct shmc *cache;
	unsigned n;

	for (n = 0; (n < 4 || !atomic_load((atomic_bool *)done)) && !atomic_load(&run.n_failures);
		n++) {
		cache = attach(n % 2 ? SHMC_ROLE_WRITER : SHMC_ROLE_STAGER);
		if (!cache)
			break;
		load_init(&load, &run, cache, N_LOADS + 1 + n, 100);
		load_main(&load);
		if (n % 2)
			(void)shmc_reserve(cache, "left", 4, 5000, NULL, &left, LOAD_TIMEOUT_MS);
		if (n % 3)
			load_end(&load);
		if (shmc_ping(cache, LOAD_TIMEOUT_MS))
			atomic_fetch_add(&run.n_failures, 1);
		shmc_detach(cache);
	}
	return NULL;
}

static void load_all(struct load loads[N_LOADS + 1])
{
	pthread_t thread[N_LOADS], visitor, releaser;
	atomic_bool done = false;
	unsigned i, g;

	pthread_create(&releaser, NULL, load_release_main, &loads[N_LOADS]);
	pthread_create(&visitor, NULL, visitor_main, &done);
	for (g = 0; g < N_GENERATIONS; g++) {
		for (i = 0; i < N_LOADS; i++)
			pthread_create(&thread[i], NULL, load_main, &loads[i]);
		for (i = 0; i < N_LOADS; i++)
			pthread_join(thread[i], NULL);
	}
	atomic_store(&done, true);
	pthread_join(visitor, NULL);
	atomic_store(&run.exchange.is_done, true);
	pthread_join(releaser, NULL);
}

/* Did the load reach what it is there for? A shorter one than the usual need not. */
static void check_counters(void)
{
	static const enum abi_counter wanted[] = {ABI_COUNTER_PUTS, ABI_COUNTER_REPLACES,
		ABI_COUNTER_DELETES, ABI_COUNTER_EXPIRED, ABI_COUNTER_EVICTIONS,
		ABI_COUNTER_COMMITS, ABI_COUNTER_ABORTS, ABI_COUNTER_RESERVES_DEAD,
		ABI_COUNTER_RECLAIM_ROUNDS, ABI_COUNTER_RECLAIMED, ABI_COUNTER_RECLAIM_KEPT,
		ABI_COUNTER_LOG_HITS, ABI_COUNTER_WAKEUPS, ABI_COUNTER_WAKES_SENT,
		ABI_COUNTER_HITS, ABI_COUNTER_MISSES};
	const struct abi_index *head = host.broker.store.index.head;
	uint64_t n_buckets = shared_u64_load(&head->n_buckets);
	unsigned i;

	for (i = 0; i < sizeof(wanted) / sizeof(*wanted); i++) {
		print_message("%s %llu\n", abi_counter_name(wanted[i]),
			(unsigned long long)host_counter(&host, wanted[i]));
		assert_true(host_counter(&host, wanted[i]) || n_ops < N_OPS);
	}
	print_message("%llu buckets, %lu maps shared\n", (unsigned long long)n_buckets,
		one_mapping_n_shared());
	assert_true(n_buckets > 1024 || n_ops < N_OPS);
	assert_int_equal(host_counter(&host, ABI_COUNTER_SESSIONS_BROKEN), 0);
}

/* With everybody gone the broker has everything back. */
static void check_rest(void)
{
	struct timespec t = {.tv_nsec = 20000000};
	char why[256] = "";
	int i;

	for (i = 0; i < 1000; i++) {
		if (!host_gauge(&host, ABI_GAUGE_SESSIONS_NOW) &&
			!host_gauge(&host, ABI_GAUGE_LIMBO_BYTES) &&
			!host_gauge(&host, ABI_GAUGE_RESERVED_BYTES) &&
			!host_gauge(&host, ABI_GAUGE_PINNED_BYTES))
			break;
		nanosleep(&t, NULL);
	}
	assert_int_equal(host_gauge(&host, ABI_GAUGE_SESSIONS_NOW), 0);
	assert_int_equal(host_gauge(&host, ABI_GAUGE_LIMBO_BYTES), 0);
	assert_int_equal(host_gauge(&host, ABI_GAUGE_RESERVED_BYTES), 0);
	assert_int_equal(host_gauge(&host, ABI_GAUGE_PINNED_BYTES), 0);
	if (store_check(&host.broker.store, why, sizeof(why)))
		fail_msg("%s", why);
}

static void work(const char *poll)
{
	const char *options[] = {"dram.size=4MiB", "index.size_max=2MiB", "eviction.batch=8",
		"broker.workers=2", "broker.spin=20us", poll, "session.lanes=8", "session.queue=16",
		"session.holds=64", "session.staging=64KiB", "session.reservations=4", NULL};
	static struct load loads[N_LOADS + 1]; /* the last is the releaser's */
	unsigned long n_shared = one_mapping_n_shared();
	unsigned n_mapped = one_mapping_n_mapped(), i;
	static bool is_running;
	struct shmc *cache[2];

	/* Left by the test before, which failed. */
	if (is_running)
		skip();
	is_running = true;
	assert_int_equal(host_start(&host, options), 0);
	cache[0] = attach(SHMC_ROLE_WRITER);
	cache[1] = attach(SHMC_ROLE_STAGER);
	assert_non_null(cache[0]);
	assert_non_null(cache[1]);
	/* Plane, index, request, response, tier of each: without this all else is worth nothing. */
	assert_int_equal(one_mapping_n_shared() - n_shared, 10);
	assert_int_equal(one_mapping_n_mapped() - n_mapped, 7);

	pthread_mutex_init(&run.exchange.lock, NULL);
	atomic_init(&run.exchange.is_done, false);
	run.exchange.cache = cache[0];
	for (i = 0; i <= N_LOADS; i++)
		load_init(&loads[i], &run, cache[i == N_LOADS - 1], i, n_ops / N_GENERATIONS);
	load_all(loads);
	for (i = 0; i < N_LOADS; i++)
		load_end(&loads[i]);
	pthread_mutex_destroy(&run.exchange.lock);
	assert_int_equal(shmc_ping(cache[0], LOAD_TIMEOUT_MS), 0);
	assert_int_equal(shmc_ping(cache[1], LOAD_TIMEOUT_MS), 0);
	shmc_detach(cache[0]);
	shmc_detach(cache[1]);

	check_rest();
	check_counters();
	host_stop(&host);
	is_running = false;
	assert_int_equal(one_mapping_n_mapped(), n_mapped);
	assert_int_equal(atomic_load(&run.n_failures), 0);
}

static void adaptive(void **state)
{
	(void)state;
	work("broker.poll=adaptive");
}

static void sleeping(void **state)
{
	(void)state;
	work("broker.poll=sleep");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(adaptive),
		cmocka_unit_test(sleeping),
	};
	const char *ops = getenv("SHMCACHE_TSAN_OPS"), *seed = getenv("SHMCACHE_SEED");
	int r;

	if (ops)
		n_ops = (unsigned)strtoul(ops, NULL, 10);
	run.seed = seed ? strtoull(seed, NULL, 10) : 1;
	print_message("seed %llu, %u operations a thread\n", (unsigned long long)run.seed, n_ops);
	r = cmocka_run_group_tests(tests, NULL, NULL);
	/* Of a broker that a failed test did not stop. */
	(void)broker_run_unlink(host_name(&host));
	return r;
}
