/* SPDX-License-Identifier: Apache-2.0 */
/* leak.c: a thousand attaches and detaches leave nothing behind. */
#include <dirent.h>
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/support/broker-run.h"

enum { WAIT = 20000, N_ATTACHES = 1000 };

static unsigned count_entries(const char *path, const char *with)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	unsigned n = 0;

	assert_non_null(dir);
	while ((entry = readdir(dir)))
		n += !with || strstr(entry->d_name, with) != NULL;
	closedir(dir);
	return n;
}

static unsigned count_maps(void)
{
	FILE *file = fopen("/proc/self/maps", "re");
	char line[512];
	unsigned n = 0;

	assert_non_null(file);
	while (fgets(line, sizeof(line), file))
		n += strstr(line, "/dev/shm") || strstr(line, "memfd");
	fclose(file);
	return n;
}

/* Everything that holds something: lanes, a view, a queue with requests, a reservation. */
static void visit(const char *name)
{
	struct shmc_request q = {.operation = SHMC_OP_PING}, *one = &q;
	struct shmc_reservation r;
	struct shmc_queue *queue;
	struct shmc_view view;
	struct shmc *cache;

	assert_int_equal(shmc_attach(&cache, name, NULL), 0);
	assert_int_equal(shmc_put(cache, "key", 3, "value", 5, NULL, WAIT), 0);
	assert_int_equal(shmc_get(cache, "key", 3, &view), 0);
	assert_int_equal(shmc_reserve(cache, "new", 3, 5000, NULL, &r, WAIT), 0);
	assert_int_equal(shmc_queue_open(&queue, cache), 0);
	assert_int_equal(shmc_submit(queue, &one, 1), 1);
	shmc_detach(cache);
}

static void a_thousand_attaches_leave_nothing(void **state)
{
	unsigned n_fds, n_maps, n_shm;
	struct broker_run broker;
	struct shmc *watcher;
	size_t heap;
	int i;

	(void)state;
	assert_int_equal(broker_run_start(&broker,
		&(struct broker_run_options){.cpu = PROC_CPU_ANY}, &watcher, NULL), 0);
	for (i = 0; i < 10; i++)
		visit(broker.name);
	n_fds = count_entries("/proc/self/fd", NULL);
	n_maps = count_maps();
	n_shm = count_entries("/dev/shm", broker.name);
	heap = mallinfo2().uordblks;
	for (i = 0; i < N_ATTACHES; i++)
		visit(broker.name);
	assert_int_equal(count_entries("/proc/self/fd", NULL), n_fds);
	assert_int_equal(count_maps(), n_maps);
	assert_int_equal(count_entries("/dev/shm", broker.name), n_shm);
	assert_in_range(mallinfo2().uordblks, 0, heap + 1024);

	/* And the broker has them all behind it. */
	for (i = 0; i < 500 && broker_run_stat(watcher, "shmcache_sessions") != 1; i++)
		usleep(10000);
	assert_int_equal(broker_run_stat(watcher, "shmcache_sessions"), 1);
	assert_true(broker_run_stat(watcher, "shmcache_sessions_total") >= N_ATTACHES);
	shmc_detach(watcher);
	assert_int_equal(broker_run_stop(&broker), 0);
	assert_int_equal(count_entries("/dev/shm", broker.name), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_thousand_attaches_leave_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
