/* SPDX-License-Identifier: Apache-2.0 */
/*
 * watch.c: a broker under load, seen from outside.
 *
 * What the broker says of itself (gauges) and what the kernel says of it (/proc) are looked at
 * both: a session that was forgotten may be missing from the first and still cost a descriptor.
 */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

#include "tests/soak/watch.h"
#include "tests/support/raw-client.h"

#define PATIENCE_MS 60000
#define PAUSE_MS 5
#define N_FIRST_LOOKS 40

static unsigned entries_count(const char *path, const char *prefix)
{
	struct dirent *entry;
	unsigned n = 0;
	DIR *dir = opendir(path);

	while (dir && (entry = readdir(dir)))
		n += entry->d_name[0] != '.' && !strncmp(entry->d_name, prefix, strlen(prefix));
	if (dir)
		closedir(dir);
	return n;
}

static struct watch_footprint footprint(const struct watch *w)
{
	struct watch_footprint f;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)w->broker.proc.pid);
	f.n_fds = entries_count(path, "");
	snprintf(path, sizeof(path), "/proc/%d/task", (int)w->broker.proc.pid);
	f.n_threads = entries_count(path, "");
	f.n_shm = entries_count("/dev/shm", w->broker.name);
	return f;
}

static void pause_shortly(void)
{
	nanosleep(&(struct timespec){.tv_nsec = PAUSE_MS * 1000000}, NULL);
}

/*
 * The least of several looks: a lane serves before the broker has closed what it handed over for
 * it, and one descriptor too many here would find fault with the end, or hide a leak there.
 */
static struct watch_footprint footprint_at_rest(const struct watch *w)
{
	struct watch_footprint least = footprint(w), f;
	unsigned i;

	for (i = 1; i < N_FIRST_LOOKS; i++) {
		pause_shortly();
		f = footprint(w);
		least.n_fds = f.n_fds < least.n_fds ? f.n_fds : least.n_fds;
		least.n_threads = f.n_threads < least.n_threads ? f.n_threads : least.n_threads;
		least.n_shm = f.n_shm < least.n_shm ? f.n_shm : least.n_shm;
	}
	return least;
}

static void shm_remove(struct cleanup *cleanup)
{
	struct watch *w = (struct watch *)cleanup; /* its first member */

	broker_run_unlink(w->broker.name);
}

int watch_open(struct watch *w, const struct broker_run_options *options)
{
	int r;

	cleanup_add(&w->shm, shm_remove);
	w->persists = options->persist;
	r = broker_run_start(&w->broker, options, &w->cache, NULL);
	if (r)
		return r;
	/* The lane that asking takes is there from here on. */
	r = shmc_ping(w->cache, PATIENCE_MS);
	w->before = footprint_at_rest(w);
	return r;
}

uint64_t watch_stat(struct watch *w, const char *name)
{
	return broker_run_stat(w->cache, name);
}

/* What the plane says; it stays behind when its broker is killed. */
static uint64_t counter(const struct abi_plane *plane, enum abi_counter counter)
{
	uint64_t sum = 0;
	int i;

	for (i = 0; plane && i < ABI_THREADS; i++)
		sum += shared_u64_load(&plane->worker[i].counter[counter]);
	return sum;
}

static uint64_t lost_now(const struct watch *w)
{
	size_t size = 0;
	const struct abi_plane *plane = raw_plane_open(w->broker.name, &size);
	uint64_t n = counter(plane, ABI_COUNTER_EVICTIONS) +
		counter(plane, ABI_COUNTER_TIER_DAMAGE) +
		counter(plane, ABI_COUNTER_RECOVER_DROPPED);

	raw_plane_close(plane, size);
	return n;
}

uint64_t watch_lost(struct watch *w)
{
	return w->n_lost + lost_now(w);
}

unsigned watch_books(struct watch *w)
{
	size_t size = 0;
	const struct abi_plane *plane = raw_plane_open(w->broker.name, &size);
	uint64_t n = plane ? shared_u64_load(&plane->gauge[ABI_GAUGE_ENTRIES]) : 0;
	uint64_t came = counter(plane, ABI_COUNTER_RECOVERED) + counter(plane, ABI_COUNTER_PUTS) +
		counter(plane, ABI_COUNTER_FILLS_PUBLISHED);
	uint64_t went = counter(plane, ABI_COUNTER_REPLACES) + counter(plane, ABI_COUNTER_DELETES) +
		counter(plane, ABI_COUNTER_EXPIRED) + counter(plane, ABI_COUNTER_EVICTIONS) +
		counter(plane, ABI_COUNTER_TIER_DAMAGE);

	raw_plane_close(plane, size);
	if (n == came - went)
		return 0;
	printf("%llu entries, but %llu came and %llu went\n", (unsigned long long)n,
		(unsigned long long)came, (unsigned long long)went);
	return 1;
}

