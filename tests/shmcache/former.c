/* SPDX-License-Identifier: Apache-2.0 */
/* former.c: unit of former.c: whose holds count after a restart, and for how long. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <unistd.h>
#include <cmocka.h>

#include "ipc/wire.h"
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

/* --- honest lines ----------------------------------------------------------------------------- */

static void test_adopted(void **state)
{
	struct client c = client_new(&f, 3);

	(void)state;
	client_hold(&f, &c, formerly_value(&f));
	formerly_open(&f);
	assert_int_equal(client_state(&c), ABI_SESSION_ADOPTED);
	assert_int_equal(f.rig.store.keep, STORE_KEEP_NOTHING);
	formerly_delete(&f);
	formers_upkeep(&f.formers, FORMERLY_NOW + 10 * FORMERLY_GRACE);
	assert_true(formerly_is_protected(&f));
	/* Over another broker, too. */
	formers_close(&f.formers);
	assert_int_equal(client_id(&c), 1003);
	formerly_open(&f);
	assert_int_equal(client_state(&c), ABI_SESSION_ADOPTED);
	assert_true(formerly_is_protected(&f));
	client_hold(&f, &c, 0);
	formers_upkeep(&f.formers, FORMERLY_NOW);
	formerly_assert_dropped(&f, &c);
	assert_false(formerly_is_protected(&f));
	client_free(&c);
}

static void test_empty_tables_go(void **state)
{
	struct client c = client_new(&f, 0),
		      unused = client_with(&f, 7, SESSION_REQUEST_NAME, f.request_size,
			      F_SEAL_SHRINK | F_SEAL_GROW);

	(void)state;
	/* It has no lane yet: nothing is sealed for good, and nothing in there counts. */
	shared_u32_store(&unused.line->n_lanes, 0);
	client_hold(&f, &unused, 1);
	formerly_open(&f);
	formerly_assert_dropped(&f, &c);
	formerly_assert_dropped(&f, &unused);
	assert_null(f.formers.first);
	client_free(&c);
	client_free(&unused);
}

/* Over other memory, nothing that is told there is of use. */
static void test_forget(void **state)
{
	struct client c = client_new(&f, 7);

	(void)state;
	client_hold(&f, &c, 1);
	formers_forget(&f.formers);
	assert_int_equal(client_id(&c), 0);
	formerly_open(&f);
	assert_null(f.formers.first);
	client_free(&c);
}

/* --- who can't be seen ------------------------------------------------------------------------ */

/* Nothing of its time goes until the grace is over. Then it is told, first. */
static void test_grace(void **state)
{
	struct client c = client_new(&f, 0), hidden = client_new(&f, 1);
	pid_t pid = client_child(&c);

	(void)state;
	client_hide(&hidden);
	client_hold(&f, &c, formerly_value(&f));
	formerly_open(&f);
	formerly_assert_pending(&f, &c);
	formerly_assert_pending(&f, &hidden);
	formerly_delete(&f);
	assert_true(formerly_is_protected(&f));
	formers_upkeep(&f.formers, FORMERLY_NOW + FORMERLY_GRACE - 1);
	formerly_assert_pending(&f, &c);
	assert_true(formerly_is_protected(&f));
	formers_upkeep(&f.formers, FORMERLY_NOW + FORMERLY_GRACE);
	assert_int_equal(client_state(&c), ABI_SESSION_LOST);
	/* Whose death nobody would tell us of is not waited for any longer. */
	formerly_assert_dropped(&f, &hidden);
	assert_int_equal(client_id(&c), 1000);
	assert_false(formerly_is_protected(&f));
	/* It stays lost over another broker, and is not waited for again. */
	formers_close(&f.formers);
	formerly_open(&f);
	assert_int_equal(client_state(&c), ABI_SESSION_LOST);
	assert_int_equal(f.formers.deadline_ms, 0);
	client_kill(&f, pid);
	formerly_assert_dropped(&f, &c);
	client_free(&c);
	client_free(&hidden);
}

/* A lost writer may go on writing into what it was granted: its death helps, or its region. */
static void test_lost_writer(void **state)
{
	struct client dies = client_new(&f, 0), shows = client_new(&f, 1);
	pid_t first = client_child(&dies), second = client_child(&shows);

	(void)state;
	shared_u32_store(&dies.line->role, WIRE_ROLE_WRITER);
	shared_u32_store(&shows.line->role, WIRE_ROLE_WRITER);
	client_hold(&f, &shows, 1);
	formerly_open(&f);
	formers_upkeep(&f.formers, FORMERLY_NOW + FORMERLY_GRACE);
	assert_int_equal(client_state(&dies), ABI_SESSION_LOST);
	assert_int_equal(f.rig.store.keep, STORE_KEEP_OPEN);
	assert_true(formers_take(&f.formers, second, getuid(), 1001, shows.fd));
	assert_int_equal(client_state(&shows), ABI_SESSION_LOST);
	assert_int_equal(f.rig.store.keep, STORE_KEEP_OPEN);
	client_kill(&f, first);
	formerly_assert_dropped(&f, &dies);
	assert_int_equal(client_id(&shows), 1001);
	client_kill(&f, second);
	client_free(&dies);
	client_free(&shows);
}

