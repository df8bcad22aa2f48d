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

#include "clients/shmcache.h"
#include "tests/system/common.h"

#define SIZE 200000
#define N_VIEWS 6 /* the even ones are replaced, and the block is the seventh */

static struct system_broker broker;

struct held {
	struct shmc *cache;
	struct shmc_view view[N_VIEWS];
	struct shmc_reservation block;
};

static int key_of(char key[32], unsigned i)
{
	return snprintf(key, 32, "held-%u", i);
}

/* 0, or what went wrong; for children, too. */
static int hold_all(struct held *h)
{
	static uint8_t bytes[SIZE];
	char key[32];
	unsigned i;
	int r = shmc_attach(&h->cache, broker.run.name, NULL);

	for (i = 0; !r && i < N_VIEWS; i++) {
		size_t n = (size_t)key_of(key, i);

		system_fill(bytes, SIZE, i);
		r = shmc_put(h->cache, key, n, bytes, SIZE, NULL, 60000);
		if (!r)
			r = shmc_get(h->cache, key, n, &h->view[i]);
		if (!r && i % 2 == 0)
			r = shmc_put(h->cache, key, n, "x", 1, NULL, 60000);
	}
	if (!r)
		r = shmc_reserve(h->cache, "block", 5, SIZE, NULL, &h->block, 60000);
	if (!r)
		system_fill(h->block.data, SIZE / 2, 100);
	return r;
}

static bool is_filled(const void *data, size_t size, uint64_t seed)
{
	static uint8_t bytes[SIZE];

	system_fill(bytes, size, seed);
	return !memcmp(data, bytes, size);
}

static int check_all(struct held *h)
{
	unsigned i;

	for (i = 0; i < N_VIEWS; i++) {
		if (!is_filled(h->view[i].data, SIZE, i))
			return 1;
		if (shmc_view_check(h->cache, &h->view[i]))
			return 2;
	}
	return is_filled(h->block.data, SIZE / 2, 100) ? 0 : 3;
}

static int let_go(struct held *h)
{
	unsigned i;
	int r;

	for (i = 0; i < N_VIEWS; i++)
		shmc_release(h->cache, &h->view[i]);
	r = shmc_commit(h->cache, &h->block, 60000);
	return r == SHMC_GONE ? 0 : 4;
}

/* By a client of the broker of now, through 16 MiB four times over. */
static void churn(unsigned seed)
{
	static uint8_t bytes[300000];
	struct shmc *cache;
	char key[32];
	unsigned i;
	int n;

	assert_int_equal(shmc_attach(&cache, broker.run.name, NULL), 0);
	for (i = 0; i < 220; i++) {
		n = snprintf(key, sizeof(key), "churn-%u-%u", seed, i);
		system_fill(bytes, sizeof(bytes), i);
		assert_int_equal(shmc_put(cache, key, (size_t)n, bytes, sizeof(bytes), NULL, 60000),
			0);
	}
	shmc_detach(cache);
}

static void restart(bool is_killed)
{
	if (is_killed)
		system_kill(&broker);
	else
		assert_int_equal(proc_stop(&broker.run.proc), 0);
	system_again(&broker);
}

/* Does no line tell of a former broker's session? */
static bool has_no_former(void *context)
{
	const struct abi_plane *plane = ((struct raw_client *)context)->plane;
	unsigned i;

	for (i = 0; i < plane->n_sessions_max; i++)
		if (shared_u64_load(&plane->session[i].id) &&
			shared_u64_load(&plane->session[i].epoch) !=
				shared_u64_load(&plane->epoch))
			return false;
	return true;
}

/* Limbo runs empty, and the directory knows of nobody but those who are attached. */
static void assert_all_back(void)
{
	struct raw_client c;

	assert_int_equal(raw_attach(&c, broker.run.name, WIRE_ROLE_WRITER), 0);
	assert_int_equal(system_wait_gauge(&c, ABI_GAUGE_LIMBO_BYTES, 0), 0);
	assert_true(system_wait(has_no_former, &c));
	raw_detach(&c);
	system_assert_alive(&broker);
}

/* --- here ------------------------------------------------------------------------------------------ */

static void held_over(bool is_killed)
{
	struct held h = {0};
	unsigned round;

	assert_int_equal(hold_all(&h), 0);
	/* The last restarts find a former broker's former client. */
	for (round = 0; round < 3; round++) {
		restart(is_killed);
		assert_int_equal(check_all(&h), 0);
		churn(round);
		assert_int_equal(check_all(&h), 0);
		/* The block is still filled, by one who knows nothing yet. */
		system_fill(h.block.data, SIZE / 2, 100);
	}
	churn(round);
	assert_int_equal(check_all(&h), 0);
	assert_int_equal(let_go(&h), 0);
	assert_all_back();
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

/* --- in a process that never calls again ----------------------------------------------------------- */

static int to_child[2], to_parent[2];

static int idle_body(void *context)
{
	struct held h = {0};
	char c;
	int r = hold_all(&h);

	(void)context;
	for (;;) {
		if (write(to_parent[1], &(uint8_t){(uint8_t)r}, 1) != 1 ||
			read(to_child[0], &c, 1) != 1)
			return 1;
		r = check_all(&h);
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
	churn(10);
	ask_child();
	restart(true);
	churn(11);
	ask_child();
	system_end(pid);
	assert_all_back();
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
	};

	if (cleanup_guard())
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
