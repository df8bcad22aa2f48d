/* SPDX-License-Identifier: Apache-2.0 */
/* thread.c: the remote thread by itself: a configuration that is changed while it runs. */
#include "shmcache/remote/thread.h"
#include "tests/shmcache/rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include <urcu.h>

#include <cmocka.h>

#define PATIENCE_MS 20000

static struct rig rig;
static struct config config;
static struct desk desk;
static struct log quiet;
static struct shared_u64 gauge[ABI_N_GAUGES];

static void set(const char *key, const char *value)
{
	static struct config_errors errors;

	assert_int_equal(config_set(&config, key, value, &errors), 0);
}

/* Does it listen to what is stored, as who keeps a directory has to? */
static bool wants_events(void)
{
	return __atomic_load_n(&rig.store.events.kinds, __ATOMIC_RELAXED);
}

static void wait_until_events_are_wanted(bool wanted)
{
	uint64_t until_ms = store_now_ms() + PATIENCE_MS;

	while (wants_events() != wanted && store_now_ms() < until_ms)
		usleep(1000);
	assert_int_equal(wants_events(), wanted);
}

/* What is read again holds, without a new start. */
static void test_reload(void **state)
{
	unsigned pid = (unsigned)getpid();
	struct remote *remote;
	char text[64], why[512];
	const struct remote_options options = {.store = &rig.store, .worker = &rig.w,
		.gauge = gauge, .log = &quiet, .config = &config, .desk = &desk};

	(void)state;
	/* An address that no other test has. */
	snprintf(text, sizeof(text), "127.%u.%u.%u:7180", 1 + (pid >> 16 & 63), pid >> 8 & 255,
		pid & 255);
	config_init(&config);
	set("remote.name", "n0");
	set("remote.listen", text);
	set("remote.security", "none");
	set("remote.locate", "ask");
	if (remote_start(&remote, &options, why, sizeof(why)))
		fail_msg("%s", why);
	assert_false(wants_events());
	set("remote.locate", "directory");
	remote_reload(remote, &config);
	wait_until_events_are_wanted(true);
	set("remote.locate", "ask");
	remote_reload(remote, &config);
	wait_until_events_are_wanted(false);
	remote_stop(remote);
	remote_reload(NULL, &config);
}

static int setup(void **state)
{
	(void)state;
	rig_init(&rig, 16 * MIB, 8 * MIB);
	rig_open(&rig, false);
	desk_init(&desk);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	desk_deinit(&desk);
	rig_drain(&rig);
	rig_check(&rig);
	rig_remove(&rig);
	return rig_leftovers() ? -1 : 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_reload, setup, teardown),
	};
	int r;

	rig_begin();
	log_init(&quiet, STDERR_FILENO);
	log_set_level(&quiet, LOG_LEVEL_ERROR);
	rcu_register_thread();
	r = cmocka_run_group_tests(tests, NULL, NULL);
	rcu_unregister_thread();
	return r;
}
