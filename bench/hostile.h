/* SPDX-License-Identifier: Apache-2.0 */
/* hostile.h: who is to be endured, each a process that goes on until it is killed. */
#ifndef BENCH_HOSTILE_H
#define BENCH_HOSTILE_H

#include <stdatomic.h>

/* What the two sides share. */
struct hostile_shared {
	_Atomic unsigned n_turns; /* that the other process has taken */
};

/* @name of the cache. Never returns. */
typedef void hostile_fn(const char *name, struct hostile_shared *shared);

/* One who has nothing to do with the cache, and takes of the machine what offenders take: writes all
 * over its memory; sends itself messages. */
hostile_fn hostile_hog_memory, hostile_hog_calls;

hostile_fn hostile_flipper;   /* any bytes all over its request region; stays when cut off */
hostile_fn hostile_nonsense;  /* an operation that does not exist; comes back at once */
hostile_fn hostile_positions; /* ring positions that jump and run backward */
hostile_fn hostile_puncher;   /* holes in its request region */
hostile_fn hostile_waker;     /* doorbells without end */
hostile_fn hostile_holder;    /* every hold cell of every lane on another entry */
hostile_fn hostile_reserver;  /* reservations up to the quota, and asks on */
hostile_fn hostile_logger;    /* an access log that is always full */
hostile_fn hostile_silent;    /* connections that say nothing */
hostile_fn hostile_deaf;      /* requests without end whose answers it never takes */

#endif
