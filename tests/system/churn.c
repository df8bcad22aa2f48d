/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A thousand attaches and detaches, and processes that leave without a word: neither broker nor
 * client keeps memory, descriptors, or objects in /dev/shm of them.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/system/common.h"

#define N_TURNS 1000
/* Far below what one session is: 1,000 of even its smallest part would show. */
#define SLACK (256U << 10)

static struct system_broker broker;
static const struct abi_plane *plane;
static size_t plane_size;

struct footprint {
	unsigned own_fds, broker_fds, shm;
	uint64_t own_memory, broker_memory;
	uint64_t n_maps; /* ours */
};

static uint64_t maps_count(void)
{
	FILE *file = fopen("/proc/self/maps", "re");
	uint64_t n = 0;
	int c;

	assert_non_null(file);
	while ((c = getc(file)) != EOF)
		n += c == '\n';
	fclose(file);
	return n;
}

static bool is_empty(void *context)
{
	return !shared_u64_load(&((const struct abi_plane *)context)->gauge[ABI_GAUGE_SESSIONS_NOW]);
}

/*
 * The broker takes leave when it comes to that. One that lags has many sessions at once, up to
 * those that it may have, and then a heap that is as large: so we wait for it each time.
 */
static void wait_for_leave(void)
{
	assert_true(system_wait(is_empty, (void *)plane));
}

static void look(struct footprint *f)
{
	wait_for_leave();
	f->own_fds = system_fd_count(getpid());
	f->broker_fds = system_fd_count_at_rest(broker.run.proc.pid);
	f->shm = system_shm_count(broker.run.name);
	f->own_memory = system_memory(getpid());
	f->broker_memory = system_memory(broker.run.proc.pid);
	f->n_maps = maps_count();
}

static void assert_same(const struct footprint *before, const struct footprint *after)
{
	assert_int_equal(after->own_fds, before->own_fds);
	assert_int_equal(after->broker_fds, before->broker_fds);
	assert_int_equal(after->shm, before->shm);
#ifndef __SANITIZE_ADDRESS__
	/* A sanitizer keeps freed memory for a while; its own leak check looks at the rest. */
	assert_in_range(after->own_memory, 0, before->own_memory + SLACK);
	assert_in_range(after->broker_memory, 0, before->broker_memory + SLACK);
	assert_in_range(after->n_maps, 0, before->n_maps + 2);
#endif
}

static int attach_and_work(unsigned i)
{
	struct shmc_reservation reservation;
	struct shmc_view view;
	struct shmc_queue *queue;
	struct shmc *cache;
	int r = shmc_attach(&cache, broker.run.name, NULL);

	if (r)
		return r;
	r = shmc_put(cache, &i, sizeof(i), "value", 5, NULL, SHMC_TIMEOUT_DEFAULT);
	if (!r)
		r = shmc_get(cache, &i, sizeof(i), &view);
	/* What is open is closed by the detach. */
	if (!r && i % 2)
		r = shmc_reserve(cache, "open", 4, 1000, NULL, &reservation, SHMC_TIMEOUT_DEFAULT);
	if (!r && i % 3 == 0)
		r = shmc_queue_open(&queue, cache);
	if (!r && i % 5 == 0)
		r = shmc_pin(cache, &i, sizeof(i), 0, SHMC_TIMEOUT_DEFAULT);
	if (i % 7 == 0)
		shmc_release(cache, &view);
	shmc_detach(cache);
	wait_for_leave();
	return r;
}

static void test_attach_and_detach(void **state)
{
	struct footprint before, after;
	unsigned i;

	(void)state;
	/* The first ones warm up caches of the C library. */
	for (i = 0; i < 100; i++)
		assert_int_equal(attach_and_work(i), 0);
	look(&before);
	for (i = 0; i < N_TURNS; i++)
		assert_int_equal(attach_and_work(i % 100), 0);
	look(&after);
	assert_same(&before, &after);
	system_assert_alive(&broker);
}

static void test_raw_attach_and_detach(void **state)
{
	struct footprint before, after;
	struct raw_client c;
	struct raw_lane *lane;
	unsigned i, j;

	(void)state;
	for (i = 0; i < N_TURNS + 50; i++) {
		if (i == 50)
			look(&before);
		assert_int_equal(raw_attach(&c, broker.run.name, WIRE_ROLE_NONE), 0);
		for (j = 0; j < i % 5; j++)
			assert_int_equal(raw_lane_open(&c, &lane), 0);
		raw_detach(&c);
		wait_for_leave();
	}
	look(&after);
	assert_same(&before, &after);
}

static int leave_body(void *context)
{
	unsigned how = *(unsigned *)context;
	struct shmc_view view;
	struct shmc *cache;

	if (shmc_attach(&cache, broker.run.name, NULL) ||
		shmc_put(cache, "left", 4, "value", 5, NULL, SHMC_TIMEOUT_DEFAULT) ||
		shmc_get(cache, "left", 4, &view))
		return 1;
	if (how)
		raise(SIGKILL);
	return 0;
}

static void test_leave_without_a_word(void **state)
{
	struct footprint before, after;
	unsigned i, how;
	int status;

	(void)state;
	for (i = 0; i < 120; i++) {
		how = i % 2;
		if (i == 20)
			look(&before);
		status = system_child(leave_body, &how);
		assert_true(how ? WIFSIGNALED(status) : status == 0);
	}
	look(&after);
	assert_same(&before, &after);
	system_assert_alive(&broker);
}

static int setup(void **state)
{
	(void)state;
	system_start(&broker, "8MiB", false, "");
	plane = raw_plane_open(broker.run.name, &plane_size);
	return plane ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	raw_plane_close(plane, plane_size);
	system_stop(&broker);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_attach_and_detach),
		cmocka_unit_test(test_raw_attach_and_detach),
		cmocka_unit_test(test_leave_without_a_word),
	};

	/* Ended from outside, too, it leaves nothing behind. */
	if (cleanup_guard())
		return 1;
	return cmocka_run_group_tests(tests, setup, teardown);
}