bool watch_knows(const struct watch *w, pid_t pid)
{
	const struct abi_session *session;
	size_t size;
	const struct abi_plane *plane = raw_plane_open(w->broker.name, &size);
	bool is_known = false;
	unsigned i;

	for (i = 0; plane && i < plane->n_sessions_max && !is_known; i++) {
		session = &plane->session[i];
		/* partner: the release when the broker takes leave */
		is_known = shared_u64_load_acquire(&session->id) &&
			shared_u32_load(&session->pid) == (uint32_t)pid;
	}
	raw_plane_close(plane, size);
	return is_known;
}

int watch_kill(struct watch *w)
{
	int status;

	if (!proc_running(&w->broker.proc))
		return -ESRCH;
	kill(w->broker.proc.pid, SIGKILL);
	status = proc_wait(&w->broker.proc);
	/* The next one begins to count anew. */
	w->n_lost += lost_now(w);
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL ? 0 : -ECHILD;
}

int watch_launch(struct watch *w)
{
	return broker_run_launch(&w->broker);
}

int watch_again(struct watch *w)
{
	int r = broker_run_again(&w->broker);

	return r ? r : shmc_ping(w->cache, PATIENCE_MS);
}

static unsigned differ(struct watch *w, bool says)
{
	static const struct {
		const char *name;
		uint64_t value;
	} gauges[] = {{"shmcache_sessions", 1}, {"shmcache_reserved_bytes", 0},
		{"shmcache_pinned_bytes", 0}, {"shmcache_limbo_bytes", 0}};
	struct watch_footprint f = footprint(w);
	unsigned i, n = 0;
	uint64_t value;

	for (i = 0; i < sizeof(gauges) / sizeof(gauges[0]); i++) {
		value = watch_stat(w, gauges[i].name);
		if (value == gauges[i].value)
			continue;
		n++;
		if (says)
			printf("%s is %llu and not %llu\n", gauges[i].name,
				(unsigned long long)value, (unsigned long long)gauges[i].value);
	}
	if (f.n_fds != w->before.n_fds || f.n_threads != w->before.n_threads ||
		f.n_shm != w->before.n_shm) {
		n++;
		if (says)
			printf("descriptors %u, threads %u, objects in /dev/shm %u; at first %u, %u, "
			       "%u\n", f.n_fds, f.n_threads, f.n_shm, w->before.n_fds,
				w->before.n_threads, w->before.n_shm);
	}
	return n;
}

unsigned watch_all_given_back(struct watch *w)
{
	unsigned waited;

	for (waited = 0; waited < PATIENCE_MS && differ(w, false); waited += PAUSE_MS) {
		/* Gauges are written while there is work. */
		(void)shmc_ping(w->cache, PATIENCE_MS);
		pause_shortly();
	}
	return differ(w, true);
}

unsigned watch_complaints(struct watch *w)
{
	static const char *const events[] = {"event=cold-start", "event=session-cut-off",
		"event=tier-damaged", "event=can-not-serve"};
	char path[PATH_MAX], line[1024];
	unsigned i, n = 0;
	FILE *file;

	file = fopen(scratch_file(&w->broker.scratch, "broker.log", path), "re");
	while (file && fgets(line, sizeof(line), file)) {
		for (i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
			if (!strstr(line, events[i]))
				continue;
			fputs(line, stdout);
			n++;
		}
	}
	if (file)
		fclose(file);
	return n;
}

/* Of a cache that stays: plane, index, tier and lock. */
#define N_SHM_KEPT 4

unsigned watch_close(struct watch *w)
{
	unsigned n = 0, n_shm;
	int status;

	shmc_detach(w->cache);
	status = broker_run_stop(&w->broker);
	if (status) {
		printf("the broker ended with status 0x%x\n", (unsigned)status);
		n++;
	}
	n_shm = entries_count("/dev/shm", w->broker.name);
	if (n_shm != (w->persists ? N_SHM_KEPT : 0)) {
		printf("%u objects are left in /dev/shm\n", n_shm);
		n++;
	}
	cleanup_drop(&w->shm);
	shm_remove(&w->shm);
	return n;
}
