/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SIGTERM: what is in flight is answered, nobody can put the end off, and the cache stays warm or,
 * with persist = off, leaves nothing.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/system/common.h"

#define N_QUEUE 256
#define VALUE_SIZE 3000

static struct system_broker broker;
static uint8_t bytes[VALUE_SIZE];

static const char *key_of(unsigned i)
{
	static char key[32];

	snprintf(key, sizeof(key), "key-%u", i);
	return key;
}

static bool has_ended(void *context)
{
	(void)context;
	return !proc_running(&broker.run.proc);
}

/* It ends by itself, with status 0; bounded by what a person would wait. */
static void stop_with(int signal_number)
{
	kill(broker.run.proc.pid, signal_number);
	if (!system_wait(has_ended, NULL)) {
		kill(broker.run.proc.pid, SIGKILL);
		fail_msg("it does not stop");
	}
	assert_int_equal(proc_wait(&broker.run.proc), 0);
}

/* --- what is in flight ------------------------------------------------------------------------ */

/* Each has an answer, in its order; an OK is a promise to the next broker's clients. */
static void test_in_flight(void **state)
{
	struct completion completion;
	uint32_t status[N_QUEUE];
	struct submission s;
	struct raw_client c;
	struct raw_lane *lane;
	unsigned i, round, n_ok = 0;

	(void)state;
	for (round = 0; round < 10; round++) {
		system_start(&broker, "16MiB", true, "[session]\nqueue = 256\nstaging = 1MiB\n");
		assert_int_equal(raw_attach(&c, broker.run.name, WIRE_ROLE_NONE), 0);
		assert_int_equal(raw_lane_open(&c, &lane), 0);
		for (i = 0; i < N_QUEUE; i++) {
			memset(&s, 0, sizeof(s));
			s.operation = ABI_OP_PUT;
			s.id = i;
			s.staging_off = i * 4096;
			s.key_size = (uint16_t)strlen(key_of(i));
			s.value_size = VALUE_SIZE;
			memcpy(lane->staging + s.staging_off, key_of(i), s.key_size);
			system_fill(lane->staging + submission_value_off(&s), VALUE_SIZE, i);
			if (i == round * 25)
				kill(broker.run.proc.pid, SIGTERM);
			raw_submit(&c, lane, &s);
		}
		for (i = 0; i < N_QUEUE; i++) {
			if (raw_reap(&c, lane, &completion))
				break; /* submitted after it had gone: the hang-up says so */
			assert_int_equal(completion.id, i);
			assert_true(completion.status == ABI_STATUS_OK ||
				completion.status == ABI_STATUS_STOPPING);
			status[i] = completion.status;
		}
		/* What was in the ring before the signal was answered. */
		if (i < round * 25)
			fail_msg("%u of %u that were there are answered", i, round * 25);
		while (i < N_QUEUE)
			status[i++] = ABI_STATUS_STOPPING;
		raw_detach(&c);
		assert_true(system_wait(has_ended, NULL));
		assert_int_equal(proc_wait(&broker.run.proc), 0);
		system_again(&broker);
		assert_int_equal(raw_attach(&c, broker.run.name, WIRE_ROLE_NONE), 0);
		for (i = 0; i < N_QUEUE; i++) {
			if (status[i] != ABI_STATUS_OK)
				continue;
			n_ok++;
			system_fill(bytes, VALUE_SIZE, i);
			assert_true(raw_value_is(&c, key_of(i), bytes, VALUE_SIZE));
		}
		raw_detach(&c);
		system_stop(&broker);
	}
	assert_true(n_ok > 0);
}

