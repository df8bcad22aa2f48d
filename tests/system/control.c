/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an operator asks of a broker that runs: to read its configuration again, and to stop when
 * nobody holds anything. By the library's shmc_control(), and a reload by SIGHUP too.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/system/common.h"

static struct system_broker broker;
static char told[8192], why[256];

static void hear(void *context, const char *sentence)
{
	(void)context;
	snprintf(told + strlen(told), sizeof(told) - strlen(told), "%s\n", sentence);
}

static int ask(enum shmc_command command, uint32_t within_ms)
{
	struct shmc_control_options options = {
		.timeout_ms = 60000,
		.within_ms = within_ms,
		.told = hear,
		.why = why,
		.why_size = sizeof(why),
	};

	told[0] = why[0] = '\0';
	return shmc_control(broker.run.name, command, &options);
}

static void assert_told(const char *text)
{
	if (!strstr(told, text))
		fail_msg("not told \"%s\", but: %s", text, told);
}

static int teardown(void **state)
{
	(void)state;
	if (broker.is_started && proc_running(&broker.run.proc))
		system_stop(&broker);
	return 0;
}

static struct shmc *attach(void)
{
	struct shmc *cache;

	assert_int_equal(shmc_attach(&cache, broker.run.name, NULL), 0);
	return cache;
}

/* --- reload ----------------------------------------------------------------------------------- */

static bool has_debugged(void *context)
{
	(void)context;
	return system_log_count(&broker, "level=debug event=attach") == 1;
}

static void test_reload(void **state)
{
	struct shmc *before, *after;
	struct shmc_reservation r[3];

	(void)state;
	system_start(&broker, "16MiB", false, "[session]\nreservations = 1\n");
	before = attach();
	system_configure(&broker, "32MiB", false,
		"[session]\nreservations = 3\n[broker]\nworkers = 2\nround = 7\n[log]\nlevel = debug\n");
	assert_int_equal(ask(SHMC_RELOAD, 0), 0);
	assert_told("dram.size = 32MiB: needs a restart, 16MiB stays until then\n");
	assert_told("broker.workers = 2: needs a restart, 1 stays until then\n");
	assert_told("broker.round = 7 (was 32)\n");
	assert_told("log.level = debug (was info)\n");
	assert_told("session.reservations = 3, for sessions from now on (was 1)\n");
	assert_told("3 changed, 2 need a restart\n");
	assert_int_equal(system_log_count(&broker, "event=reload-needs-restart key=dram.size"), 1);
	assert_int_equal(system_log_count(&broker, "event=reloaded changed=3 kept=2"), 1);
	/* Now debugging is logged; a session of before has its quota, one of after another. */
	after = attach();
	assert_true(system_wait(has_debugged, NULL));
	memset(r, 0, sizeof(r));
	assert_int_equal(shmc_reserve(before, "a", 1, 100, NULL, &r[0], 60000), 0);
	assert_int_equal(shmc_reserve(before, "b", 1, 100, NULL, &r[1], 60000), SHMC_QUOTA);
	assert_int_equal(shmc_abort(before, &r[0], 60000), 0);
	assert_int_equal(shmc_reserve(after, "a", 1, 100, NULL, &r[0], 60000), 0);
	assert_int_equal(shmc_reserve(after, "b", 1, 100, NULL, &r[1], 60000), 0);
	assert_int_equal(shmc_reserve(after, "c", 1, 100, NULL, &r[2], 60000), 0);
	/* What waits for a restart is named until there is one; nothing else has changed. */
	assert_int_equal(ask(SHMC_RELOAD, 0), 0);
	assert_told("0 changed, 2 need a restart\n");
	shmc_detach(before);
	shmc_detach(after);
}

