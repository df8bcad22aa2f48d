/* SPDX-License-Identifier: Apache-2.0 */
/*
 * remote.h: who else may have a value: the one interface behind which peers, and other stores, are.
 */
#ifndef SHMCACHE_REMOTE_REMOTE_H
#define SHMCACHE_REMOTE_REMOTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ipc/abi.h"
#include "ipc/hash.h"

/*
 * A *kind* is a way to others' values: peers are one. It locates who has a key, and fetches a value
 * from one *holder*. What is asked for at most once, where a value lands, who is told, and what
 * becomes of it is the flight's business (flight.h), so that no kind has to do it again, or can
 * forget to.
 *
 * All of this is of the remote thread (loop.h): no function of a kind is called by another thread,
 * nor calls back from one, and none waits for anybody. A callback may come before the call that
 * asks for it returns.
 *
 *	flight                      kind
 *	locate(keys)  ------------>
 *	              <------------ done(key, holders)       once a key
 *	fetch(holder) ------------>
 *	              <------------ land(head)               at most once: where do the bytes go?
 *	              <------------ done(result)             exactly once
 */

struct remote_loop;

/*
 * What a kind tells unasked: somebody else may have the key of that @name now (NULL: any key),
 * whatever was known of its absence. Where nobody tells a kind so, the kind can't tell it either.
 */
struct remote_ear {
	void (*heard)(struct remote_ear *ear, const XXH128_hash_t *name);
};

enum remote_result {
	REMOTE_OK = 0,
	REMOTE_MISS = 1,	/* the holder does not have it (any more) */
	REMOTE_UNREACHABLE = 2, /* no connection, or it broke */
	REMOTE_TIMEOUT = 3,	/* the deadline passed */
	REMOTE_CORRUPT = 4,	/* the bytes that came are not those that the holder has */
	REMOTE_REFUSED = 5,	/* the holder won't, or answered nonsense */
	REMOTE_CANCELLED = 6,	/* by cancel(), close(), or as land() gave no place */
	REMOTE_NOSPACE = 7,	/* the kind has no room to ask (not the tier: see land()) */
	REMOTE_N_RESULTS = 8,
};

/*
 * Holders are numbers that a kind gives; @holder names the same one as long as a fetch from it is
 * out.
 */
#define REMOTE_HOLDERS_MAX 256
#define REMOTE_ADDRESS_SIZE 128
#define REMOTE_WHY_SIZE 320
#define REMOTE_TRIED_MAX 8 /* holders that a locate names for one key, at most */

/*
 * A key between brokers is its bytes. @name is short for it where the bytes are too long
 * (directory, rendezvous, what is known to be absent): XXH3_128bits(data, size), without a seed, as
 * every broker must come to the same.
 */
struct remote_key {
	const uint8_t *data;
	uint16_t size; /* 1 to ABI_KEY_SIZE_MAX */
	XXH128_hash_t name;
};

static inline struct remote_key remote_key(const void *data, size_t size)
{
	return (struct remote_key){data, (uint16_t)size, XXH3_128bits(data, size)};
}

/*
 * What the holder tells of a value before its bytes. The kind has checked @size: 1 to
 * ABI_VALUE_SIZE_MAX.
 */
struct remote_head {
	uint64_t size;
	uint64_t ttl_ms; /* what is left of it; 0: for ever */
	struct abi_hints hints;
};

/*
 * One transfer. It is the caller's; the kind may use it from fetch() until it calls done(), and not
 * after; @key's bytes stay as long.
 */
struct remote_fetch {
	struct remote_key key;
	uint64_t deadline_ms; /* store_now_ms(); the kind gives up by itself then, soon */
	/*
	 * Where the bytes go: @head->size bytes that are the kind's to write until done(). NULL:
	 * they are not wanted; the kind calls done(REMOTE_CANCELLED), and may go on to receive them
	 * into nowhere.
	 */
	uint8_t *(*land)(struct remote_fetch *fetch, const struct remote_head *head);
	/*
	 * Exactly once. REMOTE_OK: all bytes are there, and their sum is the holder's. May start
	 * another fetch with this very struct. Nothing is written to what land() gave from this
	 * call on.
	 */
	void (*done)(struct remote_fetch *fetch, enum remote_result result);
	void *kind_state; /* the kind's, zeroed by the caller of fetch() */
	uint64_t n_bytes; /* kept by the kind as they come: how many have; zeroed as above */
};

