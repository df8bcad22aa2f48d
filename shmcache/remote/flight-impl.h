/* SPDX-License-Identifier: Apache-2.0 */
/* flight-impl.h: what the sources of flights share. */
#ifndef SHMCACHE_REMOTE_FLIGHT_IMPL_H
#define SHMCACHE_REMOTE_FLIGHT_IMPL_H

#include "shmcache/remote/flight.h"

#include "shmcache/remote/batch.h"
#include "shmcache/remote/recall.h"
#include "shmcache/remote/share.h"
#include "shmcache/remote/writeback.h"

/*
 *	           located: holders        a place is free          all bytes are here
 *	LOCATING ------------------> QUEUED ---------------> FETCHING -----------------> HELD
 *	   ^  |                        ^                        |  |                      |
 *	   |  | nobody                 +------------------------+  | no holder is left    |
 *	   |  v                          failed: the next holder   v                      v
 *	   +- the next source, or (none) it is a miss <------------+      published, or delivered
 *
 * A flight that nobody waits for any more ends at once, where it is LOCATING or QUEUED; FETCHING,
 * when the kind has let go of it.
 */
enum flight_state {
	FLIGHT_LOCATING,
	FLIGHT_QUEUED,
	FLIGHT_FETCHING,
	FLIGHT_HELD,
};

/* One ticket. It owns it until it is answered. */
struct waiter {
	struct ticket *ticket;
	struct flight *flight;
	struct waiter *next, **link; /* of the flight's */
	struct timer deadline;
	struct batch_seat seat;
	enum verdict verdict;
};

/* Why a fetch was called off. */
enum flight_stop {
	FLIGHT_STOP_NOT,
	FLIGHT_STOP_ROOM,     /* no room for its bytes now: it queues again */
	FLIGHT_STOP_NOSPACE,  /* no block for it */
	FLIGHT_STOP_OVERTAKEN, /* what came is older than a change here */
	FLIGHT_STOP_SLOW,     /* the next holder, please */
	FLIGHT_STOP_UNWANTED, /* nobody waits, or who does is not to have this */
};

struct flight {
	struct flights *all;
	struct flight *hash_next, **hash_link; /* of those with like names; link NULL: none can join */
	struct flight *next, **link;	       /* of all flights */
	struct flight *queue_next, **queue_link; /* of those to be located, or that queue */
	struct share *share;		       /* of the session that began it */
	enum flight_state state;
	struct remote_key key; /* its bytes are the fill's */
	struct store_fill fill;
	struct waiter *waiters, **waiters_end;
	uint64_t end_ms; /* the last waiter's deadline */
	bool keeps_on;	 /* some waiter's value was to be kept: it is wanted although he left */

	/* Who is asked. */
	unsigned source;
	struct locating *locating; /* the question that it is part of */
	uint64_t asked_ms;	   /* how much time it had when that was put */
	bool is_asked_again;	   /* of this source */
	uint16_t holder[REMOTE_TRIED_MAX];
	unsigned n_holders, n_tried;
	bool is_all_missed; /* whoever could have it has said that he does not */
	bool is_heard_of;   /* meanwhile, that somebody may have it: flights_heard() */
	enum abi_fetch_miss why;

	/* The transfer. */
	struct remote_fetch fetch;
	bool is_out;	     /* the kind has it */
	bool is_landed;	     /* there is a block for it */
	bool is_free;	     /* for which nothing was evicted, as somebody wanted it kept so */
	enum flight_stop stop;
	uint64_t size;	     /* counted in all->n_bytes */
	uint64_t wanted_size; /* what there was no room for */
	uint32_t look;	     /* of the holder's breaker, or 0 */
	uint64_t seen_bytes; /* when patience began, */
	uint64_t patience_ms; /* which lasts for so long */
	struct timer patience;

	struct remote_later settle;
	bool is_over; /* to be freed by whoever still has it */
};

#define FLIGHT_BUCKETS 1024

struct flight_queue {
	struct flight *first, **end;
};

