/* SPDX-License-Identifier: Apache-2.0 */
/* ledger.h: what the cache has acknowledged, by key, in memory that outlives every client. */
#ifndef SOAK_LEDGER_H
#define SOAK_LEDGER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * One client at a time changes a key: it takes the key, begins a change, asks the cache, and
 * settles the change by the answer. Anybody reads, and judges what was found by what the ledger
 * said before and after. The changes of a key are numbered, and the number of a put is the version
 * of its value.
 *
 *	begun   number of the last change that was begun; does it, or one unsettled before it, remove?
 *	done    number of the last change that was settled; unsettled ones may have happened or not
 *	acked   number of the last put or removal that was acknowledged; is the key there after it?
 *
 * What a client that was killed had begun stays unsettled until the key's next change is settled.
 * The key itself is given back (ledger_bury()) when the broker has forgotten that client: until
 * then a request of the dead may still be carried out.
 */
#define LEDGER_KEYS_MAX 4096
#define LEDGER_SLOTS_MAX 64
#define LEDGER_THREADS 3
#define LEDGER_TAKES 16 /* that one thread has at a time */
#define LEDGER_PREFIX 'k'

struct ledger_entry {
	_Atomic uint32_t owner; /* a life, or 0 */
	_Atomic uint64_t begun; /* number << 1 | may remove */
	_Atomic uint64_t done;
	_Atomic uint64_t acked; /* number << 1 | is there */
	_Atomic uint64_t expire_by; /* CLOCK_MONOTONIC, ms: is gone from then on; 0: who knows */
	uint8_t pad[24];
};

/* One client process: the keys that it has taken, each thread in a row of its own. */
struct ledger_slot {
	uint32_t life; /* never 0, never used twice */
	pid_t pid;
	_Atomic uint32_t taken[LEDGER_THREADS][LEDGER_TAKES]; /* key + 1, or 0 */
};

struct ledger {
	uint64_t seed;
	unsigned n_keys, n_loose;
	bool keeps;	    /* the tier has room for all: what was put is there */
	bool loses_brokers; /* the broker is killed too */
	char name[49];
	_Atomic uint64_t n_wrong, n_judged, n_acked, n_misses, n_held, n_unsettled, n_gone_views, n_lingered, n_fetched;
	struct ledger_slot slot[LEDGER_SLOTS_MAX];
	struct ledger_entry entry[LEDGER_KEYS_MAX];
};

/* Keys that may expire, and then are missing of right. */
static inline bool ledger_is_fleeting(unsigned key)
{
	return key % 16 == 0;
}

uint64_t ledger_now_ms(void);

/* Say what is wrong, with the seed; counted. Any process. */
__attribute__((format(printf, 2, 3))) void ledger_wrong(struct ledger *l, const char *format, ...);

/* Take @key for place @take of a thread. False: another one has it. */
bool ledger_take(struct ledger *l, struct ledger_slot *slot, unsigned thread, unsigned take,
	unsigned key);
void ledger_leave(struct ledger *l, struct ledger_slot *slot, unsigned thread, unsigned take);

/* What a change would do. */
enum ledger_change {
	LEDGER_PUT,
	LEDGER_REMOVE, /* a delete, or anything with a time to live */
	LEDGER_TOUCH,  /* neither */
};

/* Begin a change of a key that the caller has taken. Returns its number. */
uint64_t ledger_begin(struct ledger *l, unsigned key, enum ledger_change change);

/* What came of it. */
enum ledger_outcome {
	LEDGER_STORED,	  /* the put was acknowledged */
	LEDGER_REMOVED,	  /* the delete was, or found nothing */
	LEDGER_UNCHANGED, /* it was refused, or was no change of the value */
	LEDGER_UNKNOWN,	  /* the broker went away meanwhile */
};

/* @expire_by as in the entry, for LEDGER_STORED and LEDGER_UNCHANGED. */
void ledger_settle(
	struct ledger *l, unsigned key, enum ledger_outcome outcome, uint64_t expire_by);

/* What is known before a look-up. */
struct ledger_look {
	uint64_t begun, done, acked, expire_by, now_ms;
};

struct ledger_look ledger_look(const struct ledger *l, unsigned key);

/*
 * Judge what a look-up after @look found; 0 is a miss, else the version of a value that is whole.
 */
void ledger_judge(
	struct ledger *l, unsigned key, const struct ledger_look *look, uint64_t version);

/*
 * Of a client that has been reaped: the keys that it had taken are free again. To be called when no
 * request of it can be carried out any more.
 */
void ledger_bury(struct ledger *l, const struct ledger_slot *dead);

#endif
