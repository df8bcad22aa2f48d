/* SPDX-License-Identifier: Apache-2.0 */
/* host.h: a live broker beside those who are killed, and a client that watches it. */
#ifndef TESTS_STEP_HOST_H
#define TESTS_STEP_HOST_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/step/trail.h"
#include "tests/support/broker-run.h"
#include "tests/support/value.h"

/* The books are held against the index after so many kills and at the end; in a soak after each. */
#define HOST_CHECK_EACH 16

struct host {
	struct cleanup shm; /* removed last */
	struct broker_run run;
	struct shmc *watcher;
	const struct abi_plane *plane;
	size_t plane_size;
	struct tracer victim;
	bool is_soak, is_frozen;
	bool is_spoiled; /* somebody was not forgotten: whoever comes after would find that again */
	unsigned seed;
};

extern struct host host;

/* What the killed one had to say, in memory that outlives it. */
struct told {
	int result;
	bool is_done, is_checked;
};

extern struct told *told;

/* To be called by main() first; does not return where nothing can be traced. */
void host_begin(char **argv);

/* For cmocka: a broker and a watcher for all tests of a program. */
int host_setup(void **state);
int host_teardown(void **state);

/*
 * For cmocka, before each test: refused where an earlier one has left the broker other than it was.
 * And after each: nobody is left behind by one that failed.
 */
int host_ready(void **state);
int host_over(void **state);

/*
 * Is the broker there, and what a client attaches by? A watcher alone does not notice when it is
 * not: it reads on. Fails the test, with @where, if something has gone.
 */
void host_there(const char *where);

/* Stop the broker as it stands, and let it go on. */
void host_freeze(bool is_frozen);

/* Give the broker time to answer what it was asked. Not when it is frozen. */
void host_pause(void);

/* Wait until those who were killed are forgotten. Fails the test, with @where, if one is not. */
void host_quiet(const char *where);

/* Wait until the double has answered all that it was asked before. */
void host_answered(const char *where);

/* The whole check, as whole.h has it; and nobody was cut off for nonsense. */
void host_whole(const char *where);

/*
 * Keys are of one @prefix each: 's', or what makes the double do something
 * (tests/clients/double.h). The version of the value of @key, all of whose bytes must be right; 0:
 * it is not there.
 */
uint64_t host_version(char prefix, uint64_t key);
void host_put(char prefix, uint64_t key, uint64_t version, size_t size);
void host_delete(char prefix, uint64_t key);

#endif