/* A question who has @keys; the caller's until done() was called for each of them. */
struct remote_locate {
	const struct remote_key *keys;
	unsigned n;
	uint64_t deadline_ms;
	/*
	 * Once for each key, in any order; after the last the kind touches @locate no more.
	 * Holders: best first, at most REMOTE_TRIED_MAX, only read during the call. None with
	 * @is_complete: all who could have it were asked. None without: somebody could not be
	 * asked, and may have it.
	 */
	void (*done)(struct remote_locate *locate, unsigned i, const uint16_t *holders,
		unsigned n_holders, bool is_complete);
	void *kind_state; /* as above */
	unsigned n_done;  /* the kind's, zeroed by the caller */
};

/* What became of values here, for those who keep book of it elsewhere. */
enum remote_event_type {
	REMOTE_STORED = 1,
	REMOTE_GONE = 2,  /* deleted, evicted or expired */
	REMOTE_AGAIN = 3, /* no key: forget what was told, everything that is here follows */
};

struct remote_event {
	enum remote_event_type type;
	uint32_t generation; /* of the record: GONE of an older one than is STORED says nothing */
	struct remote_key key;
	uint64_t size; /* of the value stored */
};

enum remote_link {
	REMOTE_CONNECTING = 0, /* or about to try again */
	REMOTE_UP = 1,
	REMOTE_SHUT_OUT = 2, /* the last attempt ended as one refused the other */
};

/* One holder, for metrics, `peers` and the page. Counters since the kind was opened. */
struct remote_health {
	char name[ABI_NAME_MAX + 1];
	uint16_t holder;
	bool is_up;
	uint64_t n_fetches, n_failures;		 /* asked of it here; of these, other than OK and MISS */
	uint64_t n_misses;
	uint64_t n_served;			 /* asked by it, and sent */
	uint64_t received_bytes, sent_bytes;	 /* of values */
	uint64_t latency_ns;			 /* to the head of an answer, smoothed; 0: none yet */
	uint64_t n_links;			 /* times that a connection came up */
	uint32_t breaker;			 /* enum breaker_state: filled in by flights, not the kind */
	uint64_t breaker_since_ms;		 /* that it is not closed: by flights, too */

	enum remote_link link;
	uint64_t since_ms;		/* store_now_ms() when it came to be so */
	uint64_t rtt_ns;		/* of the last sign of life that was asked for; 0: none yet */
	uint64_t p50_ns, p99_ns;	/* from a request to all of its value's bytes; 0: none yet */
	uint64_t capacity;		/* bytes of its tiers, as it says */
	uint64_t free;			/* of these; UINT64_MAX: it does not say */
	uint64_t n_records;		/* keys that the shard of the directory here knows it to hold */
	unsigned n_lanes;		/* connections for values that stand */
	char address[REMOTE_ADDRESS_SIZE];
	char why[REMOTE_WHY_SIZE]; /* there is none; empty: there is. From anywhere: any bytes but NUL */
};

/* Functions marked * may be NULL. */
struct remote_kind {
	const char *name;
	/* 0, or -errno and a sentence in @why: the broker does not start then. */
	int (*open)(void **self, struct remote_loop *loop, char *why, size_t why_size);
	/* Ends all fetches and locates (CANCELLED, nobody) before it returns. */
	void (*close)(void *self);
	void (*locate)(void *self, struct remote_locate *locate);
	void (*fetch)(void *self, unsigned holder, struct remote_fetch *fetch);
	/*
	 * done() comes before it returns, or as soon as nobody writes to what land() gave any more:
	 * within milliseconds, whatever the holder does. The bytes that are still to come go
	 * nowhere. Before it returns, no other fetch is done().
	 */
	void (*cancel)(void *self, struct remote_fetch *fetch);
	void (*announce)(void *self, const struct remote_event *events, unsigned n); /* * */
	/*
	 * `delete --cluster`: have all others delete it, too. @done exactly once: how many did as
	 * they were told, and how many could not be reached, or did not answer until @deadline_ms.
	 * *
	 */
	void (*erase)(void *self, const struct remote_key *key, uint64_t deadline_ms,
		void (*done)(void *context, unsigned n_told, unsigned n_failed), void *context);
	uint64_t (*capacity)(void *self); /* bytes that the others have for values; 0: not known. * */
	unsigned (*health)(void *self, struct remote_health *health, unsigned max); /* how many. * */
	/* To whom it tells what it hears, from here on; NULL: to nobody any more. * */
	void (*set_ear)(void *self, struct remote_ear *ear);
};

#endif
