/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One who stands still, or runs wild without breaking a rule: a stopped client, a stopped broker, a
 * client that never takes its answers, one that rings without end. The others don't notice.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/system/common.h"

#define N_QUEUE 16

static struct system_broker broker;
static struct shmc *cache;
static _Atomic unsigned *progress;

static bool has_begun(void *context)
{
	return *progress > *(unsigned *)context;
}

static void wait_past(unsigned where)
{
	assert_true(system_wait(has_begun, &where));
}

/* What the others do meanwhile: every kind of request, with views held in between. */
static void work(unsigned n)
{
	struct shmc_view view;
	uint8_t bytes[2000];
	char key[32];
	unsigned i;

	for (i = 0; i < n; i++) {
		snprintf(key, sizeof(key), "work-%u", i % 50);
		system_fill(bytes, sizeof(bytes), i);
		assert_int_equal(shmc_put(cache, key, strlen(key), bytes, sizeof(bytes), NULL, 60000), 0);
		assert_int_equal(shmc_get(cache, key, strlen(key), &view), 0);
		assert_memory_equal(view.data, bytes, sizeof(bytes));
		shmc_release(cache, &view);
		if (i % 3 == 0)
			assert_int_equal(shmc_delete(cache, key, strlen(key), 60000), 0);
	}
}

/* --- a stopped client ------------------------------------------------------------------------- */

static int busy_body(void *context)
{
	struct shmc_view view;
	struct shmc *own;
	char key[32];
	int r;

	(void)context;
	if (shmc_attach(&own, broker.run.name, NULL))
		return 1;
	for (;; ++*progress) {
		snprintf(key, sizeof(key), "busy-%u", *progress % 20);
		r = shmc_put(own, key, strlen(key), key, sizeof(key), NULL, 60000);
		if (r)
			return 2;
		r = shmc_get(own, key, strlen(key), &view);
		if (r && r != SHMC_MISS)
			return 3;
		if (!r)
			shmc_release(own, &view);
	}
}

static void test_stopped_client(void **state)
{
	pid_t pid;
	int i, status;

	(void)state;
	*progress = 0;
	pid = system_spawn(busy_body, NULL);
	wait_past(10);
	for (i = 0; i < 10; i++) {
		kill(pid, SIGSTOP);
		assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
		assert_true(WIFSTOPPED(status));
		work(100);
		system_assert_alive(&broker);
		kill(pid, SIGCONT);
		wait_past(*progress);
	}
	assert_int_equal(waitpid(pid, &status, WNOHANG), 0); /* it works on */
	/* Stopped for good: its end is noticed all the same. */
	kill(pid, SIGSTOP);
	system_end(pid);
	work(100);
}

/* --- a stopped broker ------------------------------------------------------------------------- */

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void test_stopped_broker(void **state)
{
	struct shmc_attach_options options = {.timeout_ms = 150};
	struct shmc_reservation reservation = {0};
	struct shmc_request request = {.operation = SHMC_OP_DELETE, .key = "key", .key_size = 3};
	uint64_t began, n_deleted;
	struct shmc_view view;
	struct shmc *other;
	char text[8];
	unsigned i;
	int status;

	(void)state;
	work(10);
	assert_int_equal(shmc_put(cache, "key", 3, "value", 5, NULL, 60000), 0);
	kill(broker.run.proc.pid, SIGSTOP);
	assert_int_equal(waitpid(broker.run.proc.pid, &status, WUNTRACED), broker.run.proc.pid);
	assert_true(WIFSTOPPED(status));
	/* A hit is no business of the broker's. */
	assert_int_equal(shmc_get(cache, "key", 3, &view), 0);
	assert_memory_equal(view.data, "value", 5);
	shmc_release(cache, &view);
	assert_int_equal(shmc_read(cache, "key", 3, text, sizeof(text), NULL), 0);
	assert_int_equal(shmc_exists(cache, "other", 5), SHMC_MISS);

	began = now_ms();
	assert_int_equal(shmc_ping(cache, 100), -ETIMEDOUT);
	assert_true(now_ms() - began >= 99);
	assert_int_equal(shmc_ping(cache, 0), -ETIMEDOUT);
	assert_int_equal(shmc_put(cache, "late", 4, "value", 5, NULL, 50), -ETIMEDOUT);
	assert_int_equal(shmc_delete(cache, "key", 3, 50), -ETIMEDOUT);
	assert_int_equal(shmc_touch(cache, "key", 3, 0, 50), -ETIMEDOUT);
	assert_int_equal(shmc_pin(cache, "key", 3, 0, 50), -ETIMEDOUT);
	assert_int_equal(shmc_unpin(cache, "key", 3, 50), -ETIMEDOUT);
	assert_int_equal(shmc_flush(cache, "none", 4, &n_deleted, 50), -ETIMEDOUT);
	assert_int_equal(shmc_reserve(cache, "r", 1, 64, NULL, &reservation, 50), -ETIMEDOUT);
	assert_int_equal(shmc_execute(cache, &request, 1, 50), -ETIMEDOUT);
	assert_int_equal(request.result, -ETIMEDOUT);
	assert_int_equal(shmc_attach(&other, broker.run.name, &options), -ETIMEDOUT);
	/* Until the ring is full, and beyond. */
	for (i = 0; i < 3 * N_QUEUE; i++)
		assert_int_equal(shmc_ping(cache, 5), -ETIMEDOUT);

	kill(broker.run.proc.pid, SIGCONT);
	assert_int_equal(shmc_ping(cache, 60000), 0);
	work(100);
	assert_int_equal(shmc_attach(&other, broker.run.name, NULL), 0);
	shmc_detach(other);
	/* The reservation that was given up on is not left open. */
	assert_int_equal(shmc_put(cache, "r", 1, "value", 5, NULL, 60000), 0);
}

