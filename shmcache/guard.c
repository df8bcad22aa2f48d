/* SPDX-License-Identifier: Apache-2.0 */
/* guard.c: a SIGBUS at a touch of a tier becomes an answer. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>

#include "shmcache/guard.h"

/*
 * A client of the role writer has a writable descriptor of the tier, and Linux offers no seal for a
 * POSIX shared memory object: it can truncate the tier under us. The next touch of a lost page is a
 * SIGBUS. The broker touches tier memory where it copies bytes into a block, or sums up those of
 * one, and does that here, where the signal jumps back out. sigsetjmp() without the mask is a dozen
 * stores.
 */
static _Thread_local sigjmp_buf *guard_point;

static void on_sigbus(int signal_number, siginfo_t *info, void *context)
{
	sigset_t set;

	(void)context;
	/* A positive code comes from the kernel, for the access itself; kill(2) sends others. */
	if (!guard_point || info->si_code <= 0) {
		/* Not ours: die of it. The signal is blocked here, and kills on return. */
		signal(signal_number, SIG_DFL);
		raise(signal_number);
		return;
	}
	sigemptyset(&set);
	sigaddset(&set, signal_number);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	siglongjmp(*guard_point, 1);
}

int guard_install(void)
{
	struct sigaction action = {.sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO};

	sigemptyset(&action.sa_mask);
	return sigaction(SIGBUS, &action, NULL) < 0 ? -errno : 0;
}

bool guard_call(void (*call)(void *context), void *context)
{
	sigjmp_buf point;

	if (sigsetjmp(point, 0)) {
		guard_point = NULL;
		return false;
	}
	guard_point = &point;
	/* The compiler must not move what the call does out from between the two stores. */
	__asm__ __volatile__("" ::: "memory");
	call(context);
	__asm__ __volatile__("" ::: "memory");
	guard_point = NULL;
	return true;
}

struct copy {
	void *to;
	const void *from;
	size_t size;
};

static void copy(void *context)
{
	const struct copy *c = context;

	memcpy(c->to, c->from, c->size);
}

bool guard_copy(void *to, const void *from, size_t size)
{
	return guard_call(copy, &(struct copy){to, from, size});
}
