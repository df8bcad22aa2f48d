/* SPDX-License-Identifier: Apache-2.0 */
/* inject.h: calls that fail when a test says so, in this process or in one that was started. */
#ifndef TESTS_FAULTS_INJECT_H
#define TESTS_FAULTS_INJECT_H

#include <stdatomic.h>
#include <stdint.h>

/*
 * What can be made to fail, and with what. A call may be one function under two names
 * (mmap, mmap64), or one number of syscall(2), which has no function of its own.
 */
#define INJECT_CALLS(X)                                                                    \
	X(MALLOC, "malloc", ENOMEM)                                                        \
	X(CALLOC, "calloc", ENOMEM)                                                        \
	X(REALLOC, "realloc", ENOMEM)                                                      \
	X(ALIGNED_ALLOC, "aligned_alloc", ENOMEM)                                          \
	X(MMAP, "mmap", ENOMEM)                                                            \
	X(MADVISE, "madvise", ENOMEM)                                                      \
	X(MBIND, "mbind", ENOMEM)                                                          \
	X(FTRUNCATE, "ftruncate", ENOSPC)                                                  \
	X(FALLOCATE, "fallocate", ENOSPC)                                                  \
	X(POSIX_FALLOCATE, "posix_fallocate", ENOSPC)                                      \
	X(PWRITE, "pwrite", ENOSPC)                                                        \
	X(MEMFD_CREATE, "memfd_create", EMFILE)                                            \
	X(SHM_OPEN, "shm_open", EMFILE)                                                    \
	X(OPEN, "open", EMFILE)                                                            \
	X(FOPEN, "fopen", EMFILE)                                                          \
	X(FCNTL, "fcntl", ENOLCK)                                                          \
	X(EVENTFD, "eventfd", EMFILE)                                                      \
	X(SIGNALFD, "signalfd", EMFILE)                                                    \
	X(TIMERFD_CREATE, "timerfd_create", EMFILE)                                        \
	X(EPOLL_CREATE, "epoll_create1", EMFILE)                                           \
	X(EPOLL_CTL, "epoll_ctl", ENOSPC)                                                  \
	X(PIDFD_OPEN, "pidfd_open", EMFILE)                                                \
	X(MEMBARRIER, "membarrier", ENOMEM)                                                \
	X(PTHREAD_CREATE, "pthread_create", EAGAIN)                                        \
	X(PTHREAD_KEY, "pthread_key_create", EAGAIN)                                       \
	X(SOCKET, "socket", EMFILE)                                                        \
	X(SOCKETPAIR, "socketpair", EMFILE)                                                \
	X(BIND, "bind", ENOMEM)                                                            \
	X(LISTEN, "listen", ENOMEM)                                                        \
	X(CONNECT, "connect", ENOMEM)                                                      \
	X(ACCEPT, "accept4", EMFILE)                                                       \
	X(GETSOCKOPT, "getsockopt", ENOMEM)                                                \
	X(SEND, "send", ENOBUFS)                                                           \
	X(SENDMSG, "sendmsg", ENOBUFS)                                                     \
	X(RECVMSG, "recvmsg", ENOMEM)                                                      \
	X(PPOLL, "ppoll", ENOMEM)

#define INJECT_ENUM(call, name, error) INJECT_##call,
enum inject_call { INJECT_CALLS(INJECT_ENUM) INJECT_N_CALLS };
#undef INJECT_ENUM

/*
 * Shared by the test and the process in which calls fail. The test arms, when nothing is under way
 * or whenever it likes; what is counted is counted from there on.
 */
struct inject_page {
	_Atomic uint32_t armed;	   /* the call, plus one; 0: none fails, and none is counted */
	_Atomic uint32_t from, to; /* which of them fail, from 1 on; both inclusive */
	_Atomic uint32_t n_called, n_failed;
	_Atomic int64_t n_blocks; /* on the heap now; always counted */
};

/* For a process that is started: $LD_PRELOAD, and where its page is found. */
#define INJECT_ENV "SHMCACHE_INJECT"

/* The page that calls in this process look at: linked in, not preloaded. NULL: none. */
extern struct inject_page *inject_page;

/* From here on fail number @from to @to of @call. */
static inline void inject_arm(
	struct inject_page *page, enum inject_call call, uint32_t from, uint32_t to)
{
	atomic_store(&page->armed, 0);
	atomic_store(&page->from, from);
	atomic_store(&page->to, to);
	atomic_store(&page->n_called, 0);
	atomic_store(&page->n_failed, 0);
	atomic_store(&page->armed, call + 1U);
}

/* Fail no more. Returns how many failed. */
static inline uint32_t inject_disarm(struct inject_page *page)
{
	atomic_store(&page->armed, 0);
	return atomic_load(&page->n_failed);
}

#endif
