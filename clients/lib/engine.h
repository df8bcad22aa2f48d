/* SPDX-License-Identifier: Apache-2.0 */
/* engine.h: requests, carried out over a lane's rings. */
#ifndef CLIENTS_LIB_ENGINE_H
#define CLIENTS_LIB_ENGINE_H

#include <stdbool.h>
#include <stdint.h>

#include "clients/lib/staging.h"
#include "clients/shmcache.h"
#include "ipc/submission.h"

struct lane;

/* An operation of the library's own, behind those that the public enum names. */
#define ENGINE_OP_FLUSH ((enum shmc_operation)(SHMC_OP_PREFETCH + 1))

enum { ENGINE_FULL = 1 };

/*
 * How far a request is. All but the first belong to what others on its key wait for: a put that
 * takes several submissions, a fetch.
 */
enum engine_step {
	ENGINE_STEP_ONLY,
	ENGINE_STEP_RESERVE,
	ENGINE_STEP_WRITE,
	ENGINE_STEP_COMMIT,
	ENGINE_STEP_FETCH,
};

/* What the library keeps in struct shmc_request.reserved.words. */
struct engine_progress {
	uint64_t hash; /* of its key, where is_tracked */
	uint8_t step;  /* enum engine_step */
	bool is_tracked;
	bool is_in_place; /* the block is ours to fill */
	uint8_t n_again; /* FETCH: asked once more */
	uint32_t n_writes;	/* unanswered */
	uint64_t off;		/* WRITE: sent so far; FETCH: its deadline, in ms, 0: not known */
	uint64_t reservation;
	uint64_t answer;	/* FLUSH: how many; DELETE: how many were told */
	int64_t error;		/* DELETE: how many were not */
};

_Static_assert(sizeof(struct engine_progress) <= sizeof(((struct shmc_request *)0)->reserved.words),
	"fits what the public struct reserves");

static inline struct engine_progress *engine_progress(struct shmc_request *request)
{
	return (struct engine_progress *)request->reserved.words;
}

/* A submission without its completion; its number is the id that travels. */
struct flight {
	struct shmc_request *request; /* NULL: nobody waits for it any more */
	uint32_t block;		      /* of staging */
	uint8_t operation;	      /* enum abi_operation */
	uint8_t is_used;
	uint16_t next_free;
};

struct engine_list {
	struct shmc_request *first, **last;
};

#define ENGINE_FILTER 256 /* power of two */

struct engine {
	struct staging staging;
	struct flight *flight; /* n_queue of them */
	uint32_t n_flights;
	uint16_t first_free;
	uint32_t n_open;	    /* requests begun and not finished */
	/*
	 * Keys of what waits for other brokers, behind @staging: places that are free, as a stack.
	 */
	uint16_t *key_place;
	uint32_t n_key_places, n_keys_out;
	struct engine_list done;    /* finished, not popped */
	struct engine_list deferred;
	struct shmc_request *chunked; /* the put that goes through staging in pieces, or NULL */
	uint64_t orphan;	      /* a reservation to abort as soon as there is room, or 0 */
	uint16_t filter[ENGINE_FILTER]; /* open tracked requests by their hash */
};

/* 0 or -ENOMEM. @n_queue is the ring's. */
int engine_init(struct engine *e, uint32_t staging_size, uint32_t n_queue);
void engine_deinit(struct engine *e);

/*
 * All of these: by the lane's owner.
 *
 * Begin a request. 0: taken, and perhaps done already; ENGINE_FULL: later. @alone says that it
 * needs no order with others.
 */
int engine_begin(struct lane *lane, struct shmc_request *request, bool alone);

/* Take what the broker answered and go on from there. Returns how many answers there were. */
unsigned engine_pump(struct lane *lane);

/* The next finished request, or NULL. */
struct shmc_request *engine_pop(struct lane *lane);

/*
 * Finish whatever is not finished with @result. What is in flight is abandoned: the broker may
 * carry it out, its answer is waited for by nobody, and the caller's memory is not touched again.
 */
void engine_drop(struct lane *lane, int result);

/* --- the parts of it -------------------------------------------------------------------------- */

/* Would @request, of hash progress->hash, overtake an open one? (engine-order.c) */
bool engine_must_wait(const struct lane *lane, struct shmc_request *request);
/* Begin what had to wait and need not any more. */
void engine_deferred_run(struct lane *lane);

void engine_list_init(struct engine_list *list);
void engine_list_add(struct engine_list *list, struct shmc_request *request);

/* Carry out a checked request, or its first step. 0 or ENGINE_FULL. (engine-start.c) */
int engine_start(struct lane *lane, struct shmc_request *request);
/* 0, or what is wrong with the request itself. */
int engine_check(const struct shmc_request *request);
bool engine_is_one_sided(const struct shmc_request *request);

/* The request has its result. (engine.c) */
void engine_finish(struct lane *lane, struct shmc_request *request, int result);

/* Push @s, whose id is filled in, on behalf of @request; there must be room. (engine-flight.c) */
void engine_push(struct lane *lane, struct shmc_request *request, struct submission *s,
	uint32_t block);
/* Push a step of which nothing but the reservation matters. */
void engine_push_reserved(struct lane *lane, struct shmc_request *request,
	enum abi_operation operation, uint64_t reservation);
/* An answer came. */
void engine_land(struct lane *lane, const struct completion *c);

/*
 * Hold the block of @reservation for as long as it may be written to: a cell that is to be cleared,
 * or NULL with *result what came in between: SHMC_QUOTA, or -ENOTCONN. (engine-flight.c)
 */
struct shared_u64 *engine_hold_block(struct lane *lane, uint64_t reservation, int *result);

/* The same for any @word. */
struct shared_u64 *engine_hold(struct lane *lane, uint64_t word, int *result);

/*
 * What other brokers may have (engine-fetch.c). Begin: a FETCH looks here first, unless its @why is
 * ENGINE_FETCH_LOOKED or it is of a batch. Go on when the answer has come. Have @key brought for
 * nobody: 0, SHMC_QUOTA, -ENOTCONN or ENGINE_FULL.
 */
#define ENGINE_FETCH_LOOKED UINT32_MAX
int engine_fetch_start(struct lane *lane, struct shmc_request *request);
void engine_fetch_land(struct lane *lane, struct shmc_request *request, const struct completion *c);
int engine_prefetch(
	struct lane *lane, const struct shmc_key *key, const struct shmc_fetch_options *options);

/* The words of a put or reservation that come from its options and size. */
void engine_put_words(const struct shmc_request *request, struct submission *s);

/* Puts in several steps (engine-put.c). Begin one; go on after an answer; send what fits. */
int engine_put_start(struct lane *lane, struct shmc_request *request);
void engine_put_step(struct lane *lane, struct shmc_request *request, const struct completion *c);
void engine_put_chunks(struct lane *lane);
/* Is @request's value put in several steps? */
bool engine_put_is_large(const struct lane *lane, const struct shmc_request *request);
/* What a status means as a result. */
int engine_result(uint32_t status);
/* Key and value of a request in staging, and the words that say so. 0 or ENGINE_FULL. */
int engine_stage(struct lane *lane, const struct shmc_request *request, bool with_value,
	struct submission *s, uint32_t *block);

#endif
