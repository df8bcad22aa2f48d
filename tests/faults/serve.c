/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The n-th call of each kind fails in a broker that serves, for each n: at an attach, and under
 * load.
 *
 * The client gets an answer, nobody else notices, and nothing stays behind: no session, entry,
 * block, hold or reservation, no descriptor, no map, not one block of the broker's heap. The next
 * client finds all as it should be.
 */
#include "tests/faults/faults.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/faults/script.h"

static struct {
	struct faults_broker broker;
	struct raw_client watcher; /* its plane alone */
	unsigned n_fds, n_maps;
	int64_t n_blocks;
} rig;

/* --- nothing is left -------------------------------------------------------------------------- */

/* Regions of sessions, and the tier's and index's, that the process maps. */
static unsigned maps_count(pid_t pid)
{
	char path[64], line[512];
	unsigned n = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
	f = fopen(path, "re");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		n += strstr(line, "shmcache-") || strstr(line, "/dev/shm/");
	fclose(f);
	return n;
}

static bool has_as_before(void *context)
{
	(void)context;
	return system_fd_count(rig.broker.proc.pid) == rig.n_fds &&
		maps_count(rig.broker.proc.pid) == rig.n_maps &&
		atomic_load(&rig.broker.page->n_blocks) == rig.n_blocks;
}

static void count_now(void)
{
	rig.n_fds = system_fd_count_at_rest(rig.broker.proc.pid);
	rig.n_maps = maps_count(rig.broker.proc.pid);
	rig.n_blocks = atomic_load(&rig.broker.page->n_blocks);
}

static void check_empty(void)
{
	static const enum abi_gauge gauges[] = {ABI_GAUGE_SESSIONS_NOW, ABI_GAUGE_ENTRIES,
		ABI_GAUGE_LIMBO_BYTES, ABI_GAUGE_RESERVED_BYTES, ABI_GAUGE_PINNED_BYTES,
		ABI_GAUGE_DRAM_USED_BYTES};
	uint64_t left;
	unsigned i;

	for (i = 0; i < sizeof(gauges) / sizeof(gauges[0]); i++) {
		left = system_wait_gauge(&rig.watcher, gauges[i], 0);
		FAULTS_CHECK(!left, "%llu of gauge %d\n", (unsigned long long)left,
			(int)gauges[i]);
	}
}

/* The next client works, and then all is as it was before the fault. */
static void check(void *context)
{
	const char *complaint;
	bool is_clean;

	(void)context;
	if (!proc_running(&rig.broker.proc))
		fail_msg("%s: the broker is gone: %s", faults_now(), faults_broker_said(&rig.broker));
	complaint = faults_script_well(rig.broker.name);
	FAULTS_CHECK(!complaint, "the next client: %s\n", complaint);
	check_empty();
	is_clean = system_wait(has_as_before, NULL);
	FAULTS_CHECK(is_clean,
		"descriptors %u, were %u; maps %u, were %u; blocks %lld, were %lld\n",
		system_fd_count(rig.broker.proc.pid), rig.n_fds,
		maps_count(rig.broker.proc.pid), rig.n_maps,
		(long long)atomic_load(&rig.broker.page->n_blocks), (long long)rig.n_blocks);
	/* One leak is one complaint. */
	if (!is_clean)
		count_now();
}

/* --- phases ----------------------------------------------------------------------------------- */

static void attempt_attach(void *context)
{
	const char *complaint = faults_script_short(rig.broker.name);

	(void)context;
	FAULTS_CHECK(!complaint, "%s\n", complaint);
}

static void attempt_load(void *context)
{
	const char *complaint = faults_script(rig.broker.name);

	(void)context;
	FAULTS_CHECK(!complaint, "%s\n", complaint);
}

static void open_rig(void)
{
	int status;

	faults_broker_start(&rig.broker);
	assert_true(faults_broker_wait(&rig.broker, &status));
	rig.watcher.plane = raw_plane_open(rig.broker.name, &rig.watcher.plane_size);
	assert_non_null(rig.watcher.plane);
}

static void close_rig(void)
{
	int status = faults_broker_stop(&rig.broker);

	rig.broker.proc.pid = 0;
	FAULTS_CHECK(!status, "wait status %#x: %s\n", (unsigned)status,
		faults_broker_said(&rig.broker));
	FAULTS_CHECK(!system_shm_count(rig.broker.name), "left in /dev/shm\n");
	raw_plane_close(rig.watcher.plane, rig.watcher.plane_size);
}