/* --- who never takes his answers -------------------------------------------------------------- */

static void test_never_reaping(void **state)
{
	struct submission s = {.operation = ABI_OP_PING};
	uint64_t memory = system_memory(broker.run.proc.pid), consumed;
	struct completion completion;
	struct raw_client c;
	struct raw_lane *lane;
	unsigned i;

	(void)state;
	assert_int_equal(raw_attach(&c, broker.run.name, WIRE_ROLE_NONE), 0);
	assert_int_equal(raw_lane_open(&c, &lane), 0);
	/* A ring full of answers, and behind it one full of requests. */
	for (i = 0; i < N_QUEUE; i++)
		raw_submit(&c, lane, &s);
	while (shared_u64_load(&lane->response->consumed) < N_QUEUE)
		system_pause();
	for (i = 0; i < N_QUEUE; i++) {
		s.id = N_QUEUE + i;
		raw_submit(&c, lane, &s);
	}
	for (i = 0; i < 20; i++) {
		work(50);
		raw_wake(&c, lane);
	}
	/* It took no more than it could answer. */
	consumed = shared_u64_load(&lane->response->consumed);
	assert_int_equal(consumed, N_QUEUE);
	assert_int_equal(shared_u32_load(&lane->response->fault), ABI_FAULT_NONE);
#ifndef __SANITIZE_ADDRESS__
	assert_in_range(system_memory(broker.run.proc.pid), 0, memory + (1 << 20));
#else
	(void)memory;
#endif
	/* Nothing is lost: with room come the answers. */
	for (i = 0; i < 2 * N_QUEUE; i++) {
		assert_int_equal(raw_reap(&c, lane, &completion), 0);
		assert_int_equal(completion.id, i < N_QUEUE ? 0 : i);
		raw_wake(&c, lane);
	}
	assert_int_equal(raw_ping(&c, lane), ABI_STATUS_OK);
	raw_detach(&c);
}

/* --- storms of doorbells ---------------------------------------------------------------------- */

static int ring_body(void *context)
{
	struct raw_client c;
	struct raw_lane *lane;
	char bytes[256] = "";

	(void)context;
	if (raw_attach(&c, broker.run.name, WIRE_ROLE_NONE) || raw_lane_open(&c, &lane) ||
		raw_lane_open(&c, &lane))
		return 1;
	for (;; ++*progress) {
		send(c.lane[0].doorbell, bytes, 1, MSG_DONTWAIT | MSG_NOSIGNAL);
		/* More than a byte at once, too. */
		send(c.lane[1].doorbell, bytes, *progress % sizeof(bytes),
			MSG_DONTWAIT | MSG_NOSIGNAL);
	}
}

static void test_doorbell_storm(void **state)
{
	uint64_t memory = system_memory(broker.run.proc.pid);
	pid_t pid[2];

	(void)state;
	*progress = 0;
	pid[0] = system_spawn(ring_body, NULL);
	pid[1] = system_spawn(ring_body, NULL);
	wait_past(1000);
	work(1000);
	system_assert_alive(&broker);
	system_end(pid[0]);
	system_end(pid[1]);
#ifndef __SANITIZE_ADDRESS__
	assert_in_range(system_memory(broker.run.proc.pid), 0, memory + (1 << 20));
#else
	(void)memory;
#endif
	assert_int_equal(broker_run_stat(cache, "shmcache_sessions_broken_total"), 0);
}

/* A doorbell that its client has closed, or shut one way, is no way to make the broker spin. */
static void test_closed_doorbell(void **state)
{
	struct proc_usage before, after;
	struct raw_client c;
	struct raw_lane *lane;
	int i;

	(void)state;
	assert_int_equal(raw_attach(&c, broker.run.name, WIRE_ROLE_NONE), 0);
	for (i = 0; i < 3; i++)
		assert_int_equal(raw_lane_open(&c, &lane), 0);
	assert_int_equal(raw_ping(&c, lane), ABI_STATUS_OK);
	shutdown(c.lane[0].doorbell, SHUT_RDWR);
	shutdown(c.lane[1].doorbell, SHUT_WR);
	shutdown(c.lane[2].doorbell, SHUT_RD);
	for (i = 0; i < 50; i++)
		system_pause();
	assert_int_equal(proc_usage(broker.run.proc.pid, &before), 0);
	for (i = 0; i < 250; i++)
		system_pause();
	assert_int_equal(proc_usage(broker.run.proc.pid, &after), 0);
	/* A spinning broker would have slept never, and worked for all of the half second. */
	assert_in_range(after.cpu_ns - before.cpu_ns, 0, 200000000);
	work(100);
	raw_detach(&c);
}

static int setup(void **state)
{
	(void)state;
	progress = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (progress == MAP_FAILED)
		return -1;
	system_start(&broker, "8MiB", false, "[session]\nqueue = 16\n");
	return shmc_attach(&cache, broker.run.name, NULL);
}

/* Also where a test has failed half-way. */
static int go_on(void **state)
{
	(void)state;
	return kill(broker.run.proc.pid, SIGCONT);
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
		cmocka_unit_test(test_stopped_client),
		cmocka_unit_test_teardown(test_stopped_broker, go_on),
		cmocka_unit_test(test_never_reaping),
		cmocka_unit_test(test_doorbell_storm),
		cmocka_unit_test(test_closed_doorbell),
	};

	/* Ended from outside, too, it leaves nothing behind. */
	if (cleanup_guard())
		return 1;
	return cmocka_run_group_tests(tests, setup, teardown);
}
