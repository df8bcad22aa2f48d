/* SPDX-License-Identifier: Apache-2.0 */
/* tracer.h: a child that is moved by instructions and system calls. */
#ifndef TESTS_STEP_TRACER_H
#define TESTS_STEP_TRACER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * The child marks a stretch of its program with tracer_mark() before and after. Up to the first
 * mark it runs at full speed; from there on the parent moves it. One thread a tracer, and the same
 * one for all calls. For x86-64 alone.
 */
struct tracer {
	pid_t pid; /* 0: there is none */
	int status; /* as waitpid() told it, once it is gone */
};

/* Why the child stands still, besides 0: it did what it was told. */
enum tracer_outcome {
	TRACER_MARK = 1, /* it has come to the next mark */
	TRACER_CALL = 2, /* a system call begins or ends */
};

/* 0, or a negative errno where this process may not trace its children. */
int tracer_is_allowed(void);

/*
 * Lay out the memory of this program the same in each run; to be called by main() first, starts the
 * program anew if need be. 0 or a negative errno.
 */
int tracer_settle(char **argv);

/* $SHMCACHE_SEED, or else the pid; prints it. */
unsigned tracer_seed(void);

/* From here on we and our children have one CPU: they take turns, and that is quickest so. */
void tracer_pin(void);

/*
 * Run @body in a child up to its first mark. What it returns is its exit status. 0; -ECHILD: it
 * ended before, and @status tells how; or another negative errno.
 */
int tracer_start(struct tracer *t, int (*body)(void *context), void *context);

/* By the child. */
void tracer_mark(void);

/*
 * Move the child on: by one instruction, of which a system call is one; to where the next system
 * call begins or ends; to the next mark. An outcome, or -ECHILD when it has ended instead.
 */
int tracer_step(struct tracer *t);
int tracer_call(struct tracer *t);
int tracer_run(struct tracer *t);

/* SIGKILL, and wait until nothing of it runs. */
void tracer_kill(struct tracer *t);

/* Where the child stands, and whether the next instruction is a system call. */
uint64_t tracer_address(const struct tracer *t);
bool tracer_is_before_call(const struct tracer *t);

/*
 * Move the child to the @nth time (from 1) that it comes to @address; 0, TRACER_CALL or TRACER_MARK
 * when that comes first, -EFAULT where no breakpoint can be set there, -ECHILD.
 */
int tracer_break(struct tracer *t, uint64_t address, unsigned nth);
bool tracer_can_break(const struct tracer *t, uint64_t address);

#endif
