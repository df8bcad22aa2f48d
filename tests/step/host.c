/* SPDX-License-Identifier: Apache-2.0 */
/* host.c: the broker that must stay whole, and who looks whether it does. */
#include "tests/step/host.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "tests/support/raw-client.h"
#include "tests/support/whole.h"

/*
 * Everything is as small as the configuration allows, since each of some ten thousand clients gets
 * all of it anew. The worker sleeps at once when it has nothing to do: the traced client and the
 * tracer have one CPU for themselves, and whoever else runs has the other.
 */
#define CONFIG                                                                                     \
	"[index]\nsize_max = 1MiB\n"                                                               \
	"[broker]\npoll = sleep\n"                                                                 \
	"[session]\nlanes = 2\nqueue = 16\nholds = 64\nstaging = 65536\n"

/* It tells a broker that is stuck from one that is slow. */
#define PATIENCE_MS 60000

struct host host;
struct told *told;

static const struct whole_expect alone = {.n_sessions = 1};

void host_begin(char **argv)
{
	int r = tracer_is_allowed();

	if (r) {
		printf("SKIP: a child can't be traced here: %s\n", strerror(-r));
		exit(77);
	}
	r = tracer_settle(argv);
	if (!r)
		r = cleanup_guard();
	if (r) {
		fprintf(stderr, "can't begin: %s\n", strerror(-r));
		exit(1);
	}
	host.is_soak = getenv("SHMCACHE_SOAK") && atoi(getenv("SHMCACHE_SOAK"));
	host.seed = tracer_seed();
}

static void shm_remove(struct cleanup *cleanup)
{
	broker_run_unlink(((struct host *)cleanup)->run.name);
}