struct flights {
	struct flights_options options;
	struct remote_loop *loop;
	struct store *store;
	struct abi_worker *worker;
	struct flight_source source[FLIGHT_SOURCES_MAX];
	struct breaker breaker[FLIGHT_SOURCES_MAX][REMOTE_HOLDERS_MAX];
	unsigned n_sources;

	struct flight *bucket[FLIGHT_BUCKETS];
	struct flight *all;
	struct shares shares; /* of flights */
	struct flight_queue to_locate, queued;
	struct remote_later locate, start;

	unsigned n_fetching;
	uint64_t n_bytes, n_bytes_max; /* on their way or held */
	uint64_t usual_size;	       /* of values that came of late */

	struct recall absent;
	uint64_t absent_ms; /* for how long each of these was noted */
	struct remote_ear ear; /* of the kinds */
	struct writeback writeback;
	struct batches batches;
	bool is_closing;
};

/* --- flight.c: the life of a flight ----------------------------------------------------------- */

/* Answer it, and it is no more. For a miss its seat in a batch is one, too. */
void waiter_answer(struct flights *all, struct waiter *waiter, enum abi_status status,
	uint64_t result0, uint64_t result1);
void waiter_miss(struct flights *all, struct waiter *waiter, enum abi_fetch_miss why);
/* It is in the cache, by whatever way it came there. */
void waiter_found(struct flights *all, struct waiter *waiter);

/* All waiters miss, and the flight is over. */
void flight_miss(struct flight *f, enum abi_fetch_miss why);

/* It has no waiters. Takes it apart, now or when nobody has it any more. */
void flight_end(struct flight *f);

/* Is the key in the cache? */
bool flights_have(struct flights *all, const struct remote_key *key);

/* Nobody can join any more, and so it asks nobody any more. */
void flight_hide(struct flight *f);

/* The list of those with like names. */
static inline struct flight **flight_bucket(struct flights *all, XXH128_hash_t name)
{
	return &all->bucket[name.low64 % FLIGHT_BUCKETS];
}

void flight_queue_put(struct flight_queue *queue, struct flight *f);
void flight_queue_take(struct flight_queue *queue, struct flight *f);

/* --- flight-absent.c: that nobody has it ------------------------------------------------------ */

/* All who could have it said that they do not: to be remembered, if that is still true. */
void flight_note_absent(struct flight *f);
/* For how long, as it is configured now. */
uint64_t flights_absent_for_ms(const struct flights *all);
bool flights_know_absent(struct flights *all, const XXH128_hash_t *name);

/* From here on what that kind hears is heard; and, of all of them, no more. */
void flights_listen(struct flights *all, const struct flight_source *source);
void flights_listen_no_more(struct flights *all);

/* --- flight-ask.c: who has it ----------------------------------------------------------------- */

void flights_locate(struct remote_later *later); /* the questions that have gathered */
void flights_start(struct remote_later *later);	 /* transfers for which there is a place */

/* Ask the source that it is at; or, after the last, miss. */
void flight_locate(struct flight *f);

/* The kind answers no more. */
void flight_forget_locating(struct flight *f);

/* Call its transfer off, for the first reason that there is; done() follows. */
void flight_stop(struct flight *f, enum flight_stop why);

/* --- flight-land.c: where it goes ------------------------------------------------------------- */

uint8_t *flight_land(struct remote_fetch *fetch, const struct remote_head *head);

/* Its block is given back, if there is one. */
void flight_unland(struct flight *f);

/* Its key was changed here since: what there is now is the answer, or that there is nothing. */
void flight_overtaken(struct flight *f);

/* All bytes are here. */
void flight_arrive(struct flight *f);

/* Is its value to be kept? As somebody wanted that, or as it found the free place that he wanted. */
static inline bool flight_is_wanted(const struct flight *f)
{
	return f->keeps_on || f->is_free;
}

/* Publish it, or deliver it, if it is known which; else it stays as it is. */
void flight_settle(struct remote_later *later);

static inline void flights_count(struct flights *all, enum abi_counter counter, uint64_t n)
{
	store_count(all->worker, counter, n);
}

#endif
