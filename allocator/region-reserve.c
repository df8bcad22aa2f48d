/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All pages of a region up front, by many threads.
 *
 * Shared memory is promised by ftruncate() and found missing by SIGBUS, at the
 * first touch of a page that the file system has no room for: in a client, at
 * noon. So each page is taken at the start. fallocate() goes first, since it
 * is the call that answers a full file system with an error; only then are the
 * pages zeroed and mapped by MADV_POPULATE_WRITE, which spares the put path its
 * page faults, and which on its own would have been that SIGBUS as -EFAULT.
 * Neither touches what a reused region holds.
 *
 * Zeroing is bound by one core's memory writes, hence threads: they take slices
 * off a common counter, so that a slow node or a busy core does not keep the
 * others waiting.
 *
 * Running into the wall is no good way to find it even so: while the last free
 * page is being taken, everyone else on the host who touches /dev/shm is the one
 * to be killed. What is plainly too large is refused before a page is taken.
 *
 * Huge pages: fallocate() of shared memory does not see the advice on a mapping,
 * so pages come small under `advise`, and are collapsed afterwards in place. The
 * kernel's own count tells what was got.
 */
#include "allocator/region-private.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define SLICE_SIZE (UINT64_C(64) << 20)		/* a multiple of a huge page */
#define THREADS_MAX 64u
#define THREADS_AUTO_MAX 16u

/* Newer than the C library's headers. */
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

struct slices {
	const struct region *r;
	region_slice_fn *run;
	void *arg;
	atomic_uint_fast64_t next_off;	/* relaxed: slices depend on nothing */
	atomic_int err;			/* the first, a positive errno */
};

/* Kernels before 5.14. The pages exist: reading maps and clears them. */
static void pages_touch(const char *p, uint64_t size)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), off;

	for (off = 0; off < size; off += page)
		(void)*(const volatile char *)(p + off);
}

static int slice_reserve(const struct region *r, uint64_t off, uint64_t size, void *arg)
{
	const bool *huge = arg;
	char *p = (char *)r->base + off;
	int err;

	do {
		err = fallocate(r->fd, 0, (off_t)off, (off_t)size);
	} while (err && errno == EINTR);
	if (err)
		return errno;
	do {
		err = madvise(p, size, MADV_POPULATE_WRITE);
	} while (err && (errno == EINTR || errno == EAGAIN));
	if (err && errno != EINVAL)
		return errno;
	if (err)
		pages_touch(p, size);
	/* Best effort; what came of it is counted at the end. */
	if (*huge)
		madvise(p, size, MADV_COLLAPSE);
	return 0;
}

static void *slices_run(void *arg)
{
	struct slices *v = arg;
	uint64_t off, size;
	int err, none = 0;

	while (!atomic_load_explicit(&v->err, memory_order_relaxed)) {
		off = atomic_fetch_add_explicit(&v->next_off, SLICE_SIZE,
			memory_order_relaxed);
		if (off >= v->r->size)
			break;
		size = v->r->size - off < SLICE_SIZE ? v->r->size - off : SLICE_SIZE;
		err = v->run(v->r, off, size, v->arg);
		if (err)
			atomic_compare_exchange_strong_explicit(&v->err, &none, err,
				memory_order_relaxed, memory_order_relaxed);
	}
	return NULL;
}

static unsigned int threads_auto(void)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);

	if (n < 1)
		return 1;
	return n > (long)THREADS_AUTO_MAX ? THREADS_AUTO_MAX : (unsigned int)n;
}

/* The caller's thread works too, so it gets done even where no thread can be
 * started. Signals stay the caller's. */