static void test_reload_of_nonsense(void **state)
{
	(void)state;
	system_start(&broker, "16MiB", false, "");
	system_configure(&broker, "16MiB", false,
		"[log]\nlevel = debug\n[broker]\nwokers = 2\nround = 0\n[eviction]\npolicy = worst\n");
	assert_int_equal(ask(SHMC_RELOAD, 0), SHMC_FAILED);
	assert_told("did you mean workers?");
	assert_told("[broker] round = 0: ");
	assert_told("nothing was changed");
	shmc_detach(attach());
	assert_int_equal(system_log_count(&broker, "event=attach"), 0);
	/* A policy that there is not is found although it could not be changed. */
	system_configure(&broker, "16MiB", false, "[eviction]\npolicy = worst\n");
	assert_int_equal(ask(SHMC_RELOAD, 0), SHMC_FAILED);
	assert_told("there is no such policy");
	/* What stays and what changes together make no sense: 32 MiB of staging, and 16 of tier. */
	system_configure(&broker, "64MiB", false, "[session]\nstaging = 32MiB\n[log]\nlevel = debug\n");
	assert_int_equal(ask(SHMC_RELOAD, 0), SHMC_FAILED);
	assert_told("contradicts");
	shmc_detach(attach());
	assert_int_equal(system_log_count(&broker, "event=attach"), 0);
	system_assert_alive(&broker);
}

static bool has_reloaded(void *context)
{
	(void)context;
	return system_log_count(&broker, "event=reloaded changed=1 kept=0") == 1;
}

static void test_hangup(void **state)
{
	(void)state;
	system_start(&broker, "16MiB", false, "");
	system_configure(&broker, "16MiB", false, "[access]\nuid.4711 = reader\n");
	kill(broker.run.proc.pid, SIGHUP);
	assert_true(system_wait(has_reloaded, NULL));
	assert_int_equal(system_log_count(&broker, "uid.4711=reader"), 1);
}

/* More sessions than the plane has lines for can't be, fewer can. */
static void test_reload_sessions(void **state)
{
	struct shmc *one, *two;

	(void)state;
	system_start(&broker, "16MiB", false, "[session]\nmax = 2\n");
	system_configure(&broker, "16MiB", false, "[session]\nmax = 3\n");
	assert_int_equal(ask(SHMC_RELOAD, 0), 0);
	assert_told("session.max = 3: needs a restart, 2 stays until then\n");
	one = attach();
	system_configure(&broker, "16MiB", false, "[session]\nmax = 1\n");
	assert_int_equal(ask(SHMC_RELOAD, 0), 0);
	assert_told("session.max = 1 (was 2)\n");
	assert_int_equal(shmc_attach(&two, broker.run.name, NULL), -EUSERS);
	shmc_detach(one);
}

static int ask_as_nobody(void *context)
{
	(void)context;
	if (setgid(65534) || setuid(65534))
		return 100;
	return ask(SHMC_RELOAD, 0) == -EACCES && ask(SHMC_DRAIN, 0) == -EACCES ? 0 : 1;
}

static void test_who_may(void **state)
{
	(void)state;
	if (geteuid()) {
		print_message("only root can become somebody else\n");
		skip();
	}
	system_start(&broker, "16MiB", false, "[access]\nother = writer\n");
	assert_int_equal(system_child(ask_as_nobody, NULL), 0);
	/* The second line would be equal, and is counted. */
	assert_int_equal(system_log_count(&broker, "event=control-refused"), 1);
	system_assert_alive(&broker);
}

static void test_arguments(void **state)
{
	struct shmc_control_options options = {.why = why, .why_size = sizeof(why)};

	(void)state;
	assert_int_equal(shmc_control("no such name", SHMC_RELOAD, NULL), -EINVAL);
	assert_int_equal(shmc_control(NULL, SHMC_RELOAD, NULL), -EINVAL);
	assert_int_equal(shmc_control("shmc-test-none", (enum shmc_command)3, NULL), -EINVAL);
	assert_int_equal(shmc_control("shmc-test-none", SHMC_RELOAD, &options), -ENOENT);
	assert_non_null(strstr(why, "there is no cache"));
}

/* --- drain ------------------------------------------------------------------------------------ */

static int drain_in_child(void *context)
{
	return ask(SHMC_DRAIN, *(uint32_t *)context);
}

static bool is_draining(void *context)
{
	(void)context;
	return system_log_count(&broker, "event=draining") > 0;
}

static bool is_gone(void *context)
{
	(void)context;
	return !proc_running(&broker.run.proc);
}

