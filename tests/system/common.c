/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the several-process tests share.
 *
 * A test that fails jumps out of wherever it is, so whatever must be undone is registered before it
 * is done: the broker's process by proc.c, its objects in /dev/shm here. Children are forked from
 * the test, die with it (PR_SET_PDEATHSIG) and leave by _exit(), past the parent's cleanup.
 *
 * Waiting has one limit, a minute. It is no measurement: it tells a broker that is stuck from one
 * that is slow, under a sanitizer or on a busy machine.
 */
#include "tests/system/common.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_MS 60000
#define REST_LOOKS 50 /* a tenth of a second in all */

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

void system_pause(void)
{
	nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
}

/* --- brokers ---------------------------------------------------------------------------------- */

static void shm_remove(struct cleanup *cleanup)
{
	struct system_broker *b = (struct system_broker *)cleanup; /* its first member */
	char lock[64];

	broker_run_unlink(b->run.name);
	wire_object_name(b->run.name, WIRE_OBJECT_LOCK, lock, sizeof(lock));
	shm_unlink(lock);
}

static void forget(struct system_broker *b)
{
	cleanup_drop(&b->shm);
	shm_remove(&b->shm);
	b->is_started = false;
}

void system_start(struct system_broker *b, const char *dram_size, bool persist, const char *config)
{
	struct broker_run_options options = {
		.dram_size = dram_size,
		.persist = persist,
		.config = config,
		.cpu = PROC_CPU_ANY,
		.timeout_ms = PATIENCE_MS,
	};

	/* A test before may have failed on the way. */
	if (b->is_started) {
		broker_run_stop(&b->run);
		forget(b);
	}
	memset(b, 0, sizeof(*b));
	b->is_started = true;
	cleanup_add(&b->shm, shm_remove);
	assert_int_equal(broker_run_start(&b->run, &options, NULL, NULL), 0);
}

void system_stop(struct system_broker *b)
{
	char path[PATH_MAX], line[512];
	FILE *config;
	bool persists = false;

	if (!b->is_started)
		return;
	config = fopen(scratch_file(&b->run.scratch, "broker.conf", path), "re");
	while (config && fgets(line, sizeof(line), config))
		persists |= !strcmp(line, "persist = on\n");
	if (config)
		fclose(config);
	assert_int_equal(broker_run_stop(&b->run), 0);
	if (!persists)
		assert_int_equal(system_shm_count(b->run.name), 0);
	forget(b);
}

void system_kill(struct system_broker *b)
{
	assert_true(proc_running(&b->run.proc));
	kill(b->run.proc.pid, SIGKILL);
	assert_int_equal(WTERMSIG(proc_wait(&b->run.proc)), SIGKILL);
}

void system_again(struct system_broker *b)
{
	assert_int_equal(broker_run_again(&b->run), 0);
}

void system_configure(
	struct system_broker *b, const char *dram_size, bool persist, const char *config)
{
	char path[PATH_MAX];
	FILE *file = fopen(scratch_file(&b->run.scratch, "broker.conf", path), "we");

	assert_non_null(file);
	fprintf(file, "[cache]\nname = %s\npersist = %s\n[dram]\nsize = %s\n%s\n", b->run.name,
		persist ? "on" : "off", dram_size, config ? config : "");
	assert_int_equal(fclose(file), 0);
}

void system_assert_alive(struct system_broker *b)
{
	struct raw_client c;
	struct raw_lane *lane;

	assert_true(proc_running(&b->run.proc));
	assert_int_equal(raw_attach(&c, b->run.name, WIRE_ROLE_READER), 0);
	assert_int_equal(shared_u32_load_acquire(&c.plane->state), ABI_STATE_SERVING);
	assert_int_equal(raw_lane_open(&c, &lane), 0);
	assert_int_equal(raw_ping(&c, lane), ABI_STATUS_OK);
	raw_detach(&c);
}

unsigned system_log_count(const struct system_broker *b, const char *text)
{
	char path[PATH_MAX], line[2048];
	unsigned n = 0;
	FILE *file = fopen(scratch_file(&b->run.scratch, "broker.log", path), "re");

	while (file && fgets(line, sizeof(line), file))
		n += strstr(line, text) != NULL;
	if (file)
		fclose(file);
	return n;
}

/* --- programs and children -------------------------------------------------------------------- */

static bool is_readable_until(int fd, uint64_t deadline)
{
	struct pollfd wait = {.fd = fd, .events = POLLIN};
	uint64_t now = now_ms();

	return now < deadline && poll(&wait, 1, (int)(deadline - now)) > 0;
}

void system_run(struct system_output *o, const char *const *args)
{
	char program[PATH_MAX];

	broker_run_program(program);
	system_run_program(o, program, args);
}

