/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls that fail when a test says so.
 *
 * Each function here stands before the C library's of the same name: in a program that is started
 * with this in $LD_PRELOAD, and in a test that is linked with it. It counts while its call is
 * armed, fails where the count says so, and else calls the real one. The heap's functions go to
 * glibc's own by their inner names, since dlsym() may itself want memory; they also count what is
 * alive, which shows a leak of one block.
 *
 * What glibc calls within itself does not come by here: pthread_create() fails as a whole, not the
 * mmap() of its stack.
 */
#include "tests/faults/inject.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/membarrier.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

/* Interposing is what this file is for: these are no prototypes of ours. */
#pragma GCC diagnostic ignored "-Wmissing-prototypes"
#pragma GCC diagnostic ignored "-Wpedantic"
#ifdef __clang__
#pragma clang diagnostic ignored "-Wnonnull"
#endif

EXPORT struct inject_page *inject_page;

#define INJECT_ERRNO(call, name, error) [INJECT_##call] = error,
static const int inject_errno[] = {INJECT_CALLS(INJECT_ERRNO)};

/* Does this one fail? Then errno says why. */
static bool fails(enum inject_call call)
{
	struct inject_page *page = inject_page;
	uint32_t n;

	if (!page || atomic_load(&page->armed) != call + 1U)
		return false;
	n = atomic_fetch_add(&page->n_called, 1) + 1;
	if (n < atomic_load(&page->from) || n > atomic_load(&page->to))
		return false;
	atomic_fetch_add(&page->n_failed, 1);
	errno = inject_errno[call];
	return true;
}

/* In a started program: map the page that the test has made. */
__attribute__((constructor)) static void begin(void)
{
	const char *path = getenv(INJECT_ENV);
	int (*real_open)(const char *, int, ...) = dlsym(RTLD_NEXT, "open");
	void *(*real_mmap)(void *, size_t, int, int, int, off_t) = dlsym(RTLD_NEXT, "mmap");
	void *map;
	int fd;

	if (inject_page || !path || (fd = real_open(path, O_RDWR | O_CLOEXEC)) < 0)
		return;
	map = real_mmap(NULL, sizeof(*inject_page), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (map != MAP_FAILED)
		inject_page = map;
}

/* --- the heap --------------------------------------------------------------------------------- */

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *at, size_t size);
extern void *__libc_memalign(size_t align, size_t size);
extern void __libc_free(void *at);

static void *born(void *at)
{
	if (at && inject_page)
		atomic_fetch_add(&inject_page->n_blocks, 1);
	return at;
}

EXPORT void *malloc(size_t size)
{
	return fails(INJECT_MALLOC) ? NULL : born(__libc_malloc(size));
}

EXPORT void *calloc(size_t n, size_t size)
{
	return fails(INJECT_CALLOC) ? NULL : born(__libc_calloc(n, size));
}

EXPORT void *realloc(void *at, size_t size)
{
	if (fails(INJECT_REALLOC))
		return NULL;
	return at ? __libc_realloc(at, size) : born(__libc_realloc(NULL, size));
}

EXPORT void *aligned_alloc(size_t align, size_t size)
{
	return fails(INJECT_ALIGNED_ALLOC) ? NULL : born(__libc_memalign(align, size));
}

EXPORT int posix_memalign(void **at, size_t align, size_t size)
{
	*at = fails(INJECT_ALIGNED_ALLOC) ? NULL : born(__libc_memalign(align, size));
	return *at ? 0 : ENOMEM;
}

EXPORT void free(void *at)
{
	if (at && inject_page)
		atomic_fetch_sub(&inject_page->n_blocks, 1);
	__libc_free(at);
}

/* --- the others ------------------------------------------------------------------------------- */