static void test_hand_over(void **state)
{
	struct client c = client_new(&f, 0), other = client_new(&f, 1);
	uint32_t held = formerly_value(&f);
	pid_t pid = client_child(&c);
	uid_t uid = getuid();

	(void)state;
	client_hold(&f, &c, held);
	client_hold(&f, &other, held);
	client_hide(&other);
	formerly_open(&f);
	formerly_delete(&f);
	assert_int_equal(formers_awaited(&f.formers, pid, uid), 2);
	assert_int_equal(formers_awaited(&f.formers, getpid(), uid), 1);
	assert_int_equal(formers_awaited(&f.formers, pid, uid + 1), 0);
	/* Somebody else's, or another region, or nothing that is one. */
	assert_false(formers_take(&f.formers, getpid(), uid, 1000, c.fd));
	assert_false(formers_take(&f.formers, pid, uid + 1, 1000, c.fd));
	assert_false(formers_take(&f.formers, pid, uid, 0, c.fd));
	assert_false(formers_take(&f.formers, pid, uid, 1002, c.fd));
	assert_false(formers_take(&f.formers, pid, uid, 1000, other.fd));
	assert_false(formers_take(&f.formers, pid, uid, 1000, f.null));
	assert_false(formers_take(&f.formers, pid, uid, 1000, f.formers.epoll));
	assert_false(formers_take(&f.formers, pid, uid, 1000, -1));
	assert_false(formers_take(&f.formers, pid, uid, 1000,
		region_fd(f.rig.store.tier[ABI_TIER_DRAM].region)));
	formerly_assert_pending(&f, &c);
	assert_true(formerly_is_protected(&f));
	/* Of a process that nobody here can name, user and region have to do. */
	assert_true(formers_take(&f.formers, getpid(), uid, 1001, other.fd));
	assert_int_equal(client_state(&other), ABI_SESSION_ADOPTED);
	assert_true(formers_take(&f.formers, pid, uid, 1000, c.fd));
	assert_int_equal(f.rig.store.keep, STORE_KEEP_NOTHING);
	/* Once. */
	assert_false(formers_take(&f.formers, pid, uid, 1000, c.fd));
	client_hold(&f, &c, 0);
	formers_upkeep(&f.formers, FORMERLY_NOW);
	formerly_assert_dropped(&f, &c);
	assert_true(formerly_is_protected(&f));
	client_hold(&f, &other, 0);
	formers_upkeep(&f.formers, FORMERLY_NOW);
	formerly_assert_dropped(&f, &other);
	assert_false(formerly_is_protected(&f));
	client_kill(&f, pid);
	client_free(&c);
	client_free(&other);
}

/* --- who is given up -------------------------------------------------------------------------- */

/* A directory full of those of before: the oldest go first, writers last, until none is left. */
static void test_make_way(void **state)
{
	static const unsigned order[FORMERLY_LINES] = {6, 4, 2, 0, 7, 5, 3, 1};
	struct client c[FORMERLY_LINES];
	unsigned i, k;

	(void)state;
	for (i = 0; i < FORMERLY_LINES; i++) {
		c[i] = client_new(&f, i);
		shared_u64_store(&c[i].line->id, 100 - i);
		if (i % 2)
			shared_u32_store(&c[i].line->role, WIRE_ROLE_WRITER);
		if (i < 4)
			client_hold(&f, &c[i], 1);
		else
			client_hide(&c[i]);
	}
	formerly_open(&f);
	assert_null(plane_session_slot(&f.plane));
	for (i = 0; i < FORMERLY_LINES; i++) {
		formers_make_way(&f.formers);
		for (k = 0; k <= i; k++)
			assert_int_equal(client_id(&c[order[k]]), 0);
		for (; k < FORMERLY_LINES; k++)
			assert_int_not_equal(client_id(&c[order[k]]), 0);
		assert_non_null(plane_session_slot(&f.plane));
	}
	assert_int_equal(f.rig.store.keep, STORE_KEEP_NOTHING);
	formers_make_way(&f.formers);
	for (i = 0; i < FORMERLY_LINES; i++)
		client_free(&c[i]);
}

/* Who keeps too much from reuse loses all its holds, and is told. */
static void test_hoarder(void **state)
{
	struct client c = client_new(&f, 0);

	(void)state;
	client_hold(&f, &c, formerly_value(&f));
	formerly_open(&f);
	formerly_delete(&f);
	formers_check_holds(&f.formers, ABI_TIER_DRAM, 2 * FORMERLY_SIZE);
	assert_true(formerly_is_protected(&f));
	assert_int_equal(client_state(&c), ABI_SESSION_ADOPTED);
	formers_check_holds(&f.formers, ABI_TIER_CXL, FORMERLY_SIZE / 2);
	assert_true(formerly_is_protected(&f));
	formers_check_holds(&f.formers, ABI_TIER_DRAM, FORMERLY_SIZE / 2);
	assert_int_equal(client_state(&c), ABI_SESSION_LOST);
	assert_false(formerly_is_protected(&f));
	formers_upkeep(&f.formers, FORMERLY_NOW);
	formerly_assert_dropped(&f, &c);
	client_free(&c);
}

int main(void)
{
#define UNIT(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		UNIT(test_adopted),
		UNIT(test_empty_tables_go),
		UNIT(test_forget),
		UNIT(test_grace),
		UNIT(test_lost_writer),
		UNIT(test_hand_over),
		UNIT(test_make_way),
		UNIT(test_hoarder),
	};

	rig_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
