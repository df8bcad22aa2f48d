/* SPDX-License-Identifier: Apache-2.0 */
/* trail.h: every instruction of a stretch, and how to get to each of them quickly. */
#ifndef TESTS_STEP_TRAIL_H
#define TESTS_STEP_TRAIL_H

#include <stddef.h>
#include <stdint.h>

#include "tests/step/tracer.h"

/* Before an instruction: behind so many system calls, and so many instructions after the last. */
struct trail_place {
	uint64_t address;
	unsigned n_calls, n_steps;
	unsigned anchor; /* the place, so many steps before, to which a breakpoint leads */
	unsigned nth;	 /* of the visits to this address in this segment, from 1 */
	bool is_new;	 /* what look() said */
};

struct trail {
	struct trail_place *place;
	size_t n, n_max;
	/*
	 * Called behind each system call of the child, while it stands still: time for the rest of
	 * the world to do what it would do by and by, so that each child sees the same. May be
	 * NULL.
	 */
	void (*pause)(void);
	/*
	 * Called at each place when it is recorded; what it returns is written down. May be NULL.
	 */
	bool (*look)(void);
};

enum trail_outcome {
	TRAIL_LOST = 1, /* the child took another way than the one that was recorded */
};

/* Record the way of a child from where it stands to its next mark, step by step. 0 or -errno. */
int trail_record(struct trail *trail, struct tracer *t);
void trail_forget(struct trail *trail);

/* Bring a new child, standing at its mark, to place @i. 0, TRAIL_LOST, or -ECHILD. */
int trail_go(const struct trail *trail, struct tracer *t, size_t i);

/* Bring a new child, at its mark, as far as place @i is, whichever way it takes. As above. */
int trail_walk(const struct trail *trail, struct tracer *t, size_t i);

#endif
