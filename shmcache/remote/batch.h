/* SPDX-License-Identifier: Apache-2.0 */
/* batch.h: values that were asked for together, and are worth keeping together. */
#ifndef SHMCACHE_REMOTE_BATCH_H
#define SHMCACHE_REMOTE_BATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "shmcache/remote/timer.h"

/*
 * A batch has @n requests, which come in the order of their positions; those in between that never
 * come were hits at the client. Each takes a seat, is told whether its value was found, and is
 * *judged* at some time, once: keep it, or not.
 *
 *	BATCH_ALL	keep, if all of the batch were found
 *	BATCH_PREFIX	keep, if all before it in the batch were found, and it itself
 *
 * One thread. What a client tells of a batch may be nonsense: that costs its values their being
 * kept. What is promised need not come, so a batch may stay until its deadline with nobody in it; a
 * lane therefore has BATCHES_OF_LANE of them at most, of BATCH_MAX requests together, and all of
 * them go with its session.
 */
enum batch_rule {
	BATCH_ALL,
	BATCH_PREFIX,
};

/* Embedded in a request. */
struct batch_seat {
	enum batch_rule rule;
	/*
	 * The seat is in no batch any more. May be called inside any call below that is about this
	 * batch, and must not call one.
	 */
	void (*judged)(struct batch_seat *seat, bool keep);
	struct batch *batch; /* NULL: none, or judged */
	unsigned idx;	     /* in it */
};

struct batch_name {
	uint64_t lane, number;
	uint64_t session; /* the lane's */
};

#define BATCH_BUCKETS 256
#define BATCH_MAX 65536	    /* requests, of one batch or of all that a lane has open */
#define BATCHES_OF_LANE 256 /* open at once */

struct batches {
	struct timers *timers;
	struct batch *bucket[BATCH_BUCKETS];
	unsigned n; /* that are open */
};

void batches_init(struct batches *batches, struct timers *timers);
/* All seats are judged: not kept. */
void batches_deinit(struct batches *batches);

/*
 * Take the next seat of the batch of @n called @name. It is judged at @deadline_ms, at the latest.
 * Where there is no memory, or what the client tells can't be, it is judged at once.
 */
void batch_join(struct batches *batches, struct batch_seat *seat, struct batch_name name,
	unsigned n, uint32_t position, uint64_t deadline_ms);

/* Its value is here; or never will be. No-op for a seat that is judged. The latter judges it. */
void batch_found(struct batch_seat *seat);
void batch_missed(struct batch_seat *seat);

/*
 * It was found, and is answered for: the seat is left, and not judged. No-op for one that is
 * judged.
 */
void batch_found_elsewhere(struct batch_seat *seat);

/* The session has left, and its requests are answered: forget its batches. */
void batches_leave(struct batches *batches, uint64_t session);

/* Judge the oldest batch of which a found value waits, so that it does not any more. False: none. */
bool batches_give_up_one(struct batches *batches);

#endif
