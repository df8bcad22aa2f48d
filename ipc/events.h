/* SPDX-License-Identifier: Apache-2.0 */
/* events.h: the ring of events in shared memory: its layout, its one writer, its many readers. */
#ifndef IPC_EVENTS_H
#define IPC_EVENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ipc/abi.h"

/*
 * What happens to entries, told to whoever wants to know. One region a cache, made by the broker,
 * which maps it RW; a subscriber maps it RO and so can neither slow nor hinder the writer, who
 * never looks at where readers are. Who does not keep up is lapped, and told how many events it
 * lost.
 *
 *	| struct events_head | ring of 64-bit words, a power of two of them |
 *
 * Positions count words, run freely, and fall into the ring by their low bits. A record is
 *
 *	word 0  | number of the event, from 1 on |
 *	word 1  | 0:8 | flags:8 | tier:8 | kind:8 | key_size:16 | words of the record:16 |  (high..low)
 *	word 2  | generation:32 | value_size:32 |
 *	word 3  | when, ms of CLOCK_REALTIME |
 *	word 4  | key, and zeroes to the end of its last word |
 *
 * and may wrap around at any word. The writer W works under the store's lock:
 *
 *	W1  claimed := end of the new record        relaxed
 *	W2  its words                               release, each
 *	W3  n_events := its number                  release
 *	W4  written := end of the new record        release
 *
 *	R1  written                                 acquire  (W4: the record is there)
 *	R2  words of a record                       acquire, each
 *	R3  claimed                                 relaxed
 *
 * The copy that R2 made is the record if at R3 no more than the ring's length lies between its begin
 * and claimed: had R2 read a word of a later lap, its acquire would have met the release of W2, and
 * R3 would see the W1 before it. Each word is loaded once, so what is checked is what is used.
 */
#define EVENTS_MAGIC UINT64_C(0x73746e6576656873) /* "shevents" */
#define EVENTS_RECORD_WORDS 4			  /* before the key */
#define EVENTS_RECORD_WORDS_MAX (EVENTS_RECORD_WORDS + ABI_KEY_SIZE_MAX / 8)

enum event_kind {
	EVENT_STORED = 0,   /* a value was published: put, committed, or fetched from elsewhere */
	EVENT_ACCESSED = 1, /* a hit reached the policy: a sample of all hits, see ABI_COUNTER_LOG_LOST */
	EVENT_EVICTED = 2,  /* given up for room */
	EVENT_DELETED = 3,  /* by request, by its time, or with a damaged tier */
	EVENTS_N_KINDS = 4,
};

#define EVENTS_ALL ((1U << EVENTS_N_KINDS) - 1)

#define EVENT_REPLACED (1U << 0) /* of STORED: there was a value before, which is gone */
#define EVENT_EXPIRED (1U << 1)	 /* of DELETED: its time was over */

/* Written by B under the store's lock, but for the constants; read by all who map it. */
struct events_head {
	uint64_t magic;
	uint64_t fingerprint;
	uint64_t n_words; /* of the ring, a power of two, at least 4 * EVENTS_RECORD_WORDS_MAX */
	uint8_t pad0[ABI_APART - 24];
	struct shared_u64 claimed;  /* words before claimed - n_words may be overwritten */
	struct shared_u64 n_events; /* ever written; release */
	struct shared_u64 written;  /* records end here; release */
	uint8_t pad1[ABI_APART - 24];
};

_Static_assert(sizeof(struct events_head) == 2 * ABI_APART &&
		offsetof(struct events_head, claimed) == ABI_APART, "constants stand apart");

static inline size_t events_region_size(uint64_t n_words)
{
	return sizeof(struct events_head) + n_words * 8;
}

/* --- the writer ------------------------------------------------------------------------------- */

/* An event in private memory. */
struct event {
	uint64_t number; /* as read; the writer counts itself */
	uint8_t kind, tier, flags;
	uint16_t key_size;
	uint32_t value_size;
	uint32_t generation; /* of the record, see struct abi_record */
	uint64_t time_ms;    /* CLOCK_REALTIME */
};

struct events_writer {
	struct events_head *head;
	struct shared_u64 *word;
	uint64_t n_words; /* our own copies of what is shared */
	uint64_t written, n_events;
};

/* Make @region, of events_region_size(n_words) zeroed bytes, a ring. */
void events_writer_init(struct events_writer *w, void *region, uint64_t n_words);

/*
 * Append an event: 5 + key_size / 8 stores. Never waits. One thread at a time (the store's lock).
 * @e->key_size is 1 to ABI_KEY_SIZE_MAX.
 */
void events_write(struct events_writer *w, const struct event *e, const void *key);

/* --- a reader --------------------------------------------------------------------------------- */

/* One thread at a time. Trusts the writer, who owns the cache, but never reads outside the ring. */
struct events_reader {
	const struct events_head *head;
	const struct shared_u64 *word;
	uint64_t n_words;
	uint64_t position;
	uint64_t number; /* of the last event that was read or lost */
	bool is_lapped;
};

/*
 * Read what is written from now on. @size is that of the mapping. 0, or -EPROTONOSUPPORT where the
 * region is none of ours or its size does not fit.
 */
int events_reader_init(struct events_reader *r, const void *region, size_t size);

enum events_result {
	EVENTS_NONE = 0, /* nothing new */
	EVENTS_GOT = 1,
	EVENTS_LOST = 2, /* lapped: events were lost, the reader goes on with what comes now */
};

/*
 * The next event into *e and its key into @key, of ABI_KEY_SIZE_MAX bytes. On EVENTS_LOST *n_lost
 * is how many were overwritten before they were read, and *e is not written. Never waits; where a
 * writer keeps going while we look for the place to go on from, EVENTS_NONE, and lapped still.
 */
enum events_result events_read(
	struct events_reader *r, struct event *e, void *key, uint64_t *n_lost);

/* "stored", "accessed", "evicted", "deleted"; "?" for what there is none. */
const char *event_kind_name(unsigned kind);

#endif