/* The same by the library: each request has a result. */
static void test_in_flight_by_library(void **state)
{
	static struct shmc_request requests[N_QUEUE], *pointers[N_QUEUE], *done[N_QUEUE];
	static char keys[N_QUEUE][16];
	unsigned n_taken = 0, n_done = 0, n_ok = 0, i;
	struct shmc_queue *queue;
	struct shmc *cache;
	int r;

	(void)state;
	system_start(&broker, "16MiB", true, "");
	assert_int_equal(shmc_attach(&cache, broker.run.name, NULL), 0);
	assert_int_equal(shmc_queue_open(&queue, cache), 0);
	system_fill(bytes, VALUE_SIZE, 7);
	for (i = 0; i < N_QUEUE; i++) {
		snprintf(keys[i], sizeof(keys[i]), "key-%u", i);
		requests[i] = (struct shmc_request){.operation = SHMC_OP_PUT, .key = keys[i],
			.key_size = strlen(keys[i]), .value = bytes, .value_size = VALUE_SIZE};
		pointers[i] = &requests[i];
	}
	r = shmc_submit(queue, pointers, N_QUEUE);
	assert_true(r > 0);
	n_taken = (unsigned)r;
	kill(broker.run.proc.pid, SIGTERM);
	while (n_done < n_taken) {
		r = shmc_reap(queue, done, N_QUEUE, 60000);
		assert_true(r > 0);
		for (i = 0; i < (unsigned)r; i++) {
			assert_true(done[i]->result == 0 || done[i]->result == -ENOTCONN);
			n_ok += done[i]->result == 0;
		}
		n_done += (unsigned)r;
	}
	assert_true(system_wait(has_ended, NULL));
	assert_int_equal(proc_wait(&broker.run.proc), 0);
	shmc_queue_close(queue);
	assert_int_equal(shmc_ping(cache, 100), -ENOTCONN);

	/* Warm, and the client finds its way back. */
	system_again(&broker);
	assert_int_equal(shmc_ping(cache, 60000), 0);
	for (i = 0; i < n_taken; i++)
		if (!requests[i].result)
			assert_int_equal(shmc_exists(cache, keys[i], strlen(keys[i])), 0);
	assert_int_equal(broker_run_stat(cache, "shmcache_recovered_total") >= n_ok, 1);
	shmc_detach(cache);
	system_stop(&broker);
}

/*
 * More than a stop has time for: 4096 puts of 4 MiB, which are all there before the signal is. What
 * has to wait for them is told no, and not left to find out from the hang-up.
 */
static void test_more_than_there_is_time_for(void **state)
{
	enum { N = 4096, SIZE = (4 << 20) - 4096 };
	struct submission s = {.operation = ABI_OP_PUT, .key_size = 3, .value_size = SIZE};
	struct completion completion;
	struct raw_client c;
	struct raw_lane *lane;
	unsigned i, n_ok = 0;
	int r = 0;

	(void)state;
	system_start(&broker, "64MiB", false,
		"[broker]\nround = 1\n[session]\nqueue = 4096\nlanes = 1\nstaging = 4MiB\n");
	assert_int_equal(raw_attach(&c, broker.run.name, WIRE_ROLE_NONE), 0);
	assert_int_equal(raw_lane_open(&c, &lane), 0);
	memcpy(lane->staging, "key", 3);
	system_fill(lane->staging + submission_value_off(&s), SIZE, 1);
	assert_int_equal(kill(broker.run.proc.pid, SIGSTOP), 0);
	for (i = 0; i < N; i++)
		raw_submit(&c, lane, &s);
	assert_int_equal(kill(broker.run.proc.pid, SIGTERM), 0);
	assert_int_equal(kill(broker.run.proc.pid, SIGCONT), 0);
	completion.status = ABI_STATUS_OK;
	for (i = 0; i < N && !(r = raw_reap(&c, lane, &completion)); i++) {
		assert_true(completion.status == ABI_STATUS_STOPPING ||
			(completion.status == ABI_STATUS_OK && n_ok == i));
		n_ok += completion.status == ABI_STATUS_OK;
	}
	print_message("%u of %u carried out, %u told no\n", n_ok, i, i - n_ok);
	assert_true(!r || r == -EPIPE);
	assert_true(n_ok == N || completion.status == ABI_STATUS_STOPPING);
	raw_detach(&c);
	assert_true(system_wait(has_ended, NULL));
	assert_int_equal(proc_wait(&broker.run.proc), 0);
	system_stop(&broker);
}

/* --- who would put it off --------------------------------------------------------------------- */

static int flood_body(void *context)
{
	struct submission s = {.operation = ABI_OP_PING};
	struct completion completion;
	struct raw_client c;
	struct raw_lane *lane;

	(void)context;
	if (raw_attach(&c, broker.run.name, WIRE_ROLE_NONE) || raw_lane_open(&c, &lane))
		return 1;
	for (;;) {
		raw_submit(&c, lane, &s);
		if (lane->submitted - lane->reaped >= 64 && raw_reap(&c, lane, &completion))
			return 0;
	}
}

