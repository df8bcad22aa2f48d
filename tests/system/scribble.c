/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clients that write over their own request region as fast as they can, while another one works.
 *
 * The other one's values stay right, the broker lives, and who scribbles is cut off, counted, and
 * told of in the log a bounded number of times, however often he comes back.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/system/common.h"

#define N_KEYS 64
#define N_ROUNDS 4000

static struct system_broker broker;
static struct shmc *cache;

struct scribbler {
	enum wire_role role;
	uint64_t seed;
	bool wholly; /* anywhere in the region, and not in the slots and holds alone */
};

static uint64_t next(uint64_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 7;
	*x ^= *x << 17;
	return *x;
}

/*
 * A slot that looks whole, with words of which one or two are random. No flush of everything, which
 * a stager may do: it would be honest work.
 */
static void write_slot(struct raw_client *c, struct raw_lane *lane, uint64_t *x)
{
	struct abi_submission *slot = &lane->submission[lane->submitted & (c->geometry.n_queue - 1)];
	struct submission s = {
		.operation = (uint8_t)(1 + next(x) % (ABI_N_OPERATIONS - 1)),
		.key_size = (uint16_t)(1 + next(x) % 40),
		.value_size = (uint32_t)(next(x) % 3000),
		.staging_off = (uint32_t)(next(x) % 60000),
		.argument = next(x) % 5,
	};
	unsigned word = next(x) % 7;

	if (s.operation == ABI_OP_FLUSH)
		s.operation = ABI_OP_PING;
	submission_publish(slot, lane->submitted - 1, &s);
	if (word && next(x) % 4 == 0)
		shared_u64_store(&slot->word[word], next(x));
	/* Rewritten while the broker may copy it. */
	shared_u64_store_release(&slot->word[7], ++lane->submitted);
	if (word)
		shared_u64_store(&slot->word[word], next(x));
	if (next(x) % 8 == 0)
		raw_wake(c, lane);
	shared_u64_store(&lane->hold[next(x) % c->geometry.n_holds], next(x) & UINT64_C(0xffff00000fff));
	shared_u64_store(&lane->request->holds_used, next(x) >> (next(x) & 63));
	shared_u64_store(&lane->request->logged, next(x) >> (next(x) & 63));
	shared_u32_store(&lane->log[next(x) % c->geometry.n_log], (uint32_t)next(x));
	if (next(x) % 4 == 0)
		shared_u64_store(&lane->request->reaped, lane->submitted - next(x) % 4);
}

/* Any bytes, but with the top bit set, where a key may be read: not one of the other's. */
static void scribble(struct raw_client *c, uint64_t *x)
{
	uint64_t *words = (uint64_t *)(void *)c->request;
	size_t n = c->request_size / 8, i, at = next(x) % n;

	for (i = 0; i < 512; i++)
		words[(at + i) % n] = next(x) | UINT64_C(0x8080808080808080);
}

static int scribble_body(void *context)
{
	struct scribbler *me = context;
	struct raw_client c;
	struct raw_lane *lane;
	uint64_t x = me->seed, n;
	int i;

	for (;;) {
		if (raw_attach(&c, broker.run.name, me->role))
			continue; /* as many as allowed are on their way out */
		for (i = 0; i < 3; i++)
			if (raw_lane_open(&c, &lane))
				break;
		for (n = 0; c.n_lanes && n < 20000; n++) {
			lane = &c.lane[next(&x) % c.n_lanes];
			if (shared_u32_load(&lane->response->fault))
				break;
			if (me->wholly)
				scribble(&c, &x);
			write_slot(&c, lane, &x);
		}
		raw_detach(&c);
	}
	return 0;
}

