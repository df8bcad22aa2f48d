/* SPDX-License-Identifier: Apache-2.0 */
/* A child process that does not outlive the program that started it. */
#ifndef SUPPORT_PROC_H
#define SUPPORT_PROC_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "tests/support/cleanup.h"

#define PROC_CPU_ANY (-1)

struct proc_options {
	const char *const *argv; /* looked up in $PATH if there is no slash in argv[0] */
	int cpu;		 /* the one that it may run on, or PROC_CPU_ANY */
	int stdin_fd;		 /* -1: /dev/null */
	int stdout_fd;		 /* -1: as stderr_fd */
	int stderr_fd;		 /* -1: this program's */
};

struct proc {
	struct cleanup cleanup;
	pid_t pid; /* 0: there is none */
};

/* What a process has used, all its threads together. */
struct proc_usage {
	uint64_t cpu_ns;
	uint64_t n_sleeps;  /* voluntary context switches: each is a wake-up later on */
	uint64_t anon_size; /* resident private memory, in bytes */
	uint64_t shm_size;  /* resident shared memory, in bytes */
};

/*
 * Start a program with default signals. It gets SIGTERM when the thread that started it
 * ends, however that comes, and is stopped at exit. 0, or a negative errno, also that of
 * the exec.
 * @proc must stay where it is until proc_stop() or proc_wait().
 */
int proc_start(struct proc *proc, const struct proc_options *options);

/* Whether it still runs; one that has ended must still be waited for. */
bool proc_running(const struct proc *proc);

/* Wait for its end. Returns what waitpid() tells, or a negative errno. */
int proc_wait(struct proc *proc);

/* SIGTERM, and SIGKILL after ten seconds without effect; returns as proc_wait(). Nothing
 * to do, and 0, for one that was never started or is stopped already. */
int proc_stop(struct proc *proc);

/* Let all threads of it run on @cpu alone, or anywhere with PROC_CPU_ANY. */
int proc_pin(pid_t pid, int cpu);

int proc_usage(pid_t pid, struct proc_usage *usage);

#endif
