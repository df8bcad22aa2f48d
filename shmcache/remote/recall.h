/* SPDX-License-Identifier: Apache-2.0 */
/* recall.h: names that are remembered for a while, as many as there is room for. */
#ifndef SHMCACHE_REMOTE_RECALL_H
#define SHMCACHE_REMOTE_RECALL_H

#include <stdbool.h>
#include <stdint.h>

#include "ipc/hash.h"

/*
 * A bounded set of the 128-bit names of keys (remote.h), each until a time. It may forget a name
 * before its time, where others have taken its place, but knows none that it was not told, short of
 * two keys of one name. What it is asked for, and by whom: what nobody has (flight.c), what was
 * fetched once (writeback.c). One thread.
 */
struct recall {
	struct recall_line *line;
	unsigned n_lines; /* a power of two */
	uint64_t void_ms; /* what was to be known until then or earlier is not known: recall_forget_all() */
};

/* Room for @n_max names, rounded up; memory is touched as it is used. 0 or -ENOMEM. */
int recall_init(struct recall *r, unsigned n_max);
void recall_deinit(struct recall *r);

/* Remember @name until @until_ms, or longer if it is remembered longer. */
void recall_note(struct recall *r, XXH128_hash_t name, uint64_t until_ms, uint64_t now_ms);

/* Is it remembered? */
bool recall_knows(const struct recall *r, XXH128_hash_t name, uint64_t now_ms);

void recall_forget(struct recall *r, XXH128_hash_t name);

/*
 * Forget all that is remembered until @until_ms or a shorter time: with names that all are noted
 * for the same while, @until_ms is the last that can have been noted by now. Touches no line of the
 * table.
 */
void recall_forget_all(struct recall *r, uint64_t until_ms);

/* Forget all, whatever it was noted for; touches all of the table. */
void recall_clear(struct recall *r);

#endif
