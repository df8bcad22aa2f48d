/* SPDX-License-Identifier: Apache-2.0 */
/* former-lines.c: unit of former.c: lines of the session directory that are not true. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <unistd.h>
#include <cmocka.h>

#include "shmcache/process.h"
#include "shmcache/session.h"
#include "tests/shmcache/formerly.h"

static struct formerly f;

static int setup(void **state)
{
	(void)state;
	formerly_init(&f);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	formerly_deinit(&f);
	return rig_leftovers() ? -1 : 0;
}

/* Its pid is another process's now, or nobody's, or makes no sense. */
static void test_pids(void **state)
{
	struct client c = client_new(&f, 0);
	const uint32_t nobody[] = {0, 0x80000000, UINT32_MAX};
	pid_t pid = client_child(&c);
	unsigned i;

	(void)state;
	client_hold(&f, &c, 1);
	/* Who was started at another time is somebody else. If a time is unknown, who can tell? */
	shared_u64_add(&c.line->pid_start_time, 1);
	formerly_come_and_go(&f);
	formerly_assert_dropped(&f, &c);
	shared_u64_store(&c.line->pid_start_time, 0);
	shared_u64_store(&c.line->id, 1000);
	formerly_come_and_go(&f);
	formerly_assert_pending(&f, &c);
	client_kill(&f, pid);
	formerly_come_and_go(&f);
	formerly_assert_dropped(&f, &c);
	/* Of one that nobody can have, nothing is known. */
	for (i = 0; i < 3; i++) {
		shared_u32_store(&c.line->pid, nobody[i]);
		shared_u64_store(&c.line->id, 1000);
		formerly_come_and_go(&f);
		formerly_assert_pending(&f, &c);
	}
	/* Nor of a pid of another namespace, though we have one of that number. */
	shared_u32_store(&c.line->pid, (uint32_t)getpid());
	shared_u64_store(&c.line->pid_start_time, process_start_time(getpid()));
	client_hide(&c);
	formerly_come_and_go(&f);
	formerly_assert_pending(&f, &c);
	client_free(&c);
}

/* Its process is seen, and has no such region: it has let go. */
static void test_not_that_region(void **state)
{
	struct client c = client_new(&f, 0), called = client_with(&f, 1, "anything",
						     f.request_size, FORMERLY_SEALS);
	uint64_t ino = shared_u64_load(&c.line->request_ino);

	(void)state;
	client_hold(&f, &c, 1);
	client_hold(&f, &called, 1);
	shared_u64_store(&c.line->request_ino, ino + (UINT64_C(1) << 40));
	formerly_come_and_go(&f);
	formerly_assert_dropped(&f, &c);
	formerly_assert_dropped(&f, &called);
	shared_u64_store(&c.line->request_ino, ino);
	shared_u64_add(&c.line->region_dev, 1);
	shared_u64_store(&c.line->id, 1000);
	formerly_come_and_go(&f);
	formerly_assert_dropped(&f, &c);
	client_free(&c);
	client_free(&called);
}

/* There it is, but not as we make them: nobody looks into it, nothing is known of its holds. */
static void test_odd_regions(void **state)
{
	static const struct {
		int pages, seals;
	} odd[] = {
		{0, 0},
		{0, F_SEAL_SHRINK},
		{0, F_SEAL_GROW | F_SEAL_FUTURE_WRITE},
		{0, F_SEAL_SHRINK | F_SEAL_FUTURE_WRITE},
		{0, F_SEAL_SHRINK | F_SEAL_GROW},
		{-1, FORMERLY_SEALS},
		{1, FORMERLY_SEALS},
		{1024, FORMERLY_SEALS},
	};
	struct client c;
	unsigned i;

	(void)state;
	for (i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
		c = client_with(&f, 0, SESSION_REQUEST_NAME,
			(size_t)((ssize_t)f.request_size + odd[i].pages * 4096),
			odd[i].seals);
		formerly_open(&f);
		formerly_assert_pending(&f, &c);
		assert_int_equal(formers_awaited(&f.formers, getpid(), getuid()), 1);
		assert_false(formers_take(&f.formers, getpid(), getuid(), 1000, c.fd));
		formerly_assert_pending(&f, &c);
		formers_close(&f.formers);
		client_free(&c);
	}
}

/*
 * Has a region that fits the line the size that ours has? Where the rounding up hides a difference.
 */
static bool fits(const struct abi_session *line)
{
	struct abi_geometry g = {.n_lanes = shared_u32_load(&line->lanes_max),
		.n_queue = shared_u32_load(&line->n_queue),
		.n_holds = shared_u32_load(&line->n_holds),
		.n_log = shared_u32_load(&line->n_log),
		.staging_size = shared_u32_load(&line->staging_size)};

	return !abi_geometry_init(&g) && g.n_lanes * (size_t)g.request_stride == f.request_size;
}