/* One function: its type, its name, what it returns when it fails. */
#define STAND_IN(type, name, call, failure, params, args)                                  \
	EXPORT type name params                                                            \
	{                                                                                  \
		static type(*real) params;                                                 \
                                                                                           \
		if (fails(INJECT_##call))                                                  \
			return failure;                                                    \
		if (!real)                                                                 \
			real = (type(*) params)dlsym(RTLD_NEXT, #name);                    \
		return real args;                                                          \
	}

STAND_IN(void *, mmap, MMAP, MAP_FAILED,
	(void *at, size_t size, int protection, int flags, int fd, off_t off),
	(at, size, protection, flags, fd, off))
STAND_IN(void *, mmap64, MMAP, MAP_FAILED,
	(void *at, size_t size, int protection, int flags, int fd, off_t off),
	(at, size, protection, flags, fd, off))
STAND_IN(int, madvise, MADVISE, -1, (void *at, size_t size, int advice), (at, size, advice))
STAND_IN(long, mbind, MBIND, -1,
	(void *at, unsigned long size, int mode, const unsigned long *mask, unsigned long n,
		unsigned flags),
	(at, size, mode, mask, n, flags))
STAND_IN(int, ftruncate, FTRUNCATE, -1, (int fd, off_t size), (fd, size))
STAND_IN(int, ftruncate64, FTRUNCATE, -1, (int fd, off_t size), (fd, size))
STAND_IN(int, fallocate, FALLOCATE, -1, (int fd, int mode, off_t off, off_t size),
	(fd, mode, off, size))
STAND_IN(int, fallocate64, FALLOCATE, -1, (int fd, int mode, off_t off, off_t size),
	(fd, mode, off, size))
STAND_IN(int, posix_fallocate, POSIX_FALLOCATE, errno, (int fd, off_t off, off_t size),
	(fd, off, size))
STAND_IN(int, posix_fallocate64, POSIX_FALLOCATE, errno, (int fd, off_t off, off_t size),
	(fd, off, size))
STAND_IN(ssize_t, pwrite, PWRITE, -1, (int fd, const void *from, size_t size, off_t off),
	(fd, from, size, off))
STAND_IN(ssize_t, pwrite64, PWRITE, -1, (int fd, const void *from, size_t size, off_t off),
	(fd, from, size, off))
STAND_IN(int, memfd_create, MEMFD_CREATE, -1, (const char *name, unsigned flags), (name, flags))
STAND_IN(int, shm_open, SHM_OPEN, -1, (const char *name, int flags, mode_t mode),
	(name, flags, mode))
STAND_IN(FILE *, fopen, FOPEN, NULL, (const char *path, const char *mode), (path, mode))
STAND_IN(FILE *, fopen64, FOPEN, NULL, (const char *path, const char *mode), (path, mode))
STAND_IN(int, eventfd, EVENTFD, -1, (unsigned n, int flags), (n, flags))
STAND_IN(int, signalfd, SIGNALFD, -1, (int fd, const sigset_t *mask, int flags),
	(fd, mask, flags))
STAND_IN(int, timerfd_create, TIMERFD_CREATE, -1, (clockid_t clock, int flags), (clock, flags))
STAND_IN(int, epoll_create1, EPOLL_CREATE, -1, (int flags), (flags))
STAND_IN(int, pthread_create, PTHREAD_CREATE, errno,
	(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *), void *arg),
	(thread, attr, run, arg))
STAND_IN(int, pthread_key_create, PTHREAD_KEY, errno,
	(pthread_key_t * key, void (*destroy)(void *)), (key, destroy))
STAND_IN(int, socket, SOCKET, -1, (int domain, int type, int protocol), (domain, type, protocol))
STAND_IN(int, socketpair, SOCKETPAIR, -1, (int domain, int type, int protocol, int pair[2]),
	(domain, type, protocol, pair))
STAND_IN(int, bind, BIND, -1, (int fd, const struct sockaddr *address, socklen_t size),
	(fd, address, size))
STAND_IN(int, listen, LISTEN, -1, (int fd, int n), (fd, n))
STAND_IN(int, connect, CONNECT, -1, (int fd, const struct sockaddr *address, socklen_t size),
	(fd, address, size))
STAND_IN(int, accept4, ACCEPT, -1,
	(int fd, struct sockaddr *address, socklen_t *size, int flags), (fd, address, size, flags))
STAND_IN(int, getsockopt, GETSOCKOPT, -1,
	(int fd, int level, int option, void *value, socklen_t *size),
	(fd, level, option, value, size))
STAND_IN(ssize_t, send, SEND, -1, (int fd, const void *from, size_t size, int flags),
	(fd, from, size, flags))
STAND_IN(ssize_t, sendmsg, SENDMSG, -1, (int fd, const struct msghdr *message, int flags),
	(fd, message, flags))
STAND_IN(ssize_t, recvmsg, RECVMSG, -1, (int fd, struct msghdr *message, int flags),
	(fd, message, flags))
STAND_IN(int, ppoll, PPOLL, -1,
	(struct pollfd * fds, nfds_t n, const struct timespec *left, const sigset_t *mask),
	(fds, n, left, mask))

/* To take things out of a set costs no memory. */
EXPORT int epoll_ctl(int epoll, int what, int fd, struct epoll_event *event)
{
	static int (*real)(int, int, int, struct epoll_event *);

	if (what != EPOLL_CTL_DEL && fails(INJECT_EPOLL_CTL))
		return -1;
	if (!real)
		real = (int (*)(int, int, int, struct epoll_event *))dlsym(RTLD_NEXT, "epoll_ctl");
	return real(epoll, what, fd, event);
}

/* The third argument of open() and fcntl() is one word, or not looked at. */
#define STAND_IN_VARIADIC(name, call, first)                                               \
	EXPORT int name(first subject, int what, ...)                                      \
	{                                                                                  \
		static int (*real)(first, int, ...);                                       \
		va_list args;                                                              \
		long word;                                                                 \
                                                                                           \
		va_start(args, what);                                                      \
		word = va_arg(args, long);                                                 \
		va_end(args);                                                              \
		if (fails(INJECT_##call))                                                  \
			return -1;                                                         \
		if (!real)                                                                 \
			real = (int (*)(first, int, ...))dlsym(RTLD_NEXT, #name);          \
		return real(subject, what, word);                                          \
	}

STAND_IN_VARIADIC(open, OPEN, const char *)
STAND_IN_VARIADIC(open64, OPEN, const char *)
STAND_IN_VARIADIC(fcntl, FCNTL, int)
STAND_IN_VARIADIC(fcntl64, FCNTL, int)

/*
 * What membarrier(2) can do is asked without memory; and the private one is liburcu's, which ends
 * the process when it fails.
 */
static bool syscall_fails(long number, long command)
{
	return (number == SYS_pidfd_open && fails(INJECT_PIDFD_OPEN)) ||
		(number == SYS_membarrier && command != MEMBARRIER_CMD_QUERY &&
			command != MEMBARRIER_CMD_PRIVATE_EXPEDITED && fails(INJECT_MEMBARRIER));
}

EXPORT long syscall(long number, ...)
{
	static long (*real)(long, ...);
	va_list args;
	long word[6];
	int i;

	va_start(args, number);
	for (i = 0; i < 6; i++)
		word[i] = va_arg(args, long);
	va_end(args);
	if (syscall_fails(number, word[0]))
		return -1;
	if (!real)
		real = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall");
	return real(number, word[0], word[1], word[2], word[3], word[4], word[5]);
}