int host_setup(void **state)
{
	struct broker_run_options options = {
		.dram_size = "8MiB", .config = CONFIG, .cpu = PROC_CPU_ANY};
	struct shmc_attach_options attach = {.timeout_ms = PATIENCE_MS};

	(void)state;
	told = mmap(NULL, sizeof(*told), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (told == MAP_FAILED)
		return -1;
	cleanup_add(&host.shm, shm_remove);
	if (broker_run_start(&host.run, &options, &host.watcher, &attach))
		return -1;
	host.plane = raw_plane_open(host.run.name, &host.plane_size);
	if (!host.plane)
		return -1;
	tracer_pin();
	return 0;
}

int host_teardown(void **state)
{
	(void)state;
	host_freeze(false);
	raw_plane_close(host.plane, host.plane_size);
	shmc_detach(host.watcher);
	return broker_run_stop(&host.run) ? -1 : 0;
}

int host_ready(void **state)
{
	(void)state;
	if (host.is_spoiled)
		print_error("the broker is no longer what it was\n");
	return host.is_spoiled ? -1 : 0;
}

int host_over(void **state)
{
	(void)state;
	tracer_kill(&host.victim);
	host_freeze(false);
	return 0;
}

/* A run takes hours, and somebody may clean up in /dev/shm meanwhile, or be out of memory. */
void host_there(const char *where)
{
	static const char *const part[] = {"", ".sock"};
	char path[128];
	siginfo_t info = {0};
	size_t i;

	if (!waitid(P_PID, (id_t)host.run.proc.pid, &info, WEXITED | WNOHANG | WNOWAIT) && info.si_pid)
		fail_msg("%s: the broker has ended, by %s %d", where,
			info.si_code == CLD_EXITED ? "status" : "signal", info.si_status);
	for (i = 0; i < sizeof(part) / sizeof(part[0]); i++) {
		snprintf(path, sizeof(path), "/dev/shm/%s%s", host.run.name, part[i]);
		if (access(path, F_OK))
			fail_msg("%s: somebody has removed %s", where, path);
	}
}

void host_freeze(bool is_frozen)
{
	siginfo_t info;

	if (is_frozen == host.is_frozen)
		return;
	host.is_frozen = is_frozen;
	kill(host.run.proc.pid, is_frozen ? SIGSTOP : SIGCONT);
	/* None of its threads runs on once this is told. */
	waitid(P_PID, (id_t)host.run.proc.pid, &info, is_frozen ? WSTOPPED : WCONTINUED);
}

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/*
 * The worker looks at all its lanes in turn. What somebody else had handed over before we asked is
 * carried out in the same round as our question, or in the one before; so the second answer comes
 * behind it. Then it goes to sleep, which the client has to know: it rings, or does not.
 */
void host_pause(void)
{
	uint64_t deadline_ms = now_ms() + PATIENCE_MS;
	int i, r = 0;

	for (i = 0; i < 2 && !r; i++)
		r = shmc_ping(host.watcher, SHMC_TIMEOUT_DEFAULT);
	if (r)
		fail_msg("ping: %s", shmc_strerror(r));
	while (!shared_u32_load(&host.plane->worker[0].need_wakeup) && now_ms() < deadline_ms)
		nanosleep(&(struct timespec){.tv_nsec = 10000}, NULL);
}

void host_quiet(const char *where)
{
	uint64_t deadline_ms = now_ms() + PATIENCE_MS;
	char why[256] = "";
	int r;

	while ((r = whole_look(host.watcher, &alone, why, sizeof(why))) == -EUCLEAN &&
		now_ms() < deadline_ms)
		nanosleep(&(struct timespec){.tv_nsec = 20000}, NULL);
	if (!r)
		return;
	host.is_spoiled = true;
	host_there(where);
	fail_msg("%s: %s", where, r == -EUCLEAN ? why : shmc_strerror(r));
}

/* It takes one after the other; and the worker, their answers. */
void host_answered(const char *where)
{
	struct shmc_view view;
	int r = shmc_fetch(host.watcher, "1", 1, NULL, &view, NULL, PATIENCE_MS);

	if (r != SHMC_MISS)
		fail_msg("%s: a fetch by the watcher: %s", where, r ? shmc_strerror(r) : "a hit");
}

void host_whole(const char *where)
{
	char why[256];

	host.is_spoiled = whole_wait(host.watcher, &alone, PATIENCE_MS, why, sizeof(why)) != 0;
	if (host.is_spoiled)
		fail_msg("%s: %s", where, why);
	if (broker_run_stat(host.watcher, "shmcache_sessions_broken_total"))
		fail_msg("%s: somebody was cut off for nonsense", where);
}

uint64_t host_version(char prefix, uint64_t key)
{
	char name[VALUE_KEY_MAX];
	size_t size = value_key(prefix, key, name);
	struct shmc_view view;
	uint64_t version = 0;
	int r = shmc_get(host.watcher, name, size, &view);

	if (r == SHMC_MISS)
		return 0;
	if (r)
		fail_msg("get: %s", shmc_strerror(r));
	if (!value_is(view.data, view.size, key, &version))
		fail_msg("the value of key %llu is not what was put", (unsigned long long)key);
	shmc_release(host.watcher, &view);
	return version;
}

void host_put(char prefix, uint64_t key, uint64_t version, size_t size)
{
	char name[VALUE_KEY_MAX];
	size_t name_size = value_key(prefix, key, name);
	char *value = malloc(size);
	int r;

	assert_non_null(value);
	value_make(value, size, key, version);
	r = shmc_put(host.watcher, name, name_size, value, size, NULL, SHMC_TIMEOUT_DEFAULT);
	free(value);
	if (r)
		fail_msg("put: %s", shmc_strerror(r));
}

void host_delete(char prefix, uint64_t key)
{
	char name[VALUE_KEY_MAX];
	int r = shmc_delete(host.watcher, name, value_key(prefix, key, name), SHMC_TIMEOUT_DEFAULT);

	if (r)
		fail_msg("delete: %s", shmc_strerror(r));
}
