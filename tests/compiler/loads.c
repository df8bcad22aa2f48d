/* SPDX-License-Identifier: Apache-2.0 */
/* loads.c: memory that is not there until an instruction asks for it, and not after. */
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include "tests/compiler/loads.h"

/*
 * The page is protected. An instruction that touches it faults; the handler writes the address
 * down, lifts the protection and sets the processor's trap flag, so that this one instruction is
 * carried out and the next handler can protect the page again. No disassembler is needed, loops are
 * counted by their turns, and what is looked at is what the compiler made and the processor does.
 */
#define TRAP_FLAG 0x100

static struct {
	char *page;
	size_t size;
	struct loads *loads; /* NULL: not watching */
} watch;

static void protect(int protection)
{
	if (mprotect(watch.page, watch.size, protection))
		_exit(3);
}

static void on_fault(int signal_number, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;
	char *at = info->si_addr;

	if (!watch.loads || at < watch.page || at >= watch.page + watch.size) {
		signal(signal_number, SIG_DFL);
		return;
	}
	if (watch.loads->n < LOADS_MAX)
		watch.loads->off[watch.loads->n] = (size_t)(at - watch.page);
	watch.loads->n++;
	protect(PROT_READ | PROT_WRITE);
	uc->uc_mcontext.gregs[REG_EFL] |= TRAP_FLAG;
}

static void on_step(int signal_number, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;

	(void)signal_number;
	(void)info;
	protect(PROT_NONE);
	uc->uc_mcontext.gregs[REG_EFL] &= ~TRAP_FLAG;
}

void *loads_alloc(size_t size)
{
	watch.size = (size_t)sysconf(_SC_PAGESIZE);
	watch.page = mmap(NULL, watch.size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		-1, 0);
	if (watch.page == MAP_FAILED || size > watch.size)
		return NULL;
	return watch.page;
}

void loads_watch(void *memory, struct loads *loads, void (*code)(void *context), void *context)
{
	struct sigaction fault = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
	struct sigaction step = {.sa_sigaction = on_step, .sa_flags = SA_SIGINFO};
	struct sigaction old_fault, old_step;

	if (memory != watch.page || sigaction(SIGSEGV, &fault, &old_fault) ||
		sigaction(SIGTRAP, &step, &old_step))
		_exit(3);
	memset(loads, 0, sizeof(*loads));
	watch.loads = loads;
	protect(PROT_NONE);
	code(context);
	protect(PROT_READ | PROT_WRITE);
	watch.loads = NULL;
	sigaction(SIGSEGV, &old_fault, NULL);
	sigaction(SIGTRAP, &old_step, NULL);
}