/* Each number of its geometry at and beyond its limits, and some that only don't fit. */
static void test_geometries(void **state)
{
	struct client c = client_new(&f, 0);
	struct shared_u32 *const number[] = {&c.line->lanes_max, &c.line->n_queue,
		&c.line->n_holds, &c.line->n_log, &c.line->staging_size};
	const uint32_t odd[] = {0, 1, 2, 15, 63, 65, 128, 4096, 65536, 65552, 1 << 20,
		1 << 26, 1 << 27, INT32_MAX, 1U << 31, UINT32_MAX - 4095, UINT32_MAX};
	unsigned i, k, n = 0;

	(void)state;
	client_hold(&f, &c, 1);
	for (i = 0; i < 5; i++) {
		uint32_t honest = shared_u32_load(number[i]);

		for (k = 0; k < sizeof(odd) / sizeof(odd[0]); k++) {
			shared_u32_store(number[i], odd[k]);
			if (fits(c.line))
				continue;
			formerly_come_and_go(&f);
			formerly_assert_pending(&f, &c);
			n++;
		}
		shared_u32_store(number[i], honest);
	}
	assert_true(n > 80);
	formerly_come_and_go(&f);
	assert_int_equal(client_state(&c), ABI_SESSION_ADOPTED);
	client_free(&c);
}

/* More lanes than there are, more cells in use than there are, words that name no record. */
static void test_counts(void **state)
{
	struct client c = client_new(&f, 0);
	struct abi_lane_request *lane =
		(void *)(c.request + 2 * (size_t)f.geometry.request_stride);

	(void)state;
	client_hold(&f, &c, formerly_value(&f));
	shared_u32_store(&c.line->n_lanes, UINT32_MAX);
	shared_u64_store(&lane->holds_used, UINT64_MAX);
	/* Behind the last cell is the log: it counts for nothing. */
	shared_u64_store(c.hold + 1, UINT64_MAX);
	formerly_open(&f);
	assert_int_equal(client_state(&c), ABI_SESSION_ADOPTED);
	formerly_delete(&f);
	assert_true(formerly_is_protected(&f));
	shared_u64_store_release(c.hold, UINT64_MAX);
	assert_false(formerly_is_protected(&f));
	shared_u64_store_release(
		c.hold, abi_word((uint32_t)f.rig.store.index.head->n_cells_max, 1, 1));
	(void)formerly_is_protected(&f);
	formers_upkeep(&f.formers, FORMERLY_NOW);
	assert_int_equal(client_id(&c), 1000);
	client_hold(&f, &c, 0);
	formers_upkeep(&f.formers, FORMERLY_NOW);
	formerly_assert_dropped(&f, &c);
	client_free(&c);
}

/* States that do not exist are as good as that of a session that was attached. */
static void test_states(void **state)
{
	struct client c = client_new(&f, 0), lost = client_new(&f, 1);
	uint32_t held = formerly_value(&f);
	unsigned raw_state;

	(void)state;
	client_hold(&f, &c, held);
	client_hold(&f, &lost, held);
	for (raw_state = 0; raw_state < 8; raw_state++) {
		shared_u32_store(&c.line->state, raw_state == 7 ? UINT32_MAX : raw_state);
		if (raw_state == ABI_SESSION_LOST)
			continue;
		formerly_come_and_go(&f);
		assert_int_equal(client_state(&c), ABI_SESSION_ADOPTED);
	}
	/* What is void does not become good again, though it is looked at. */
	shared_u32_store(&lost.line->state, ABI_SESSION_LOST);
	shared_u64_store(&c.line->id, 0);
	formerly_open(&f);
	assert_int_equal(client_state(&lost), ABI_SESSION_LOST);
	formerly_delete(&f);
	assert_true(formerly_is_protected(&f));
	client_free(&c);
	client_free(&lost);
}

/* One session in several lines: each stands for itself. */
static void test_duplicates(void **state)
{
	struct client c[3] = {client_new(&f, 0), client_new(&f, 1), client_new(&f, 2)};
	unsigned i;

	(void)state;
	client_hold(&f, &c[0], 1);
	client_hold(&f, &c[1], 1);
	for (i = 1; i < 3; i++)
		*c[i].line = *c[0].line;
	client_hide(&c[2]);
	formerly_open(&f);
	assert_int_equal(client_state(&c[1]), ABI_SESSION_ADOPTED);
	formerly_assert_pending(&f, &c[2]);
	assert_true(formers_take(&f.formers, 1, getuid(), 1000, c[0].fd));
	assert_int_equal(f.rig.store.keep, STORE_KEEP_NOTHING);
	client_hold(&f, &c[0], 0);
	formers_upkeep(&f.formers, FORMERLY_NOW);
	for (i = 0; i < 3; i++) {
		formerly_assert_dropped(&f, &c[i]);
		client_free(&c[i]);
	}
	assert_null(f.formers.first);
}

int main(void)
{
#define UNIT(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		UNIT(test_pids),
		UNIT(test_not_that_region),
		UNIT(test_odd_regions),
		UNIT(test_geometries),
		UNIT(test_counts),
		UNIT(test_states),
		UNIT(test_duplicates),
	};

	rig_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
