/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The n-th call of each kind fails in a client, for each n, from its attach to its detach.
 *
 * Each time in a process of its own, so that what the library sets up once is failed too. The calls
 * answer with one of the errors that shmcache.h tells of; after detach the process has neither a
 * descriptor nor a map nor a block of heap more than before; attaching anew works; and the broker
 * has everything back.
 */
#include "tests/faults/faults.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/faults/script.h"

static struct system_broker broker;
static struct raw_client watcher; /* its plane alone */
static struct inject_page *page;
static unsigned broker_fds;

/* What the process has that it must give back. */
struct belongings {
	unsigned n_fds, n_maps;
	int64_t n_blocks;
};

static unsigned maps_count(void)
{
	char line[512];
	unsigned n = 0;
	FILE *f = fopen("/proc/self/maps", "re");

	while (f && fgets(line, sizeof(line), f))
		n += strstr(line, "shmcache-") || strstr(line, broker.run.name);
	if (f)
		fclose(f);
	return n;
}

static void count(struct belongings *b)
{
	b->n_maps = maps_count();
	b->n_fds = system_fd_count(getpid());
	b->n_blocks = atomic_load(&page->n_blocks);
}

static int differ(const char *when, const struct belongings *was)
{
	struct belongings is;

	count(&is);
	if (is.n_fds == was->n_fds && is.n_maps == was->n_maps && is.n_blocks == was->n_blocks)
		return 0;
	fprintf(stderr, "%s: %s: descriptors %u, were %u; maps %u, were %u; blocks %lld, were %lld\n",
		faults_now(), when, is.n_fds, was->n_fds, is.n_maps, was->n_maps,
		(long long)is.n_blocks, (long long)was->n_blocks);
	return 1;
}

static int complained(const char *when, const char *complaint)
{
	if (complaint)
		fprintf(stderr, "%s: %s: %s\n", faults_now(), when, complaint);
	return complaint != NULL;
}

static int child(void *context)
{
	const char *(*script)(const char *) = *(const char *(**)(const char *))context;
	uint32_t armed = atomic_load(&page->armed), n_failed;
	struct belongings before;
	int r;

	r = complained("the first time", script(broker.run.name));
	atomic_store(&page->armed, 0);
	/* What the library keeps for the life of the process is there by now. */
	r |= complained("after it", faults_script_well(broker.run.name));
	count(&before);
	n_failed = atomic_load(&page->n_failed);
	atomic_store(&page->n_called, 0);
	atomic_store(&page->armed, armed);
	r |= complained("the second time", script(broker.run.name));
	atomic_store(&page->armed, 0);
	r |= differ("at the end", &before);
	r |= complained("at last", faults_script_well(broker.run.name));
	r |= differ("at last", &before);
	atomic_store(&page->n_failed, n_failed + atomic_load(&page->n_failed));
	return r;
}

static void attempt(void *context)
{
	int status = system_child(child, context);

	FAULTS_CHECK(!status, "wait status %#x\n", (unsigned)status);
}

static bool has_as_before(void *context)
{
	(void)context;
	return system_fd_count(broker.run.proc.pid) == broker_fds;
}

static void check(void *context)
{
	static const enum abi_gauge gauges[] = {ABI_GAUGE_SESSIONS_NOW, ABI_GAUGE_ENTRIES,
		ABI_GAUGE_LIMBO_BYTES, ABI_GAUGE_RESERVED_BYTES, ABI_GAUGE_PINNED_BYTES,
		ABI_GAUGE_DRAM_USED_BYTES};
	unsigned i;

	(void)context;
	for (i = 0; i < sizeof(gauges) / sizeof(gauges[0]); i++)
		FAULTS_CHECK(!system_wait_gauge(&watcher, gauges[i], 0), "gauge %u of the broker\n", i);
	FAULTS_CHECK(system_wait(has_as_before, NULL), "the broker has %u descriptors, had %u\n",
		system_fd_count(broker.run.proc.pid), broker_fds);
}

static void test_script(void **state)
{
	/* An honest end, but one that takes the whole of its timeout. */
	static const enum inject_call one_by_one[] = {INJECT_SEND, INJECT_N_CALLS};
	const char *(*script)(const char *) = faults_script;
	struct faults_phase phase = {.name = "client", .page = page, .attempt = attempt,
		.check = check, .context = &script, .one_by_one = one_by_one};

	(void)state;
	/* In a child: the library must not have been set up here. */
	assert_int_equal(system_child(child, &script), 0);
	/* With a session that the worker has yet to close, each later count would be too low. */
	do {
		broker_fds = system_fd_count(broker.run.proc.pid);
		usleep(100000);
	} while (system_wait_gauge(&watcher, ABI_GAUGE_SESSIONS_NOW, 0) ||
		system_fd_count(broker.run.proc.pid) != broker_fds);
	faults_run(&phase);
}

/* --- no descriptor left ----------------------------------------------------------------------- */

/* With @more descriptors than there are now. */
static int limited(void *context)
{
	unsigned more = *(unsigned *)context, n = system_fd_count(getpid());
	struct rlimit limit, before;
	int r;

	if (getrlimit(RLIMIT_NOFILE, &before))
		return 1;
	limit = before;
	/* The directory that was looked at is one of them. */
	limit.rlim_cur = n - 1 + more;
	if (setrlimit(RLIMIT_NOFILE, &limit))
		return 1;
	r = complained("under the limit", faults_script(broker.run.name));
	if (setrlimit(RLIMIT_NOFILE, &before))
		return 1;
	return r | complained("after it", faults_script_well(broker.run.name));
}

static void test_descriptors(void **state)
{
	unsigned more;

	(void)state;
	for (more = 0; more < 16; more++)
		assert_int_equal(system_child(limited, &more), 0);
	check(NULL);
	printf("a client with 0 to 15 descriptors to spare\n");
}

static int setup(void **state)
{
	(void)state;
	page = mmap(NULL, sizeof(*page), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(page, MAP_FAILED);
	inject_page = page;
	system_start(&broker, "2MiB", false, "[index]\nsize_max = 1MiB\n");
	watcher.plane = raw_plane_open(broker.run.name, &watcher.plane_size);
	return watcher.plane ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	raw_plane_close(watcher.plane, watcher.plane_size);
	system_stop(&broker);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_script),
		cmocka_unit_test(test_descriptors),
	};
	int r = faults_begin();

	if (r)
		return r;
	return cmocka_run_group_tests(tests, setup, teardown);
}
