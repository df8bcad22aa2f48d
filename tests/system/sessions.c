/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions: what the directory says of one, as many as there may be, and what ends just one. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/system/common.h"

#define N_LANES 4
#define N_SESSIONS 8

static struct system_broker broker;

/* The directory says which memory is the session's: an inspector finds it by that. */
static void test_directory(void **state)
{
	const struct abi_session *line = NULL;
	struct stat request, response;
	struct raw_client c;
	uint32_t i;

	(void)state;
	assert_int_equal(raw_attach(&c, broker.run.name, WIRE_ROLE_NONE), 0);
	for (i = 0; i < c.plane->n_sessions_max && !line; i++)
		if (shared_u64_load_acquire(&c.plane->session[i].id) == c.welcome.session)
			line = &c.plane->session[i];
	assert_non_null(line);
	assert_int_equal(fstat(c.fd[RAW_REQUEST], &request), 0);
	assert_int_equal(fstat(c.fd[RAW_RESPONSE], &response), 0);
	assert_int_equal(shared_u64_load(&line->region_dev), request.st_dev);
	assert_int_equal(shared_u64_load(&line->request_ino), request.st_ino);
	assert_int_equal(shared_u64_load(&line->response_ino), response.st_ino);
	assert_int_equal(shared_u32_load(&line->lanes_max), c.welcome.n_lanes);
	assert_int_equal(shared_u32_load(&line->n_queue), c.welcome.n_queue);
	assert_int_equal(shared_u32_load(&line->n_holds), c.welcome.n_holds);
	assert_int_equal(shared_u32_load(&line->n_log), c.welcome.n_log);
	assert_int_equal(shared_u32_load(&line->staging_size), c.welcome.staging_size);
	raw_detach(&c);
}

static void test_lane_storm(void **state)
{
	struct raw_client c, other;
	struct raw_lane *lane, *others;
	unsigned before, i;

	(void)state;
	assert_int_equal(raw_attach(&other, broker.run.name, WIRE_ROLE_NONE), 0);
	assert_int_equal(raw_lane_open(&other, &others), 0);
	before = system_fd_count(broker.run.proc.pid);
	assert_int_equal(raw_attach(&c, broker.run.name, WIRE_ROLE_NONE), 0);
	for (i = 0; i < N_LANES; i++)
		assert_int_equal(raw_lane_open(&c, &lane), 0);
	for (i = 0; i < 2000; i++)
		assert_int_equal(raw_lane_open(&c, &lane), ABI_STATUS_QUOTA);
	assert_in_range(system_fd_count(broker.run.proc.pid), before, before + 4 + N_LANES);
	assert_int_equal(raw_ping(&c, &c.lane[0]), ABI_STATUS_OK);
	assert_int_equal(raw_ping(&other, others), ABI_STATUS_OK);
	raw_detach(&c);
	assert_true(system_wait_fd_count(&broker, before));
	raw_detach(&other);
}

/* One who asks and never listens is cut off, and told of in the log. */
static void test_lane_storm_unread(void **state)
{
	struct wire_lane_open ask = {0};
	struct raw_client c;
	uint64_t broken;
	unsigned before = system_fd_count(broker.run.proc.pid);
	struct raw_client other;
	int r, i;

	(void)state;
	assert_int_equal(raw_attach(&other, broker.run.name, WIRE_ROLE_NONE), 0);
	before += 4; /* the other's connection, process and regions */
	broken = raw_counter(&other, ABI_COUNTER_SESSIONS_BROKEN);
	assert_int_equal(raw_attach(&c, broker.run.name, WIRE_ROLE_NONE), 0);
	for (i = 0; i < 100000; i++) {
		r = wire_send(c.socket, WIRE_LANE_OPEN, &ask, sizeof(ask), NULL, 0);
		assert_true(r == 0 || r == -EAGAIN || r == -EPIPE);
	}
	assert_int_equal(system_wait_counter(&other, ABI_COUNTER_SESSIONS_BROKEN, broken + 1),
		broken + 1);
	assert_int_equal(raw_wait_hangup(c.socket), 0);
	raw_detach(&c);
	assert_true(system_wait_fd_count(&broker, before));
	assert_true(system_log_count(&broker, "event=session-cut-off") > 0);
	raw_detach(&other);
}

