/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What clients hold when their broker is killed: views of present and of replaced values, and a
 * reserved block half filled. The next brokers put other values through the whole tier many times
 * over, and not a byte of it changes until it is let go; then all of it comes back.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/system/held.h"

static struct system_broker broker;

static void restart(bool is_killed)
{
	if (is_killed)
		system_kill(&broker);
	else
		assert_int_equal(proc_stop(&broker.run.proc), 0);
	system_again(&broker);
}

/* --- here ------------------------------------------------------------------------------------- */

static void held_over(bool is_killed)
{
	struct held h = {0};
	unsigned round;

	assert_int_equal(held_take(&h, broker.run.name), 0);
	/* The last restarts find a former broker's former client. */
	for (round = 0; round < 3; round++) {
		restart(is_killed);
		assert_int_equal(held_check(&h, 0), 0);
		assert_int_equal(held_churn(broker.run.name, round), 0);
		assert_int_equal(held_check(&h, 0), 0);
		/* The block is still filled, by one who knows nothing yet. */
		held_fill(&h);
	}
	assert_int_equal(held_churn(broker.run.name, round), 0);
	assert_int_equal(held_check(&h, 0), 0);
	assert_int_equal(held_let_go(&h), 0);
	held_wait_all_back(&broker);
	shmc_detach(h.cache);
}

static void test_held_over_a_kill(void **state)
{
	(void)state;
	held_over(true);
}

static void test_held_over_a_stop(void **state)
{
	(void)state;
	held_over(false);
}

/* --- in a process that never calls again ------------------------------------------------------ */

static int to_child[2], to_parent[2];

static int idle_body(void *context)
{
	struct held h = {0};
	char c;
	int r = held_take(&h, broker.run.name);

	(void)context;
	for (;;) {
		if (write(to_parent[1], &(uint8_t){(uint8_t)r}, 1) != 1 ||
			read(to_child[0], &c, 1) != 1)
			return 1;
		r = held_check(&h, 0);
	}
}

static void ask_child(void)
{
	uint8_t r;

	assert_int_equal(write(to_child[1], "?", 1), 1);
	assert_int_equal(read(to_parent[0], &r, 1), 1);
	assert_int_equal(r, 0);
}

static void test_idle_and_killed(void **state)
{
	uint8_t r;
	pid_t pid;

	(void)state;
	assert_int_equal(pipe(to_child), 0);
	assert_int_equal(pipe(to_parent), 0);
	pid = system_spawn(idle_body, NULL);
	assert_int_equal(read(to_parent[0], &r, 1), 1);
	assert_int_equal(r, 0);
	restart(true);
	assert_int_equal(held_churn(broker.run.name, 10), 0);
	ask_child();
	restart(true);
	assert_int_equal(held_churn(broker.run.name, 11), 0);
	ask_child();
	system_end(pid);
	held_wait_all_back(&broker);
}

/* --- more of them than lines ------------------------------------------------------------------ */

/* A view of one key by each of two handles. */
static void hold_twice(struct shmc *cache[2], struct shmc_view view[2])
{
	unsigned i;

	for (i = 0; i < 2; i++)
		assert_int_equal(shmc_get(cache[i], "key", 3, &view[i]), 0);
}

/*
 * The broker may not have seen yet that who looked whether it serves is gone: of two there is one
 * then.
 */
static bool is_attached(void *context)
{
	struct shmc **cache = context;
	int r = shmc_attach(cache, broker.run.name, NULL);

	assert_true(!r || r == -EUSERS);
	return !r;
}

/*
 * The directory has four lines for two sessions. Who holds by two and, after a restart, by two
 * more, takes them all; after the next restart he who comes has one all the same, and the oldest
 * views are told to be void. Those of the later broker stand.
 */
static void test_full_directory(void **state)
{
	struct shmc_attach_options reader = {.role = SHMC_ROLE_READER};
	struct shmc_view view[2][2];
	struct shmc *cache[2], *other;
	unsigned i, n_void = 0;

	(void)state;
	for (i = 0; i < 2; i++)
		assert_true(system_wait(is_attached, &cache[i]));
	assert_int_equal(shmc_put(cache[0], "key", 3, "value", 5, NULL, 60000), 0);
	hold_twice(cache, view[0]);
	restart(true);
	/* A write attaches again, and waits for it. */
	for (i = 0; i < 2; i++)
		assert_int_equal(shmc_touch(cache[i], "key", 3, 0, 60000), 0);
	hold_twice(cache, view[1]);
	restart(true);
	assert_int_equal(shmc_attach(&other, broker.run.name, &reader), 0);
	for (i = 0; i < 4; i++) {
		int r = shmc_view_check(cache[i % 2], &view[i / 2][i % 2]);

		if (r) {
			assert_true(i < 2);
			n_void++;
		}
	}
	/* Whoever looked whether the broker is there may have had one before. */
	assert_in_range(n_void, 1, 2);
	for (i = 0; i < 4; i++)
		shmc_release(cache[i % 2], &view[i / 2][i % 2]);
	for (i = 0; i < 2; i++)
		shmc_detach(cache[i]);
	shmc_detach(other);
}

static int setup_narrow(void **state)
{
	(void)state;
	system_start(&broker, "16MiB", true, "[session]\nmax = 2\n");
	return 0;
}

static int setup(void **state)
{
	(void)state;
	system_start(&broker, "16MiB", true, "[session]\nheld_max = 100%\n");
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
#define UNIT(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		UNIT(test_held_over_a_kill),
		UNIT(test_held_over_a_stop),
		UNIT(test_idle_and_killed),
		cmocka_unit_test_setup_teardown(test_full_directory, setup_narrow, teardown),
	};

	if (cleanup_guard())
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