static int exit_of(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* Nobody holds anything: it is over at once, whoever is attached, and the cache is warm. */
static void test_drain_of_idle(void **state)
{
	struct shmc *cache;
	struct shmc_view view;

	(void)state;
	system_start(&broker, "16MiB", true, "");
	cache = attach();
	assert_int_equal(shmc_put(cache, "key", 3, "value", 5, NULL, 60000), 0);
	assert_int_equal(ask(SHMC_DRAIN, 0), 0);
	assert_told("nothing is held");
	assert_true(system_wait(is_gone, NULL));
	assert_int_equal(proc_wait(&broker.run.proc), 0);
	assert_int_equal(shmc_get(cache, "key", 3, &view), -ENOTCONN);
	system_again(&broker);
	assert_int_equal(shmc_touch(cache, "key", 3, 0, 60000), 0);
	assert_int_equal(shmc_get(cache, "key", 3, &view), 0);
	shmc_detach(cache);
	system_stop(&broker);
}

/* A view and a reservation are waited for, both; meanwhile those who are there go on. */
static void test_drain_waits(void **state)
{
	uint32_t within_ms = 0;
	struct shmc_reservation r = {0};
	struct shmc *cache, *other;
	struct shmc_view view, more;
	unsigned i;
	pid_t pid;

	(void)state;
	system_start(&broker, "16MiB", false, "");
	cache = attach();
	assert_int_equal(shmc_put(cache, "key", 3, "value", 5, NULL, 60000), 0);
	assert_int_equal(shmc_get(cache, "key", 3, &view), 0);
	assert_int_equal(shmc_reserve(cache, "new", 3, 100, NULL, &r, 60000), 0);
	pid = system_spawn(drain_in_child, &within_ms);
	assert_true(system_wait(is_draining, NULL));
	assert_true(system_log_count(&broker, " by process") > 0);
	assert_int_equal(shmc_attach(&other, broker.run.name,
				 &(struct shmc_attach_options){.why = why, .why_size = sizeof(why)}),
		-ECONNREFUSED);
	assert_non_null(strstr(why, "is being drained"));
	assert_int_equal(shmc_put(cache, "other", 5, "value", 5, NULL, 60000), 0);
	assert_int_equal(shmc_get(cache, "other", 5, &more), 0);
	shmc_release(cache, &more);
	shmc_release(cache, &view);
	/* The reservation alone keeps it too: reads go on, many looks long. */
	for (i = 0; i < 25; i++) {
		usleep(20000);
		assert_int_equal(shmc_get(cache, "other", 5, &more), 0);
		shmc_release(cache, &more);
	}
	assert_true(proc_running(&broker.run.proc));
	assert_int_equal(waitpid(pid, NULL, WNOHANG), 0);
	assert_int_equal(shmc_commit(cache, &r, 60000), 0);
	assert_int_equal(exit_of(pid), 0);
	assert_true(system_wait(is_gone, NULL));
	assert_int_equal(proc_wait(&broker.run.proc), 0);
	shmc_detach(cache);
	system_stop(&broker);
}

static bool says_reserved(void *context)
{
	(void)context;
	return system_log_count(&broker, "0 values held (), 128 bytes reserved") > 0;
}

/* A stager's reservation is kept by no hold of its own: it is waited for all the same. */
static void test_drain_waits_for_stagers(void **state)
{
	struct submission abort_it = {.operation = ABI_OP_ABORT};
	uint32_t within_ms = 0;
	struct raw_lane *lane;
	struct raw_client c;
	uint64_t off;
	pid_t pid;

	(void)state;
	system_start(&broker, "16MiB", false, "");
	assert_int_equal(raw_attach(&c, broker.run.name, WIRE_ROLE_STAGER), 0);
	assert_int_equal(raw_lane_open(&c, &lane), 0);
	assert_int_equal(raw_reserve(&c, lane, "new", 100, &abort_it.argument, &off), 0);
	pid = system_spawn(drain_in_child, &within_ms);
	assert_true(system_wait(says_reserved, NULL));
	assert_true(proc_running(&broker.run.proc));
	assert_int_equal(raw_call(&c, lane, &abort_it, NULL), ABI_STATUS_OK);
	assert_int_equal(exit_of(pid), 0);
	assert_int_equal(proc_wait(&broker.run.proc), 0);
	raw_detach(&c);
	system_stop(&broker);
}

/* Its time over, it stops, and says who held what. */
static void test_drain_gives_up(void **state)
{
	struct shmc *cache;
	struct shmc_view view;

	(void)state;
	system_start(&broker, "16MiB", false, "");
	cache = attach();
	assert_int_equal(shmc_put(cache, "key", 3, "value", 5, NULL, 60000), 0);
	assert_int_equal(shmc_get(cache, "key", 3, &view), 0);
	assert_int_equal(ask(SHMC_DRAIN, 100), SHMC_FAILED);
	assert_told("1 values held (1 by process");
	assert_true(system_wait(is_gone, NULL));
	assert_int_equal(proc_wait(&broker.run.proc), 0);
	assert_int_equal(system_log_count(&broker, "event=drain-gave-up"), 1);
	/* What it holds stays readable, as at any stop. */
	assert_memory_equal(view.data, "value", 5);
	shmc_detach(cache);
	system_stop(&broker);
}

/* Who asks again sets another limit; the first is told. */
static void test_drain_again(void **state)
{
	uint32_t within_ms = 0;
	struct shmc *cache;
	struct shmc_view view;
	pid_t pid;

	(void)state;
	system_start(&broker, "16MiB", false, "");
	cache = attach();
	assert_int_equal(shmc_put(cache, "key", 3, "value", 5, NULL, 60000), 0);
	assert_int_equal(shmc_get(cache, "key", 3, &view), 0);
	pid = system_spawn(drain_in_child, &within_ms);
	assert_true(system_wait(is_draining, NULL));
	assert_int_equal(ask(SHMC_DRAIN, 1), SHMC_FAILED);
	assert_int_equal(exit_of(pid), SHMC_FAILED);
	assert_true(system_wait(is_gone, NULL));
	assert_int_equal(proc_wait(&broker.run.proc), 0);
	shmc_detach(cache);
	system_stop(&broker);
}

/* Readers without end take holds all the time; the drain ends, and no hold is missed. */
static int read_without_end(void *context)
{
	struct shmc_view view;
	struct shmc *cache;
	int r;

	(void)context;
	if (shmc_attach(&cache, broker.run.name, NULL))
		return 1;
	do {
		r = shmc_get(cache, "key", 3, &view);
		if (!r)
			shmc_release(cache, &view);
	} while (!r);
	shmc_detach(cache);
	return r == -ENOTCONN ? 0 : 2;
}

static bool has_three(void *context)
{
	struct shmc_usage usage;

	return !shmc_usage(context, &usage) && usage.n_sessions == 3;
}

static void test_drain_under_readers(void **state)
{
	struct shmc *cache;
	pid_t pid[2];

	(void)state;
	system_start(&broker, "16MiB", false, "");
	cache = attach();
	assert_int_equal(shmc_put(cache, "key", 3, "value", 5, NULL, 60000), 0);
	pid[0] = system_spawn(read_without_end, NULL);
	pid[1] = system_spawn(read_without_end, NULL);
	assert_true(system_wait(has_three, cache));
	assert_int_equal(ask(SHMC_DRAIN, 0), 0);
	assert_int_equal(exit_of(pid[0]), 0);
	assert_int_equal(exit_of(pid[1]), 0);
	assert_true(system_wait(is_gone, NULL));
	assert_int_equal(proc_wait(&broker.run.proc), 0);
	shmc_detach(cache);
	system_stop(&broker);
}

#define TEST(f) cmocka_unit_test_teardown(f, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_reload),
		TEST(test_reload_of_nonsense),
		TEST(test_hangup),
		TEST(test_reload_sessions),
		TEST(test_who_may),
		TEST(test_arguments),
		TEST(test_drain_of_idle),
		TEST(test_drain_waits),
		TEST(test_drain_waits_for_stagers),
		TEST(test_drain_gives_up),
		TEST(test_drain_again),
		TEST(test_drain_under_readers),
	};

	return cmocka_run_group_tests_name("control", tests, NULL, NULL);
}
