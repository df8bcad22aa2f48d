/* SPDX-License-Identifier: Apache-2.0 */
/* tracer.c: single steps and breakpoints by ptrace. */
#include "tests/step/tracer.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

/*
 * A mark is a SIGSTOP that the child sends itself. The tracer sees it before it is delivered, and
 * it never is. Any other signal is the child's own misfortune, and it gets it.
 *
 * The two things that are of one processor: the two bytes of SYSCALL, and the one of INT3, after
 * which the address is one too high.
 */
#define CALL_STOP (SIGTRAP | 0x80) /* PTRACE_O_TRACESYSGOOD */
#define SYSCALL 0x050f
#define INT3 0xcc

int tracer_is_allowed(void)
{
	int status;
	pid_t pid = fork();

	if (pid < 0)
		return -errno;
	if (!pid)
		_exit(ptrace(PTRACE_TRACEME, 0, NULL, NULL) ? errno : 0);
	if (waitpid(pid, &status, 0) != pid)
		return -errno;
	return WIFEXITED(status) ? -WEXITSTATUS(status) : -ECHILD;
}

int tracer_settle(char **argv)
{
	int now = personality(0xffffffff);

	/* What is bound at the first call takes another way then than at the second. */
	if (getenv("LD_BIND_NOW"))
		return 0;
	if (setenv("LD_BIND_NOW", "1", 1))
		return -errno;
	/* Where that is forbidden the test goes on: only addresses differ from run to run. */
	if (now >= 0)
		personality((unsigned long)now | ADDR_NO_RANDOMIZE);
	execv("/proc/self/exe", argv);
	return -errno;
}

unsigned tracer_seed(void)
{
	const char *given = getenv("SHMCACHE_SEED");
	unsigned seed = given ? (unsigned)strtoul(given, NULL, 0) : (unsigned)getpid();

	printf("SHMCACHE_SEED=%u\n", seed);
	fflush(stdout);
	return seed;
}

void tracer_pin(void)
{
	cpu_set_t one;
	int cpu = sched_getcpu();

	CPU_ZERO(&one);
	CPU_SET(cpu < 0 ? 0 : cpu, &one);
	sched_setaffinity(0, sizeof(one), &one);
}

void tracer_mark(void)
{
	kill(getpid(), SIGSTOP);
}

/* Wait for the next stop, and say at which signal. -ECHILD: it is gone. */
static int stop_wait(struct tracer *t)
{
	pid_t pid;

	do
		pid = waitpid(t->pid, &t->status, __WALL);
	while (pid < 0 && errno == EINTR);
	if (pid == t->pid && WIFSTOPPED(t->status))
		return WSTOPSIG(t->status);
	t->pid = 0;
	return -ECHILD;
}

static int resume(struct tracer *t, int how)
{
	int signal = 0;

	for (;;) {
		if (ptrace(how, t->pid, NULL, (long)signal) && errno != ESRCH)
			return -errno;
		signal = stop_wait(t);
		switch (signal) {
		case -ECHILD:
			return signal;
		case SIGSTOP:
			return TRACER_MARK;
		case CALL_STOP:
			return TRACER_CALL;
		case SIGTRAP:
			return 0;
		}
	}
}

int tracer_start(struct tracer *t, int (*body)(void *context), void *context)
{
	pid_t parent = getpid();
	int r;

	t->pid = fork();
	if (t->pid < 0)
		return -errno;
	if (!t->pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent || ptrace(PTRACE_TRACEME, 0, NULL, NULL))
			_exit(127);
		tracer_mark();
		_exit(body(context));
	}
	r = stop_wait(t);
	if (r < 0)
		return r;
	if (ptrace(PTRACE_SETOPTIONS, t->pid, NULL,
		    (long)(PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL)))
		return -errno;
	r = tracer_run(t);
	return r == TRACER_MARK ? 0 : r;
}

int tracer_step(struct tracer *t)
{
	return resume(t, PTRACE_SINGLESTEP);
}

int tracer_call(struct tracer *t)
{
	return resume(t, PTRACE_SYSCALL);
}

int tracer_run(struct tracer *t)
{
	return resume(t, PTRACE_CONT);
}

void tracer_kill(struct tracer *t)
{
	if (!t->pid)
		return;
	kill(t->pid, SIGKILL);
	while (t->pid)
		stop_wait(t);
}

/* --- where it stands -------------------------------------------------------------------------- */

uint64_t tracer_address(const struct tracer *t)
{
	struct user_regs_struct regs = {0};

	ptrace(PTRACE_GETREGS, t->pid, NULL, &regs);
	return regs.rip;
}

static long text_at(const struct tracer *t, uint64_t address)
{
	return ptrace(PTRACE_PEEKTEXT, t->pid, (void *)address, NULL);
}

static int text_set(const struct tracer *t, uint64_t address, long text)
{
	return ptrace(PTRACE_POKETEXT, t->pid, (void *)address, (void *)text) ? -EFAULT : 0;
}

bool tracer_is_before_call(const struct tracer *t)
{
	return (text_at(t, tracer_address(t)) & 0xffff) == SYSCALL;
}

bool tracer_can_break(const struct tracer *t, uint64_t address)
{
	return !text_set(t, address, text_at(t, address));
}

static void address_set(const struct tracer *t, uint64_t address)
{
	struct user_regs_struct regs;

	if (ptrace(PTRACE_GETREGS, t->pid, NULL, &regs))
		return;
	regs.rip = address;
	ptrace(PTRACE_SETREGS, t->pid, NULL, &regs);
}

int tracer_break(struct tracer *t, uint64_t address, unsigned nth)
{
	long text = text_at(t, address);
	int r;

	for (;;) {
		/* Where it stands now counts as well. */
		if (tracer_address(t) == address && !--nth)
			return 0;
		if (tracer_address(t) == address) {
			r = tracer_step(t);
			if (r)
				return r;
			continue;
		}
		if (text_set(t, address, (text & ~0xffL) | INT3))
			return -EFAULT;
		r = tracer_call(t);
		if (r < 0 || text_set(t, address, text) || r)
			return r ? r : -EFAULT;
		address_set(t, address);
	}
}