void system_run_program(struct system_output *o, const char *program, const char *const *args)
{
	const char *argv[32] = {program};
	struct proc_options options = {argv, PROC_CPU_ANY, -1, -1, -1};
	static struct proc proc;
	uint64_t deadline = now_ms() + PATIENCE_MS;
	size_t size = 0;
	ssize_t n;
	int fds[2], i;

	for (i = 0; i < 30 && args[i]; i++)
		argv[i + 1] = args[i];
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	options.stderr_fd = fds[1];
	assert_int_equal(proc_start(&proc, &options), 0);
	close(fds[1]);
	while (size < sizeof(o->text) - 1 && is_readable_until(fds[0], deadline) &&
		(n = read(fds[0], o->text + size, sizeof(o->text) - 1 - size)) > 0)
		size += (size_t)n;
	o->text[size] = '\0';
	close(fds[0]);
	/* It serves, where it should have ended: the status tells. */
	if (now_ms() > deadline)
		kill(proc.pid, SIGKILL);
	o->status = proc_wait(&proc);
}

pid_t system_spawn(int (*body)(void *context), void *context)
{
	pid_t parent = getpid(), pid = fork();

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(127);
	_exit(body(context));
}

int system_child(int (*body)(void *context), void *context)
{
	pid_t pid = system_spawn(body, context);
	int status;

	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

void system_end(pid_t pid)
{
	if (pid <= 0)
		return;
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* --- looking ---------------------------------------------------------------------------------- */

static unsigned entries_count(const char *path, const char *prefix)
{
	struct dirent *entry;
	unsigned n = 0;
	DIR *dir = opendir(path);

	assert_non_null(dir);
	while ((entry = readdir(dir)))
		n += entry->d_name[0] != '.' && !strncmp(entry->d_name, prefix, strlen(prefix));
	closedir(dir);
	return n;
}

unsigned system_shm_count(const char *name)
{
	return entries_count("/dev/shm", name);
}

unsigned system_fd_count(pid_t pid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	return entries_count(path, "");
}

unsigned system_fd_count_at_rest(pid_t pid)
{
	unsigned i, n, least = system_fd_count(pid);

	for (i = 1; i < REST_LOOKS; i++) {
		system_pause();
		n = system_fd_count(pid);
		least = n < least ? n : least;
	}
	return least;
}

uint64_t system_memory(pid_t pid)
{
	struct proc_usage usage;

	assert_int_equal(proc_usage(pid, &usage), 0);
	return usage.anon_size;
}

bool system_wait(bool (*is_true)(void *context), void *context)
{
	uint64_t deadline = now_ms() + PATIENCE_MS;

	while (!is_true(context)) {
		if (now_ms() > deadline)
			return false;
		system_pause();
	}
	return true;
}

struct wanted {
	const struct raw_client *c;
	unsigned which;
	uint64_t value, last;
};

static bool gauge_is(void *context)
{
	struct wanted *w = context;

	w->last = raw_gauge(w->c, w->which);
	return w->last == w->value;
}

static bool counter_is(void *context)
{
	struct wanted *w = context;

	w->last = raw_counter(w->c, w->which);
	return w->last == w->value;
}

uint64_t system_wait_gauge(const struct raw_client *c, enum abi_gauge gauge, uint64_t value)
{
	struct wanted w = {c, gauge, value, 0};

	system_wait(gauge_is, &w);
	return w.last;
}

uint64_t system_wait_counter(const struct raw_client *c, enum abi_counter counter, uint64_t value)
{
	struct wanted w = {c, counter, value, 0};

	system_wait(counter_is, &w);
	return w.last;
}

struct fd_count {
	pid_t pid;
	unsigned n_max;
};

static bool fd_count_is(void *context)
{
	const struct fd_count *f = context;

	return system_fd_count(f->pid) <= f->n_max;
}

bool system_wait_fd_count(const struct system_broker *b, unsigned n_max)
{
	struct fd_count f = {b->run.proc.pid, n_max};

	return system_wait(fd_count_is, &f);
}

int system_attach(const char *name, char *why, size_t size)
{
	char words[256] = "";
	struct shmc_attach_options options = {.timeout_ms = 2000, .why = words,
		.why_size = sizeof(words)};
	struct shmc *cache = NULL;
	int r = shmc_attach(&cache, name, &options);

	if (!r)
		shmc_detach(cache);
	else
		assert_int_not_equal(words[0], '\0');
	if (why)
		snprintf(why, size, "%s", words);
	return r;
}

void system_fill(uint8_t *bytes, size_t size, uint64_t seed)
{
	uint64_t x = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
	size_t i;

	for (i = 0; i < size; i++) {
		if (i % 8 == 0)
			x = x * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
		bytes[i] = (uint8_t)(x >> (i % 8 * 8));
	}
}
