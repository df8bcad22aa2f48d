/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A broker that is not root comes back, and may not look into the processes of its former clients,
 * who are other users. It frees nothing that they may hold until they have handed their regions
 * over, or the grace is over, or they are dead. Needs root, to become somebody else.
 */
#include <grp.h>
#include <stdio.h>
#include <unistd.h>

#include "tests/system/held.h"

enum {
	UID_BROKER = 61001,
	UID_CLIENT = 61002,
};

static struct system_broker broker;
static struct scratch shared;
static int to_child[2] = {-1, -1}, to_parent[2];

/* What it starts meanwhile is that user's, and nothing more. */
static void as_broker(bool begin)
{
	if (begin)
		assert_int_equal(setresuid(UID_BROKER, UID_BROKER, 0), 0);
	else
		assert_int_equal(setresuid(0, 0, 0), 0);
}

static bool has_forgotten_us(void *context)
{
	const struct abi_plane *plane = context;
	unsigned i;

	for (i = 0; i < plane->n_sessions_max; i++)
		if (shared_u64_load(&plane->session[i].id) &&
			shared_u32_load(&plane->session[i].pid) == (uint32_t)getpid())
			return false;
	return true;
}

/* Not before the broker knows that we have detached: it would wait for us as well. */
static void restart(void)
{
	size_t size;
	const struct abi_plane *plane = raw_plane_open(broker.run.name, &size);

	assert_non_null(plane);
	assert_true(system_wait(has_forgotten_us, (void *)plane));
	raw_plane_close(plane, size);
	system_kill(&broker);
	as_broker(true);
	system_again(&broker);
	as_broker(false);
}

/* --- the client ------------------------------------------------------------------------------- */

static int obey(struct held *h, char command)
{
	switch (command) {
	case 'c': /* attaches again, and hands over */
		return shmc_ping(h->cache, 60000);
	case 'v':
		return held_check(h, 0);
	case 'g':
		return held_check(h, SHMC_GONE);
	default:
		return held_let_go(h);
	}
}

static int client_body(void *context)
{
	struct held h = {0};
	char command;
	int r = 100;

	(void)context;
	/* It ends with its parent by this: who becomes another user is not signalled any more. */
	close(to_child[1]);
	close(to_parent[0]);
	if (!setgroups(0, NULL) && !setresgid(UID_CLIENT, UID_CLIENT, UID_CLIENT) &&
		!setresuid(UID_CLIENT, UID_CLIENT, UID_CLIENT))
		r = held_take(&h, broker.run.name);
	for (;;) {
		if (write(to_parent[1], &r, sizeof(r)) != sizeof(r) ||
			read(to_child[0], &command, 1) != 1)
			return 1;
		r = obey(&h, command);
	}
}

static int answer(void)
{
	int r = -1;

	assert_int_equal(read(to_parent[0], &r, sizeof(r)), sizeof(r));
	return r;
}

static void tell(char command)
{
	assert_int_equal(write(to_child[1], &command, 1), 1);
	assert_int_equal(answer(), 0);
}

static void start(const char *grace)
{
	char config[128];

	snprintf(config, sizeof(config),
		"[broker]\nrestart_grace = %s\n[session]\nheld_max = 100%%\n"
		"[access]\nother = writer\n", grace);
	as_broker(true);
	system_start(&broker, "16MiB", true, config);
	as_broker(false);
	close(to_child[1]);
	assert_int_equal(pipe(to_child), 0);
	assert_int_equal(pipe(to_parent), 0);
}

static bool has_lost(void *context)
{
	(void)context;
	return system_log_count(&broker, "event=former-session-lost") == 1;
}

/* --- the tests -------------------------------------------------------------------------------- */

static void test_handed_over(void **state)
{
	unsigned round;
	pid_t pid;

	(void)state;
	start("1h");
	pid = system_spawn(client_body, NULL);
	assert_int_equal(answer(), 0);
	for (round = 0; round < 2; round++) {
		restart();
		assert_int_equal(system_log_count(&broker, "adopted=0 pending="), round + 1);
		/* What room there is may be used; what the client may hold may not. */
		assert_true(held_churn(broker.run.name, 2 * round) > 100);
		tell('v');
		tell('c');
		assert_int_equal(held_churn(broker.run.name, 2 * round + 1), 0);
		tell('v');
	}
	tell('l');
	held_wait_all_back(&broker);
	system_end(pid);
}

static void test_grace_is_over(void **state)
{
	pid_t pid;

	(void)state;
	start("1s");
	pid = system_spawn(client_body, NULL);
	assert_int_equal(answer(), 0);
	restart();
	assert_true(system_wait(has_lost, NULL));
	assert_int_equal(held_churn(broker.run.name, 0), 0);
	/*
	 * The views are void, and it is told so; the block that it may be filling is still its own.
	 */
	tell('g');
	assert_true(has_lost(NULL));
	system_end(pid);
	held_wait_all_back(&broker);
}

static void test_dies(void **state)
{
	pid_t pid;

	(void)state;
	start("1h");
	pid = system_spawn(client_body, NULL);
	assert_int_equal(answer(), 0);
	restart();
	assert_true(held_churn(broker.run.name, 0) > 100);
	system_end(pid);
	held_wait_all_back(&broker);
	assert_int_equal(held_churn(broker.run.name, 1), 0);
}

static int setup(void **state)
{
	(void)state;
	return scratch_make(&shared, NULL) || broker_run_program_share(&shared);
}

static int teardown(void **state)
{
	(void)state;
	as_broker(false);
	system_stop(&broker);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_handed_over, teardown),
		cmocka_unit_test_teardown(test_grace_is_over, teardown),
		cmocka_unit_test_teardown(test_dies, teardown),
	};

	if (geteuid()) {
		fprintf(stderr, "not root: can't become another user\n");
		return EXIT_SKIP;
	}
	if (cleanup_guard())
		return 1;
	return cmocka_run_group_tests(tests, setup, NULL);
}