/* What is made once and kept, such as a worker's list of lanes, is made before it is counted. */
static void count_before(void)
{
	int i;

	for (i = 0; i < 3; i++)
		assert_null(faults_script(rig.broker.name));
	check_empty();
	/* The worker closes a session after it is counted out. */
	do {
		count_now();
		usleep(100000);
	} while (!has_as_before(NULL));
}

static void test_attach(void **state)
{
	/* Nobody is heard, or woken, then: test_deaf. */
	static const enum inject_call one_by_one[] = {INJECT_ACCEPT, INJECT_SEND,
		INJECT_N_CALLS};
	struct faults_phase phase = {.name = "attach", .page = rig.broker.page,
		.attempt = attempt_attach, .check = check, .one_by_one = one_by_one};

	(void)state;
	open_rig();
	count_before();
	faults_run(&phase);
	close_rig();
}

static void test_load(void **state)
{
	static const enum inject_call one_by_one[] = {INJECT_ACCEPT, INJECT_SEND,
		INJECT_N_CALLS};
	struct faults_phase phase = {.name = "load", .page = rig.broker.page,
		.attempt = attempt_load, .check = check, .one_by_one = one_by_one};

	(void)state;
	open_rig();
	count_before();
	faults_run(&phase);
	close_rig();
}

/* --- an index that grows ---------------------------------------------------------------------- */

/* Small ones, until cells and buckets want more memory several times. */
static const char *put_many(void)
{
	struct shmc *cache;
	unsigned i;
	int r = shmc_attach(&cache, rig.broker.name, NULL);

	for (i = 0; (!r || r == SHMC_NOSPACE) && i < 1500; i++)
		r = shmc_put(cache, &i, sizeof(i), "value", 5, NULL, SHMC_TIMEOUT_DEFAULT);
	shmc_detach(cache);
	/* A broker that has no memory for one more lane cuts off who wants it. */
	return !r || r == -ENOMEM || r == -ENOTCONN || r == SHMC_NOSPACE ? NULL : shmc_strerror(r);
}

/* It takes memory only once, so each fault wants a broker that has not grown yet. */
static void attempt_growth(void *context)
{
	const char *complaint;
	uint32_t armed = atomic_exchange(&rig.broker.page->armed, 0);

	open_rig();
	atomic_store(&rig.broker.page->armed, armed);
	attempt_load(context);
	complaint = put_many();
	FAULTS_CHECK(!complaint, "%s\n", complaint);
}

static void check_growth(void *context)
{
	const char *complaint = faults_script_well(rig.broker.name);

	(void)context;
	FAULTS_CHECK(!complaint, "the next client: %s\n", complaint);
	check_empty();
	close_rig();
}

static void test_growth(void **state)
{
	static const enum inject_call only[] = {INJECT_POSIX_FALLOCATE, INJECT_REALLOC,
		INJECT_N_CALLS};
	struct faults_phase phase = {.name = "first load", .page = rig.broker.page, .only = only,
		.attempt = attempt_growth, .check = check_growth};

	(void)state;
	faults_run(&phase);
}

/* --- accept() fails for good ------------------------------------------------------------------ */

/*
 * The whole machine is out of files: not even the spare descriptor helps. Nobody can be told, and
 * the broker must not run in circles over a listener that is always readable.
 */
static void test_deaf(void **state)
{
	const struct shmc_attach_options options = {.timeout_ms = 500};
	uint32_t n_called;
	struct shmc *cache;

	(void)state;
	open_rig();
	count_before();
	inject_arm(rig.broker.page, INJECT_ACCEPT, 1, UINT32_MAX);
	assert_int_equal(shmc_attach(&cache, rig.broker.name, &options), -ETIMEDOUT);
	n_called = atomic_load(&rig.broker.page->n_called);
	assert_true(inject_disarm(rig.broker.page) > 0);
	printf("accept4 was called %u times in half a second\n", n_called);
	assert_true(n_called < 100);
	check(NULL);
	close_rig();
}

static int setup(void **state)
{
	static const char *const options[] = {"-o", "dram.size=2MiB", "-o", "index.size_max=1MiB",
		"-o", "cache.persist=off", NULL};

	(void)state;
	faults_broker_init(&rig.broker, options);
	return 0;
}

/* After a test that failed on the way. */
static int teardown(void **state)
{
	(void)state;
	faults_broker_stop(&rig.broker);
	broker_run_unlink(rig.broker.name);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_attach, teardown),
		cmocka_unit_test_teardown(test_load, teardown),
		cmocka_unit_test_teardown(test_growth, teardown),
		cmocka_unit_test_teardown(test_deaf, teardown),
	};
	int r = faults_begin();

	if (r)
		return r;
	return cmocka_run_group_tests(tests, setup, NULL);
}
