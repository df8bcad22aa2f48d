/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A broker whose calls fail.
 *
 * It runs with inject.c before its C library, and looks at a page that the test has mapped too, so
 * a fault can be armed before it starts or while it serves. It is started here and not by
 * broker-run.c, which takes a broker that ends for a failed test: here that is half of what is
 * wanted.
 */
#include "tests/faults/faults.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define INJECT_NAME(call, name, error) name,
static const char *const call_name[] = {INJECT_CALLS(INJECT_NAME)};

static char now[128] = "no fault";

#define COMPLAINTS_MAX 25
static unsigned n_complaints;

const char *faults_now(void)
{
	return now;
}

void faults_complained(void)
{
	if (++n_complaints > COMPLAINTS_MAX)
		fail_msg("%s, and so on", now);
}

/* --- brokers ---------------------------------------------------------------------------------- */

static void remove_objects(struct cleanup *cleanup)
{
	struct faults_broker *b = (struct faults_broker *)cleanup; /* its first member */

	broker_run_unlink(b->name);
}

void faults_broker_init(struct faults_broker *b, const char *const *options)
{
	static unsigned n;

	memset(b, 0, sizeof(*b));
	b->options = options;
	snprintf(b->name, sizeof(b->name), "faults-%d-%u", getpid(), ++n);
	cleanup_add(&b->shm, remove_objects);
	b->log = memfd_create("log", MFD_CLOEXEC);
	b->page_fd = memfd_create("inject", 0);
	assert_true(b->log >= 0 && b->page_fd >= 0);
	assert_int_equal(ftruncate(b->page_fd, sizeof(*b->page)), 0);
	b->page = mmap(NULL, sizeof(*b->page), PROT_READ | PROT_WRITE, MAP_SHARED, b->page_fd, 0);
	assert_ptr_not_equal(b->page, MAP_FAILED);
}

void faults_broker_start(struct faults_broker *b)
{
	char name[64], page[64];
	const char *argv[32] = {getenv("SHMCACHED"), "-o", name};
	struct proc_options options = {argv, PROC_CPU_ANY, -1, -1, b->log};
	unsigned i;

	assert_non_null(argv[0]);
	snprintf(name, sizeof(name), "cache.name=%s", b->name);
	snprintf(page, sizeof(page), "/proc/%d/fd/%d", getpid(), b->page_fd);
	for (i = 0; b->options[i]; i++)
		argv[3 + i] = b->options[i];
	assert_int_equal(ftruncate(b->log, 0), 0);
	lseek(b->log, 0, SEEK_SET);
	atomic_store(&b->page->n_blocks, 0);
	setenv("LD_PRELOAD", getenv("SHMCACHE_INJECT_LIBRARY"), 1);
	setenv(INJECT_ENV, page, 1);
	assert_int_equal(proc_start(&b->proc, &options), 0);
	unsetenv("LD_PRELOAD");
}

static bool is_serving(const struct faults_broker *b)
{
	size_t size;
	const struct abi_plane *plane = raw_plane_open(b->name, &size);
	bool is = plane && shared_u32_load_acquire(&plane->state) == ABI_STATE_SERVING &&
		shared_u32_load(&plane->broker_pid) == (uint32_t)b->proc.pid;

	raw_plane_close(plane, size);
	return is;
}

static bool is_up_or_gone(void *context)
{
	struct faults_broker *b = context;

	return is_serving(b) || !proc_running(&b->proc);
}

bool faults_broker_wait(struct faults_broker *b, int *status)
{
	FAULTS_CHECK(system_wait(is_up_or_gone, b), "neither served nor ended: %s",
		faults_broker_said(b));
	if (proc_running(&b->proc))
		return true;
	*status = proc_wait(&b->proc);
	return false;
}

int faults_broker_stop(struct faults_broker *b)
{
	return proc_stop(&b->proc);
}

const char *faults_broker_said(struct faults_broker *b)
{
	static char text[8192];
	ssize_t n = pread(b->log, text, sizeof(text) - 1, 0);

	text[n > 0 ? n : 0] = '\0';
	return text;
}

/* --- each call, each number ------------------------------------------------------------------- */

static unsigned run_call(const struct faults_phase *p, enum inject_call call, bool all_from)
{
	/* What is done for each request alike is not failed for each in CI. */
	const char *soak = getenv("SHMCACHE_SOAK");
	unsigned n, n_max = soak && atoi(soak) ? UINT32_MAX : 12;
	bool is_reached;

	for (n = 1; n <= n_max; n++) {
		snprintf(now, sizeof(now), "%s: %s number %u%s fails", p->name, call_name[call], n,
			all_from ? " and all behind it" : "");
		inject_arm(p->page, call, n, all_from ? UINT32_MAX : n);
		p->attempt(p->context);
		is_reached = inject_disarm(p->page) > 0;
		p->check(p->context);
		if (!is_reached)
			break;
	}
	return n - 1;
}

static bool is_among(const enum inject_call *calls, enum inject_call call)
{
	for (; *calls != INJECT_N_CALLS; calls++)
		if (*calls == call)
			return true;
	return false;
}

static void run_all(const struct faults_phase *p, bool all_from)
{
	unsigned n, total = 0;
	int call;

	n_complaints = 0;
	printf("%s%s:", p->name, all_from ? ", from the n-th on" : "");
	for (call = 0; call < INJECT_N_CALLS; call++) {
		if (p->only && !is_among(p->only, (enum inject_call)call))
			continue;
		if (all_from && p->one_by_one && is_among(p->one_by_one, (enum inject_call)call))
			continue;
		n = run_call(p, (enum inject_call)call, all_from);
		if (n)
			printf(" %s %u", call_name[call], n);
		total += n;
	}
	printf("; %u faults\n", total);
	fflush(stdout);
	snprintf(now, sizeof(now), "no fault");
	/* One whose faults never come tests nothing. */
	assert_true(total > 0);
	if (n_complaints)
		fail_msg("%s: %u complaints", p->name, n_complaints);
}

void faults_run(const struct faults_phase *phase)
{
	run_all(phase, false);
	run_all(phase, true);
}

int faults_begin(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	/* Its own malloc() must come first, and it takes a failed one for the program's end. */
	printf("SKIP: the sanitizer's runtime can't be preloaded over\n");
	return EXIT_SKIP;
#else
	return cleanup_guard() ? 1 : 0;
#endif
}