static void work(unsigned round)
{
	static uint8_t value[8192], found[8192];
	unsigned i = round * 31 % N_KEYS;
	size_t size = 1 + round * 97 % sizeof(value), found_size;
	char key[32];
	int r;

	/* What is read says whose it is and which. */
	snprintf(key, sizeof(key), "honest-%u", i);
	system_fill(value, size, i);
	r = shmc_put(cache, key, strlen(key), value, size, NULL, 60000);
	if (r && r != SHMC_NOSPACE)
		fail_msg("put: %s", shmc_strerror(r));
	r = shmc_read(cache, key, strlen(key), found, sizeof(found), &found_size);
	/* The others' puts may have pushed it out. */
	if (r == SHMC_MISS)
		return;
	assert_int_equal(r, 0);
	system_fill(value, found_size, i);
	assert_memory_equal(found, value, found_size);
}

/* At once, or as a count when the second is over. */
static bool is_told(void *context)
{
	return system_log_count(&broker, "event=session-cut-off") > *(unsigned *)context;
}

static bool is_cut_off(void *context)
{
	return broker_run_stat(cache, "shmcache_sessions_broken_total") > *(uint64_t *)context;
}

static void run(struct scribbler *who, unsigned n)
{
	uint64_t broken = broker_run_stat(cache, "shmcache_sessions_broken_total");
	unsigned i, n_lines = system_log_count(&broker, "event=session-cut-off");
	uint64_t memory = system_memory(broker.run.proc.pid);
	struct raw_client watcher;
	pid_t pid[4];

	assert_in_range(n, 1, 4);
	for (i = 0; i < n; i++)
		pid[i] = system_spawn(scribble_body, &who[i]);
	for (i = 0; i < N_ROUNDS; i++)
		work(i);
	/* On a busy machine they may not have had their turn yet. */
	assert_true(system_wait(is_cut_off, &broken));
	for (i = 0; i < n; i++)
		system_end(pid[i]);
	system_assert_alive(&broker);
	/* Cut off and counted, and told of at most ten times a second. */
	broken = broker_run_stat(cache, "shmcache_sessions_broken_total") - broken;
	assert_true(system_wait(is_told, &n_lines));
	n_lines = system_log_count(&broker, "event=session-cut-off") - n_lines;
	assert_true(n_lines <= broken + 1);
	/* All is given back: sessions, reservations, what they held. */
	assert_int_equal(raw_attach(&watcher, broker.run.name, WIRE_ROLE_NONE), 0);
	assert_int_equal(system_wait_gauge(&watcher, ABI_GAUGE_SESSIONS_NOW, 2), 2);
	assert_int_equal(system_wait_gauge(&watcher, ABI_GAUGE_RESERVED_BYTES, 0), 0);
	assert_int_equal(system_wait_gauge(&watcher, ABI_GAUGE_PINNED_BYTES, 0), 0);
	assert_int_equal(system_wait_gauge(&watcher, ABI_GAUGE_LIMBO_BYTES, 0), 0);
	raw_detach(&watcher);
	for (i = 0; i < 200; i++)
		work(i);
#ifndef __SANITIZE_ADDRESS__
	/* No growth that goes with how long it went on. */
	assert_in_range(system_memory(broker.run.proc.pid), 0, memory + (32 << 20));
#else
	(void)memory;
#endif
}

static void test_readers_slots(void **state)
{
	struct scribbler who[] = {{WIRE_ROLE_READER, 1, false}, {WIRE_ROLE_READER, 2, true}};

	(void)state;
	run(who, 2);
}

static void test_stagers_slots(void **state)
{
	struct scribbler who[] = {{WIRE_ROLE_STAGER, 3, false}, {WIRE_ROLE_STAGER, 4, true}};

	(void)state;
	run(who, 2);
}

static int setup(void **state)
{
	(void)state;
	system_start(&broker, "16MiB", false,
		"[session]\nlanes = 4\nqueue = 64\nholds = 64\nstaging = 64KiB\n");
	return shmc_attach(&cache, broker.run.name, NULL);
}

static int teardown(void **state)
{
	(void)state;
	shmc_detach(cache);
	system_stop(&broker);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_readers_slots),
		cmocka_unit_test(test_stagers_slots),
	};

	/* Ended from outside, too, it leaves nothing behind. */
	if (cleanup_guard())
		return 1;
	return cmocka_run_group_tests(tests, setup, teardown);
}