static void test_under_a_flood(void **state)
{
	pid_t pid[3];
	int i;

	(void)state;
	system_start(&broker, "4MiB", false, "[broker]\nworkers = 2\n");
	for (i = 0; i < 3; i++)
		pid[i] = system_spawn(flood_body, NULL);
	for (i = 0; i < 100; i++)
		system_pause();
	kill(broker.run.proc.pid, SIGTERM);
	i = system_wait(has_ended, NULL);
	system_end(pid[0]);
	system_end(pid[1]);
	system_end(pid[2]);
	assert_true(i);
	assert_int_equal(proc_wait(&broker.run.proc), 0);
	assert_int_equal(system_shm_count(broker.run.name), 0);
	system_stop(&broker);
}

/* Who never takes his answers, never reads his socket, or holds all views there are. */
static void test_with_deaf_clients(void **state)
{
	struct submission s = {.operation = ABI_OP_PING};
	struct raw_client c;
	struct raw_lane *lane;
	unsigned i;

	(void)state;
	system_start(&broker, "4MiB", false, "[session]\nqueue = 16\n");
	assert_int_equal(raw_attach(&c, broker.run.name, WIRE_ROLE_NONE), 0);
	assert_int_equal(raw_lane_open(&c, &lane), 0);
	assert_int_equal(raw_put(&c, lane, "held", "value", 5), ABI_STATUS_OK);
	for (i = 0; i < 32; i++)
		raw_submit(&c, lane, &s);
	for (i = 0; i < c.geometry.n_holds; i++)
		shared_u64_store(&lane->hold[i], i + 1);
	shared_u64_store(&lane->request->holds_used, c.geometry.n_holds);
	stop_with(SIGTERM);
	assert_int_equal(system_shm_count(broker.run.name), 0);
	assert_int_equal(raw_wait_hangup(c.socket), 0);
	raw_detach(&c);
	system_stop(&broker);
}

/* --- what stays ------------------------------------------------------------------------------- */

static void test_sigint(void **state)
{
	(void)state;
	system_start(&broker, "4MiB", false, "");
	stop_with(SIGINT);
	assert_int_equal(system_shm_count(broker.run.name), 0);
	system_stop(&broker);
}

static void test_warm_and_cold(void **state)
{
	struct shmc *cache;
	char found[8];

	(void)state;
	system_start(&broker, "4MiB", true, "");
	assert_int_equal(shmc_attach(&cache, broker.run.name, NULL), 0);
	assert_int_equal(shmc_put(cache, "key", 3, "value", 5, NULL, SHMC_TIMEOUT_DEFAULT), 0);
	stop_with(SIGTERM);
	/* Nobody serves; what was read in place is not served by a dead broker either. */
	assert_int_equal(shmc_put(cache, "key", 3, "value", 5, NULL, 100), -ENOTCONN);
	system_again(&broker);
	assert_int_equal(system_log_count(&broker, "event=warm-start entries=1"), 1);
	assert_int_equal(shmc_ping(cache, 60000), 0);
	assert_int_equal(shmc_read(cache, "key", 3, found, sizeof(found), NULL), 0);
	assert_memory_equal(found, "value", 5);
	stop_with(SIGTERM);

	/* With persist = off, what a former broker left is not served, and not left again. */
	system_configure(&broker, "4MiB", false, "");
	system_again(&broker);
	assert_int_equal(shmc_ping(cache, 60000), 0);
	assert_int_equal(shmc_exists(cache, "key", 3), SHMC_MISS);
	shmc_detach(cache);
	system_stop(&broker);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_in_flight),
		cmocka_unit_test(test_in_flight_by_library),
		cmocka_unit_test(test_more_than_there_is_time_for),
		cmocka_unit_test(test_under_a_flood),
		cmocka_unit_test(test_with_deaf_clients),
		cmocka_unit_test(test_sigint),
		cmocka_unit_test(test_warm_and_cold),
	};

	/* Ended from outside, too, it leaves nothing behind. */
	if (cleanup_guard())
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
