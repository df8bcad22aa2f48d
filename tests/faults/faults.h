/* SPDX-License-Identifier: Apache-2.0 */
/* faults.h: a broker whose calls fail, and what must be true of it afterwards. */
#ifndef TESTS_FAULTS_FAULTS_H
#define TESTS_FAULTS_FAULTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/faults/inject.h"
#include "tests/system/common.h"

/* Static in its test program: its end and its objects in /dev/shm are seen to at exit. */
struct faults_broker {
	struct cleanup shm;
	struct proc proc;
	char name[49];
	const char *const *options; /* "-o", "key=value", ..., NULL; besides the name */
	struct inject_page *page;
	int page_fd;
	int log; /* what it wrote since the last start */
};

/* Name and page. Once, before the first start. */
void faults_broker_init(struct faults_broker *b, const char *const *options);

/* Start the process, with whatever is armed; see faults_broker_wait(). */
void faults_broker_start(struct faults_broker *b);

/* Wait until it serves (true) or has ended (false, *status as waitpid() tells). */
bool faults_broker_wait(struct faults_broker *b, int *status);

/* SIGTERM; returns the wait status. */
int faults_broker_stop(struct faults_broker *b);

/* What it said since its start. Static memory. */
const char *faults_broker_said(struct faults_broker *b);

/* First in main(): 0, or the status to end with. As cleanup_guard(), which it calls. */
int faults_begin(void);

/*
 * Fail the n-th of each call for n = 1, 2, ... until @attempt does not reach it, first that one
 * alone, then all from it on; up to the 12th, unless SHMCACHE_SOAK is in the environment. @attempt
 * is made with the call armed, @check afterwards. Prints how far each call got.
 */
struct faults_phase {
	const char *name;
	const enum inject_call *only;	 /* up to INJECT_N_CALLS; NULL: all */
	const enum inject_call *one_by_one; /* the same: not for good, NULL: none */
	struct inject_page *page;
	void (*attempt)(void *context);
	void (*check)(void *context);
	void *context;
};

void faults_run(const struct faults_phase *phase);

/* Which fault a complaint is about. */
const char *faults_now(void);

/* Complain, and fail the phase at its end: one complaint must not hide the next. */
#define FAULTS_CHECK(is_true, ...)                                                         \
	do {                                                                               \
		if (!(is_true)) {                                                          \
			print_error("%s: %s: ", faults_now(), #is_true);                   \
			print_error(__VA_ARGS__);                                          \
			faults_complained();                                               \
		}                                                                          \
	} while (0)

/* Count a complaint; too many end the test. */
void faults_complained(void);

#endif
