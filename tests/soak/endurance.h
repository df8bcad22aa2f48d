/* SPDX-License-Identifier: Apache-2.0 */
/* endurance.h: what the clients of the long run tell the one who watches. */
#ifndef SOAK_ENDURANCE_H
#define SOAK_ENDURANCE_H

#include <stdatomic.h>
#include <stdint.h>

#define ENDURANCE_WINDOWS 60
#define ENDURANCE_PREFIX 'e'

/* One stretch of the run; in memory that all share, added to with relaxed operations. */
struct endurance_window {
	_Atomic uint64_t n_ops, n_bytes, ops_ns, ops_cpu_ns;
	_Atomic uint64_t n_reference, reference_ns, reference_cpu_ns;
	_Atomic uint64_t n_gets, n_misses, n_nospace, n_lives;
};

struct endurance {
	char name[49]; /* of the cache */
	uint64_t seed, n_keys;
	uint64_t begin_ns, window_ns; /* CLOCK_MONOTONIC; begin is 0 until the fill is over */
	unsigned n_windows;
	_Atomic uint64_t n_wrong;
	struct endurance_window window[ENDURANCE_WINDOWS + 1]; /* the last one: before and after */
};

uint64_t endurance_now(void);

/* The life of client @life, from attach to whatever end its seed has for it. Does not return. */
_Noreturn void endurance_client(struct endurance *run, uint64_t life);

#endif
