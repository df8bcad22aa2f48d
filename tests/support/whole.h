/* SPDX-License-Identifier: Apache-2.0 */
/* Is a live broker whole? Asked from outside, by a client as any other. */
#ifndef SUPPORT_WHOLE_H
#define SUPPORT_WHOLE_H

#include <stddef.h>
#include <stdint.h>

#include "clients/shmcache.h"

/* What there should be once all is quiet. */
struct whole_expect {
	uint64_t n_sessions; /* the asking one included */
	uint64_t pinned_size, reserved_size;
};

/*
 * Wait, @timeout_ms at most, until nothing is reserved, pinned, or in limbo beyond what @expect
 * says, and nobody attached; until entries and bytes in use are those that a walk over the index
 * accounts for; and until a value that is put is what is read, and gone when it is deleted. Nobody
 * else may change the cache meanwhile. 0; -EUCLEAN, and a sentence in @why, when it never came to
 * that; or what the library says when it can't ask.
 */
int whole_wait(struct shmc *cache, const struct whole_expect *expect, int timeout_ms, char *why,
	size_t why_size);

/* The cheap part, once, without waiting: only what the gauges tell. 0 or -EUCLEAN. */
int whole_look(struct shmc *cache, const struct whole_expect *expect, char *why, size_t why_size);

#endif