/* Nonsense on the socket of a session. */
static void test_nonsense_in_session(void **state)
{
	struct raw_client c, other;
	struct wire_hello hello;
	uint64_t broken;
	unsigned i;

	(void)state;
	assert_int_equal(raw_attach(&other, broker.run.name, WIRE_ROLE_NONE), 0);
	for (i = 0; i < 4; i++) {
		broken = raw_counter(&other, ABI_COUNTER_SESSIONS_BROKEN);
		assert_int_equal(raw_attach(&c, broker.run.name, WIRE_ROLE_NONE), 0);
		raw_hello_init(&hello, WIRE_ROLE_NONE);
		if (i == 0) /* a second hello */
			wire_send(c.socket, WIRE_HELLO, &hello, sizeof(hello), NULL, 0);
		else
			assert_int_equal(send(c.socket, &hello, i * 7, MSG_NOSIGNAL), i * 7);
		assert_int_equal(raw_wait_hangup(c.socket), 0);
		assert_int_equal(
			system_wait_counter(&other, ABI_COUNTER_SESSIONS_BROKEN, broken + 1),
			broken + 1);
		raw_detach(&c);
	}
	raw_detach(&other);
	system_assert_alive(&broker);
}

static bool is_empty(void *context)
{
	return !shared_u64_load(&((const struct abi_plane *)context)->gauge[ABI_GAUGE_SESSIONS_NOW]);
}

/* The broker takes leave of who has gone when it comes to that. */
static void wait_until_empty(void)
{
	size_t size;
	const struct abi_plane *plane = raw_plane_open(broker.run.name, &size);

	assert_non_null(plane);
	assert_true(system_wait(is_empty, (void *)plane));
	raw_plane_close(plane, size);
}

static void test_too_many_sessions(void **state)
{
	struct raw_client c[12];
	unsigned i, n = 0;
	int r = 0;

	(void)state;
	wait_until_empty();
	for (i = 0; i < 12; i++) {
		r = raw_attach(&c[i], broker.run.name, WIRE_ROLE_NONE);
		n += r == 0;
	}
	assert_int_equal(n, N_SESSIONS);
	assert_int_equal(r, WIRE_REFUSAL_FULL);
	assert_int_equal(system_attach(broker.run.name, NULL, 0), -EUSERS);
	for (i = 0; i < N_SESSIONS; i++)
		raw_detach(&c[i]);
	wait_until_empty();
	assert_int_equal(system_attach(broker.run.name, NULL, 0), 0);
}

/* Out of descriptors: who is in stays in, who comes is turned away, until there are some again. */
static void test_out_of_descriptors(void **state)
{
	struct rlimit limit = {0}, before;
	pid_t pid = broker.run.proc.pid;
	struct raw_client c, more;
	struct raw_lane *lane;
	unsigned i;
	int r = 0;

	(void)state;
	wait_until_empty();
	assert_int_equal(raw_attach(&c, broker.run.name, WIRE_ROLE_NONE), 0);
	assert_int_equal(raw_lane_open(&c, &lane), 0);
	assert_int_equal(prlimit(pid, RLIMIT_NOFILE, NULL, &before), 0);
	for (i = 0; i < 6; i++) {
		limit.rlim_max = before.rlim_max;
		limit.rlim_cur = system_fd_count(pid) + i;
		assert_int_equal(prlimit(pid, RLIMIT_NOFILE, &limit, NULL), 0);
		r = raw_attach(&more, broker.run.name, WIRE_ROLE_NONE);
		if (!r)
			raw_detach(&more);
		if (i < 2)
			assert_int_not_equal(r, 0);
		assert_int_equal(raw_ping(&c, lane), ABI_STATUS_OK);
	}
	assert_int_equal(prlimit(pid, RLIMIT_NOFILE, &before, NULL), 0);
	assert_int_equal(system_attach(broker.run.name, NULL, 0), 0);
	assert_int_equal(raw_ping(&c, lane), ABI_STATUS_OK);
	raw_detach(&c);
}

static int setup(void **state)
{
	(void)state;
	system_start(&broker, "4MiB", false, "[session]\nlanes = 4\nmax = 8\n");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	system_stop(&broker);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_directory),
		cmocka_unit_test(test_lane_storm),
		cmocka_unit_test(test_lane_storm_unread),
		cmocka_unit_test(test_nonsense_in_session),
		cmocka_unit_test(test_too_many_sessions),
		cmocka_unit_test(test_out_of_descriptors),
	};

	/* Ended from outside, too, it leaves nothing behind. */
	if (cleanup_guard())
		return 1;
	return cmocka_run_group_tests(tests, setup, teardown);
}