int region_slices(const struct region *r, unsigned int n_threads, region_slice_fn *run, void *arg)
{
	struct slices v = { .r = r, .run = run, .arg = arg };
	uint64_t n_slices = (r->size + SLICE_SIZE - 1) / SLICE_SIZE;
	pthread_t threads[THREADS_MAX];
	sigset_t all, before;
	unsigned int i, n = 0;

	if (!n_threads)
		n_threads = threads_auto();
	if (n_threads > THREADS_MAX)
		n_threads = THREADS_MAX;
	if (n_threads > n_slices)
		n_threads = (unsigned int)n_slices;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	while (n + 1 < n_threads && !pthread_create(&threads[n], NULL, slices_run, &v))
		n++;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	slices_run(&v);
	for (i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
	return atomic_load_explicit(&v.err, memory_order_relaxed);
}

/* A line of /proc/meminfo, in bytes; UINT64_MAX if it can't be told. */
static uint64_t meminfo_get(const char *key)
{
	uint64_t kib = UINT64_MAX / 1024;
	char line[128], *colon;
	FILE *f = fopen("/proc/meminfo", "re");

	if (!f)
		return UINT64_MAX;
	while (fgets(line, sizeof(line), f)) {
		colon = strchr(line, ':');
		if (!colon)
			continue;
		*colon = '\0';
		if (strcmp(line, key))
			continue;
		kib = strtoull(colon + 1, NULL, 10);
		break;
	}
	fclose(f);
	return kib * 1024;
}

/* Refuses what plainly does not fit, and takes nothing. */
static int room_check(const struct region *r, const struct region_why *why)
{
	uint64_t want, room, memory;
	struct statvfs fs;
	struct stat st;

	if (fstat(r->fd, &st) || fstatvfs(r->fd, &fs))
		return -errno;
	want = (uint64_t)st.st_blocks * 512;
	want = r->size > want ? r->size - want : 0;
	room = (uint64_t)fs.f_bavail * fs.f_frsize;
	if (fs.f_blocks && want > room) {
		region_why_add(why, "no room for %s: it needs %s more and /dev/shm has %s "
			"free; choose a smaller size, remove what is not needed there, "
			"or remount it with a larger size=", r->name,
			region_size_text(want).s, region_size_text(room).s);
		return -ENOSPC;
	}
	memory = meminfo_get("MemAvailable");
	if (memory < UINT64_MAX / 2)
		memory += meminfo_get("SwapFree");
	if (want > memory) {
		region_why_add(why, "no memory for %s: it needs %s more and the machine has "
			"%s available; choose a smaller size", r->name,
			region_size_text(want).s, region_size_text(memory).s);
		return -ENOMEM;
	}
	return 0;
}

/* What the kernel says of this mapping: it may span several entries. */
static uint64_t huge_size_get(const struct region *r)
{
	unsigned long long start, end, kib, base = (uintptr_t)r->base;
	bool inside = false;
	uint64_t sum = 0;
	char line[512];
	FILE *f = fopen("/proc/self/smaps", "re");

	if (!f)
		return 0;
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%llx-%llx ", &start, &end) == 2)
			inside = start >= base && end <= base + r->size;
		else if (inside && sscanf(line, "ShmemPmdMapped: %llu kB", &kib) == 1)
			sum += kib * 1024;
	}
	fclose(f);
	return sum;
}

int region_reserve(struct region *r, unsigned int n_threads, bool huge,
		const struct region_why *why)
{
	int err = room_check(r, why);

	if (err)
		return err;
	if (huge)
		madvise(r->base, r->size, MADV_HUGEPAGE);
	err = region_slices(r, n_threads, slice_reserve, &huge);
	if (err) {
		region_why_add(why, "cannot reserve %s for %s: %s; choose a smaller size",
			region_size_text(r->size).s, r->name, strerror(err));
		return -err;
	}
	if (!huge)
		return 0;
	r->huge_size = huge_size_get(r);
	if (r->huge_size < (r->size & ~(REGION_HUGE_PAGE - 1)) || !r->huge_size) {
		r->lacks |= REGION_NOT_HUGE;
		region_why_add(why, "%s has %s of %s in huge pages; see "
			"/sys/kernel/mm/transparent_hugepage/shmem_enabled", r->name,
			region_size_text(r->huge_size).s, region_size_text(r->size).s);
	}
	return 0;
}
