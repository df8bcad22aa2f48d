/* SPDX-License-Identifier: Apache-2.0 */
/* one-mapping.c: mmap() that gives a shared object the address at which it is mapped already. */
#include <assert.h>
#include <dlfcn.h>
#include <sched.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "tests/tsan/one-mapping.h"

/*
 * The thread sanitizer knows memory by its address. A broker and a client in one process would map
 * each memfd at an address of its own, every shared word would be two words to it, and it would
 * find nothing, ever. So here the second map of an object yields the first one, with the protection
 * that both need together, and the last munmap() is the one that counts. Neither broker nor client
 * knows: what runs is the very code that is installed, from shmc_attach() on.
 *
 * That costs what separate maps protect from, a client that writes where it must not. Other tests
 * look at that.
 *
 * These definitions stand before those of the C library and of the sanitizer in the order of
 * lookup. The sanitizer's must still be called: they clear the history of addresses that are used
 * again. It calls us too, even before it is ready to be called, so this file is built without it;
 * and the lock is one that it can't see, lest it takes each call for a meeting of the threads.
 */
#define MAPPINGS_MAX 256

struct mapping {
	dev_t dev;
	ino_t ino;
	_Atomic(char *) base; /* NULL: free */
	size_t size;
	int protection;
	unsigned n_users;
};

static struct {
	atomic_flag lock;
	struct mapping at[MAPPINGS_MAX];
	atomic_uint n_mapped;
	atomic_ulong n_shared;
} mappings = {.lock = ATOMIC_FLAG_INIT};

static void lock(void)
{
	while (atomic_flag_test_and_set_explicit(&mappings.lock, memory_order_acquire))
		sched_yield();
}

static void unlock(void)
{
	atomic_flag_clear_explicit(&mappings.lock, memory_order_release);
}

typedef void *mmap_fn(void *, size_t, int, int, int, off_t);
typedef int munmap_fn(void *, size_t);

/* What a sanitizer has in place of the functions, if it has. Not declared in any header. */
mmap_fn __interceptor_mmap __attribute__((weak));
munmap_fn __interceptor_munmap __attribute__((weak));

static void *next_mmap(void *at, size_t size, int protection, int flags, int fd, off_t off)
{
	static mmap_fn *_Atomic found;
	mmap_fn *next = __interceptor_mmap;

	if (!next)
		next = atomic_load_explicit(&found, memory_order_relaxed);
	if (!next) {
		*(void **)&next = dlsym(RTLD_NEXT, "mmap");
		atomic_store_explicit(&found, next, memory_order_relaxed);
	}
	return next(at, size, protection, flags, fd, off);
}

static int next_munmap(void *at, size_t size)
{
	static munmap_fn *_Atomic found;
	munmap_fn *next = __interceptor_munmap;

	if (!next)
		next = atomic_load_explicit(&found, memory_order_relaxed);
	if (!next) {
		*(void **)&next = dlsym(RTLD_NEXT, "munmap");
		atomic_store_explicit(&found, next, memory_order_relaxed);
	}
	return next(at, size);
}

static struct mapping *find_object(const struct stat *st)
{
	struct mapping *m;

	for (m = mappings.at; m < mappings.at + MAPPINGS_MAX; m++)
		if (m->base && m->dev == st->st_dev && m->ino == st->st_ino)
			return m;
	return NULL;
}

/* The mapping at @base, or with NULL a free line. */
static struct mapping *find_base(const char *base)
{
	struct mapping *m;

	for (m = mappings.at; m < mappings.at + MAPPINGS_MAX; m++)
		if (m->base == base)
			return m;
	return NULL;
}

static void *share(struct mapping *m, size_t size, int protection)
{
	/* A larger one would have to move; nobody asks for that here. */
	assert(size <= m->size);
	if ((m->protection | protection) != m->protection) {
		if (mprotect(m->base, m->size, m->protection | protection))
			return MAP_FAILED;
		m->protection |= protection;
	}
	m->n_users++;
	atomic_fetch_add_explicit(&mappings.n_shared, 1, memory_order_relaxed);
	return m->base;
}

static void *map_first(
	const struct stat *st, void *at, size_t size, int protection, int flags, int fd)
{
	struct mapping *m = find_base(NULL);
	void *base;

	assert(m);
	base = next_mmap(at, size, protection, flags, fd, 0);
	if (base != MAP_FAILED) {
		m->dev = st->st_dev;
		m->ino = st->st_ino;
		m->size = size;
		m->protection = protection;
		m->n_users = 1;
		m->base = base;
		mappings.n_mapped++;
	}
	return base;
}

static void *map_any(void *at, size_t size, int protection, int flags, int fd, off_t off)
{
	struct mapping *m;
	struct stat st;
	void *base;

	if (!(flags & MAP_SHARED) || fd < 0 || off || fstat(fd, &st))
		return next_mmap(at, size, protection, flags, fd, off);
	lock();
	m = find_object(&st);
	base = m ? share(m, size, protection) : map_first(&st, at, size, protection, flags, fd);
	unlock();
	return base;
}

/* With 64-bit offsets the headers call it by its second name: both are one here. */
#undef mmap
#undef mmap64
__attribute__((visibility("default")))
void *mmap64(void *at, size_t size, int protection, int flags, int fd, __off64_t off)
{
	return map_any(at, size, protection, flags, fd, off);
}

void *libc_mmap(void *at, size_t size, int protection, int flags, int fd, off_t off)
	__asm__("mmap") __attribute__((visibility("default")));
void *libc_mmap(void *at, size_t size, int protection, int flags, int fd, off_t off)
{
	return map_any(at, size, protection, flags, fd, off);
}

__attribute__((visibility("default")))
int munmap(void *at, size_t size)
{
	struct mapping *m = at ? find_base(at) : NULL;
	int r = 0;

	/* Whoever unmaps it is one of its users, so it stands still. */
	if (!m)
		return next_munmap(at, size);
	lock();
	if (--m->n_users == 0) {
		m->base = NULL;
		mappings.n_mapped--;
		r = next_munmap(at, m->size);
	}
	unlock();
	return r;
}

unsigned long one_mapping_n_shared(void)
{
	return atomic_load_explicit(&mappings.n_shared, memory_order_relaxed);
}

unsigned one_mapping_n_mapped(void)
{
	return mappings.n_mapped;
}
