/* SPDX-License-Identifier: Apache-2.0 */
/* abi.h: every byte that two processes share: who writes it, who reads it, and in which order. */
#ifndef IPC_ABI_H
#define IPC_ABI_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "ipc/shared.h"

/*
 * The maps (design: "Who maps what"). B is the broker, C a client.
 *
 *	plane     /NAME         B rw  C ro by name        struct abi_plane
 *	index     /NAME.index   B rw  C ro by descriptor  struct abi_index, buckets, overflow, cells
 *	tiers     /NAME.dram    B rw  C ro (writer: rw)   values and nothing else
 *	request   memfd         B ro  C rw                one struct abi_lane_request a lane
 *	response  memfd         B rw  C ro                one struct abi_lane_response a lane
 *
 * Words with different writers never share a mapping; words of one mapping that different threads
 * write, or that one side polls, stand ABI_APART bytes apart. The broker trusts nothing in a
 * request region. A client trusts the plane, the index and the response region: their writer owns
 * the cache.
 */
#define ABI_MAGIC UINT64_C(0x65686361636d6873) /* "shmcache" */
#define ABI_VERSION 1
#define ABI_APART 128
#define ABI_CELL 64 /* a record, a key tail, a bucket */

#define ABI_NAME_MAX 48
#define ABI_SOCKET_PATH_MAX 108
#define ABI_KEY_SIZE_MAX 1024
#define ABI_VALUE_SIZE_MAX (UINT64_C(1) << 30)
#define ABI_WORKERS_MAX 16
#define ABI_CONTROL ABI_WORKERS_MAX /* the control thread's place among the workers' */
#define ABI_MOVER (ABI_WORKERS_MAX + 1) /* and that of the one that moves between tiers */
#define ABI_REMOTE (ABI_WORKERS_MAX + 2) /* and that of the one that talks to other brokers */
#define ABI_THREADS (ABI_WORKERS_MAX + 3)
#define ABI_SESSIONS_MAX 4096
#define ABI_LANES_MAX 256
#define ABI_VALUE_ALIGN 64	       /* of every value */
#define ABI_VALUE_ALIGN_LARGE 4096     /* from ABI_VALUE_LARGE on */
#define ABI_VALUE_LARGE (64U << 10)

/* --- the index: written by B under the store's lock, read by all ------------------------------ */

/*
 * A slot word names a published record, or is 0. Readers load it with acquire (partner: the release
 * in the broker's publish), hold it, and load it again.
 *
 *	63            48 47            32 31                              0
 *	+---------------+----------------+--------------------------------+
 *	| tag: hash top | generation     | cell number, never 0           |
 *	+---------------+----------------+--------------------------------+
 */
static inline uint64_t abi_word(uint32_t cell, uint32_t generation, uint64_t hash)
{
	return (hash >> 48 << 48) | (uint64_t)(generation & 0xffff) << 32 | cell;
}

static inline uint32_t abi_word_cell(uint64_t word)
{
	return (uint32_t)word;
}

static inline uint32_t abi_word_generation(uint64_t word)
{
	return (uint32_t)(word >> 32) & 0xffff;
}

static inline uint32_t abi_word_tag(uint64_t word)
{
	return (uint32_t)(word >> 48);
}

#define ABI_BUCKET_SLOTS 7

/* One cache line. @link is the number of an overflow bucket plus one, or 0. */
struct abi_bucket {
	struct shared_u64 slot[ABI_BUCKET_SLOTS];
	struct shared_u64 link;
};

#define ABI_KEY_INLINE 32
#define ABI_RECORD_HINTS (1U << 0) /* the tail begins with a struct abi_hints */

/*
 * An entry. Immutable from publication until reclaim, but for @expire_ms, a relaxed word that the
 * broker may change at any time (touch); a racing reader sees the old time or the new.
 *
 * The two highest bits of that word are for a broker that comes back (index-recover.c): a record
 * that has a block and that no slot names carries one of them, from before it leaves its slot or
 * from when it gets its block, until it is freed or published. Readers mask them.
 */
struct abi_record {
	uint64_t value_off; /* in its tier */
	uint32_t value_size;
	uint16_t key_size;
	uint8_t tier; /* enum abi_tier */
	uint8_t flags;
	struct shared_u64 expire_ms; /* CLOCK_MONOTONIC, 0: never; and ABI_RECORD_... */
	uint32_t generation;	     /* of this cell; the slot word has its low 16 bits */
	uint32_t tail;		     /* cell with what does not fit here, or 0 */
	uint8_t key[ABI_KEY_INLINE];
};

#define ABI_RECORD_OPEN (UINT64_C(1) << 62)    /* of @expire_ms: a writer may be filling its block */
#define ABI_RECORD_RETIRED (UINT64_C(1) << 63) /* a reader may hold it */
#define ABI_RECORD_MARKS (ABI_RECORD_OPEN | ABI_RECORD_RETIRED)

static inline uint64_t abi_record_expire_ms(const struct abi_record *r)
{
	return shared_u64_load(&r->expire_ms) & ~ABI_RECORD_MARKS;
}

#define ABI_TAIL_BYTES 56
/* Read as a record, a tail's value would lie beyond every tier, whatever the key in it says. */
#define ABI_TAIL_MARK UINT32_MAX

/* More bytes of a record: its hints, if it has any, then the key beyond ABI_KEY_INLINE. */
struct abi_tail {
	uint32_t next; /* cell, or 0 */
	uint32_t mark; /* ABI_TAIL_MARK; where a record has the upper half of @value_off */
	uint8_t bytes[ABI_TAIL_BYTES];
};

struct abi_hints {
	uint64_t group;
	uint32_t position;
	uint32_t priority;
};

enum abi_tier {
	ABI_TIER_NONE = 0,
	ABI_TIER_DRAM = 1,
	ABI_TIER_CXL = 2,
	ABI_TIERS = 3,
};

/*
 * The head of the index region; the arrays follow at the offsets. Linear hashing: @n_buckets only
 * grows (release; partner: the acquire in lookup.h); the words that a split moves are written to
 * the new bucket before @n_buckets tells of it, and cleared in the old one after.
 */
struct abi_index {
	uint64_t magic;
	uint64_t fingerprint;
	uint64_t size; /* of the whole region, virtual; see n_..._backed */
	uint64_t hash_seed;
	uint64_t bucket_off, overflow_off, cell_off;
	uint64_t n_buckets_max, n_overflow_max, n_cells_max;
	uint64_t dram_size, cxl_size; /* of the tiers that the records point into */
	uint64_t cxl_identity[2];     /* what the CXL tier's device carries; 0: it is none */
	uint8_t pad0[ABI_APART - 112];
	struct shared_u64 n_buckets;
	struct shared_u64 n_buckets_backed, n_overflow_backed, n_cells_backed;
	uint8_t pad1[ABI_APART - 32];
};

/* --- the plane: written by B, read by all ----------------------------------------------------- */

enum abi_state {
	ABI_STATE_NONE = 0,
	ABI_STATE_STARTING = 1,
	ABI_STATE_SERVING = 2,
	ABI_STATE_STOPPED = 3, /* clean stop, the cache is warm */
	ABI_STATE_DRAINING = 4, /* nobody takes a hold any more; those that are held count */
};

/* Counters of one worker thread, which is their one writer. Names: ABI_COUNTERS. */
#define ABI_COUNTERS(X)                                                                            \
	X(SUBMISSIONS, "shmcache_submissions_total", "requests taken from rings")                  \
	X(PUTS, "shmcache_puts_total", "values stored, commits included")                          \
	X(PUT_BYTES, "shmcache_put_bytes_total", "bytes of values stored")                         \
	X(REPLACES, "shmcache_replaces_total", "stores that replaced a value")                     \
	X(DELETES, "shmcache_deletes_total", "entries deleted by request")                         \
	X(EXPIRED, "shmcache_expired_total", "entries removed because their time was over")        \
	X(EVICTIONS, "shmcache_evictions_total", "entries evicted for room")                       \
	X(EVICTED_BYTES, "shmcache_evicted_bytes_total", "bytes of values evicted")                \
	X(EVICTIONS_FIT, "shmcache_evictions_fit_total", "evictions for a contiguous block")       \
	X(NOSPACE, "shmcache_nospace_total", "stores refused, all room held or pinned")            \
	X(QUOTA, "shmcache_quota_total", "requests refused for a session's quota")                 \
	X(RESERVES, "shmcache_reserves_total", "blocks reserved")                                  \
	X(COMMITS, "shmcache_commits_total", "reservations published")                             \
	X(ABORTS, "shmcache_aborts_total", "reservations given back by request")                   \
	X(RESERVES_DEAD, "shmcache_reserves_dead_total", "reservations taken back from the dead")  \
	X(RECLAIM_ROUNDS, "shmcache_reclaim_rounds_total", "reclaim rounds")                       \
	X(RECLAIMED, "shmcache_reclaimed_total", "retired records freed")                          \
	X(RECLAIM_KEPT, "shmcache_reclaim_kept_total", "retired records kept for a holder")        \
	X(LOG_HITS, "shmcache_log_hits_total", "hits that reached the policy by the access log")   \
	X(LOG_LOST, "shmcache_log_lost_total", "hits that the access log dropped")                 \
	X(WAKEUPS, "shmcache_wakeups_total", "times a worker was woken")                           \
	X(WAKES_SENT, "shmcache_wakes_sent_total", "times a client was woken")                     \
	X(HITS, "shmcache_hits_total", "hits that clients counted, summed up when seen")           \
	X(MISSES, "shmcache_misses_total", "misses that clients counted, summed up when seen")     \
	X(SESSIONS, "shmcache_sessions_total", "sessions accepted")                                \
	X(SESSIONS_REFUSED, "shmcache_sessions_refused_total", "attach attempts refused")          \
	X(SESSIONS_BROKEN, "shmcache_sessions_broken_total", "sessions cut off for nonsense")      \
	X(TIER_DAMAGE, "shmcache_tier_damage_total", "entries dropped, a tier page was lost")      \
	X(RECOVERED, "shmcache_recovered_total", "entries found at a warm start")                  \
	X(RECOVER_DROPPED, "shmcache_recover_dropped_total", "entries dropped at a warm start")    \
	X(DRAM_HITS, "shmcache_dram_hits_total", "of the hits, those in the DRAM tier")            \
	X(CXL_HITS, "shmcache_cxl_hits_total", "of the hits, those in the CXL tier")               \
	X(DEMOTIONS, "shmcache_demotions_total", "entries moved from DRAM to CXL")                 \
	X(DEMOTED_BYTES, "shmcache_demoted_bytes_total", "bytes of values moved so")               \
	X(PROMOTIONS, "shmcache_promotions_total", "entries moved from CXL to DRAM")               \
	X(PROMOTED_BYTES, "shmcache_promoted_bytes_total", "bytes of values moved so")             \
	X(PROMOTIONS_REFUSED, "shmcache_promotions_refused_total",                                 \
		"promotions that the rate or what is in DRAM forbade")                             \
	X(MOVES_LOST, "shmcache_moves_lost_total", "moves given up, the entry had changed")        \
	X(FETCHES, "shmcache_fetches_total", "requests for values of other brokers")               \
	X(FETCHES_JOINED, "shmcache_fetches_joined_total", "of these, for one on its way already") \
	X(FETCHES_ABSENT, "shmcache_fetches_absent_total",                                         \
		"of these, answered from what is known to be nowhere")                             \
	X(LOCATES, "shmcache_locates_total", "keys of which was asked who has them")               \
	X(TRANSFERS, "shmcache_transfers_total", "transfers begun, one holder each")               \
	X(TRANSFERS_DONE, "shmcache_transfers_done_total", "transfers that brought a value")       \
	X(TRANSFERRED_BYTES, "shmcache_transferred_bytes_total", "bytes of these values")          \
	X(TRANSFERS_FAILED, "shmcache_transfers_failed_total", "transfers that failed")            \
	X(FILLS_PUBLISHED, "shmcache_fills_published_total", "fetched values that were cached")    \
	X(FILLS_OVERTAKEN, "shmcache_fills_overtaken_total",                                       \
		"fetched values that came too late to be cached")                                  \
	X(FILLS_DECLINED, "shmcache_fills_declined_total",                                         \
		"fetched values that the policy did not cache")                                    \
	X(DELIVERIES, "shmcache_deliveries_total", "answers with a value that is not cached")      \
	X(BREAKERS_OPENED, "shmcache_breakers_opened_total", "times that a peer was left alone")   \
	X(SERVED, "shmcache_served_total", "values sent to other brokers")                         \
	X(SERVED_BYTES, "shmcache_served_bytes_total", "bytes of these values")                    \
	X(SERVE_MISSES, "shmcache_serve_misses_total",                                             \
		"values that other brokers asked for, and that were not here")                     \
	X(ERASES_TOLD, "shmcache_erases_told_total",                                               \
		"deletes with CLUSTER: members that deleted the key as they were told")            \
	X(ERASES_UNTOLD, "shmcache_erases_untold_total",                                           \
		"deletes with CLUSTER: members that could not be told")                            \
	X(ERASES_HEARD, "shmcache_erases_heard_total", "deletes that other brokers asked for")     \
	X(ANNOUNCED, "shmcache_announced_total",                                                   \
		"what is stored and gone here, told to shards of the directory")                   \
	X(ANNOUNCED_AGAIN, "shmcache_announced_again_total",                                       \
		"times that a shard, or all, had to be told everything again")                     \
	X(HEARD, "shmcache_heard_total", "what others told this broker, as a shard")

enum abi_counter {
#define X(name, text, help) ABI_COUNTER_##name,
	ABI_COUNTERS(X)
#undef X
	ABI_N_COUNTERS
};

/* Gauges of the broker, written under the store's lock; those of peers by the remote thread. */
#define ABI_GAUGES(X)                                                                              \
	X(ENTRIES, "shmcache_entries", "published entries")                                        \
	X(INDEX_BYTES, "shmcache_index_bytes", "bytes of the index that are backed by memory")     \
	X(BOOKS_BYTES, "shmcache_books_bytes", "bytes of the broker's private books")              \
	X(DRAM_BYTES, "shmcache_dram_bytes", "size of the DRAM tier")                              \
	X(DRAM_USED_BYTES, "shmcache_dram_used_bytes", "bytes in use in the DRAM tier")            \
	X(DRAM_LARGEST_FREE_BYTES, "shmcache_dram_largest_free_bytes", "largest free block")       \
	X(DRAM_ENTRIES, "shmcache_dram_entries", "entries in the DRAM tier")                       \
	X(CXL_BYTES, "shmcache_cxl_bytes", "size of the CXL tier")                                 \
	X(CXL_USED_BYTES, "shmcache_cxl_used_bytes", "bytes in use in the CXL tier")               \
	X(CXL_LARGEST_FREE_BYTES, "shmcache_cxl_largest_free_bytes", "largest free block")         \
	X(CXL_ENTRIES, "shmcache_cxl_entries", "entries in the CXL tier")                          \
	X(PINNED_BYTES, "shmcache_pinned_bytes", "bytes of pinned entries")                        \
	X(RESERVED_BYTES, "shmcache_reserved_bytes", "bytes of open reservations")                 \
	X(LIMBO_BYTES, "shmcache_limbo_bytes", "bytes retired and not yet reusable")               \
	X(SESSIONS_NOW, "shmcache_sessions", "attached sessions")                                  \
	X(UNBOUND_TIERS, "shmcache_unbound_tiers", "tiers that could not be bound to their node")  \
	X(PLACED_BYTES, "shmcache_placed_bytes", "bytes of bound tiers found on their node")       \
	X(MISPLACED_BYTES, "shmcache_misplaced_bytes", "bytes of bound tiers found on others")     \
	X(UNPLACED_BYTES, "shmcache_unplaced_bytes", "bytes of bound tiers whose node is not told") \
	X(HOLDS, "shmcache_holds", "hold cells in use, views and reads, looked at once a second")  \
	X(HELD_BYTES, "shmcache_held_bytes",                                                       \
		"retired bytes that the last reclaim round left for a hold, a move or a loan")     \
	X(PEERS, "shmcache_peers", "other brokers that are members")                               \
	X(PEERS_UP, "shmcache_peers_up", "of these, those that there is a connection to")          \
	X(PEERS_CAPACITY_BYTES, "shmcache_peers_capacity_bytes",                                   \
		"bytes that these have for values")                                                \
	X(DIRECTORY_RECORDS, "shmcache_directory_records",                                         \
		"keys of others that this broker, as a shard, knows a holder of")

enum abi_gauge {
#define X(name, text, help) ABI_GAUGE_##name,
	ABI_GAUGES(X)
#undef X
	ABI_N_GAUGES
};

/*
 * How long something took, by orders of magnitude: two buckets for each power of two nanoseconds,
 * as histogram.h fills them. The number of times is the sum of the buckets.
 */
#define ABI_HISTOGRAM_BUCKETS 62
struct abi_histogram {
	struct shared_u64 bucket[ABI_HISTOGRAM_BUCKETS];
	struct shared_u64 sum_ns, max_ns;
};

/* What a worker does besides, or as a part of, carrying out requests; its times are kept apart. */
#define ABI_STAGES(X)                                                                              \
	X(COPY, "copy", "a value of more than 4 KiB into its block")                               \
	X(ROOM, "room", "making room for a block: evicting, and the reclaim rounds for it")        \
	X(RECLAIM, "reclaim", "a reclaim round, all of it")                                        \
	X(GRACE, "grace", "in it, waiting for the broker's own readers, and the membarrier")       \
	X(SCAN, "scan", "in it, the scan of all hold cells")                                       \
	X(UPKEEP, "upkeep", "access logs, expiry, reclaim and gauges, every 10 ms")                \
	X(WAIT, "wait", "clients waiting for an answer, as they tell")

enum abi_stage {
#define X(name, text, help) ABI_STAGE_##name,
	ABI_STAGES(X)
#undef X
	ABI_N_STAGES
};

/* Why a read found nothing, or could not look. */
enum abi_miss {
	ABI_MISS_ABSENT = 0,  /* no such key */
	ABI_MISS_EXPIRED = 1, /* its time is over */
	ABI_MISS_HOLDS = 2,   /* no hold cell was free: answered with SHMC_QUOTA */
	ABI_N_MISSES = 3,
};

/*
 * Why a FETCH brought nothing: result 0 of its MISS. New ones come at the end, and a client takes
 * one that it does not know for a miss like any other.
 */
enum abi_fetch_miss {
	ABI_FETCH_NONE = 0,	   /* no reason was told */
	ABI_FETCH_NOBODY = 1,	   /* no holder is known, or none of them has it */
	ABI_FETCH_UNREACHABLE = 2, /* no holder could be asked */
	ABI_FETCH_TIMEOUT = 3,	   /* its deadline is over */
	ABI_FETCH_CORRUPT = 4,	   /* what came was not what was stored */
	ABI_FETCH_CANCELLED = 5,   /* the key was put, deleted or flushed here meanwhile */
	ABI_FETCH_NOSPACE = 6,	   /* there was no block for it */
	ABI_FETCH_OFF = 7,	   /* this broker has nobody to ask */
	ABI_FETCH_BUSY = 8,	   /* as much is under way as may be */
	ABI_FETCH_DECLINED = 9,	   /* a PREFETCH, and the policy keeps no such value */
	ABI_N_FETCH_MISSES = 10,
};

/* What becomes of a value that came from elsewhere: whether it is published in the index here. */
enum abi_write_back {
	ABI_WRITE_BACK_ALWAYS = 0,
	ABI_WRITE_BACK_ALL_FOUND = 1,	      /* if all of its batch were found */
	ABI_WRITE_BACK_CONTIGUOUS_PREFIX = 2, /* if all before it in its batch were found */
	ABI_WRITE_BACK_SECOND_HIT = 3,	      /* if it was fetched before, not long ago */
	ABI_WRITE_BACK_FREE_SPACE = 4,	      /* if nothing has to be evicted for it */
	ABI_WRITE_BACK_OFF = 5,
	ABI_N_WRITE_BACKS = 6,
};

#define ABI_KINDS_MAX 16 /* operations, statuses, faults, stages: places for each */
#define ABI_REASONS_MAX 8 /* refusals, misses */

/* What a worker thread tells; one writer each. */
struct abi_worker {
	/*
	 * Set before a worker sleeps, cleared when it wakes. Full fence on both sides: the worker
	 * keeps this store apart from its last look at the rings, a client its submission's store
	 * apart from the load of this.
	 */
	struct shared_u32 need_wakeup;
	uint8_t pad0[ABI_APART - 4];
	struct shared_u64 counter[64];
	/* By kind: requests by operation, answers that were not OK by status, and so on. */
	struct shared_u64 request[ABI_KINDS_MAX]; /* enum abi_operation */
	struct shared_u64 answer[ABI_KINDS_MAX];  /* enum abi_status */
	struct shared_u64 fault[ABI_KINDS_MAX];	  /* enum abi_fault: sessions cut off */
	struct shared_u64 refusal[ABI_REASONS_MAX]; /* enum wire_refusal: attach attempts */
	struct shared_u64 miss[ABI_REASONS_MAX];    /* enum abi_miss: what clients counted */
	struct shared_u64 fetch_miss[ABI_KINDS_MAX]; /* enum abi_fetch_miss: FETCHes answered so */
	/* From a request's taking to its answer; sampled, see worker.c. */
	struct abi_histogram operation_time[ABI_KINDS_MAX];
	struct abi_histogram stage_time[ABI_KINDS_MAX];
};

_Static_assert(ABI_N_COUNTERS <= 64 && ABI_N_STAGES <= ABI_KINDS_MAX &&
		ABI_N_MISSES <= ABI_REASONS_MAX, "all have a place");

/* Whose holds a line of the session directory stands for. */
enum abi_session_state {
	ABI_SESSION_ATTACHED = 0, /* of a client of the broker of the line's epoch */
	ABI_SESSION_PENDING = 1,  /* of a former one's: nothing of its time is freed meanwhile */
	ABI_SESSION_ADOPTED = 2,  /* of a former one's, whose holds are honoured */
	ABI_SESSION_LOST = 3,	  /* of a former one's, whose holds are not honoured any more */
};

/*
 * One line of the session directory: who is attached, for inspectors and for a broker that comes
 * back, which keeps the lines of those whose holds it honours (former.c). A client looks at its
 * own, by the number that it was told, to see whether its views are still protected.
 */
struct abi_session {
	struct shared_u64 id; /* 0: free. Written last on attach, first on detach (release) */
	struct shared_u32 pid, uid, role, worker;
	struct shared_u32 n_lanes, broken;
	struct shared_u64 attached_ms;	  /* CLOCK_REALTIME */
	struct shared_u64 pid_start_time; /* of /proc/PID/stat: tells a reused pid from the same */
	/* The two regions, as fstat() names them, and what struct abi_geometry begins with. */
	struct shared_u64 region_dev, request_ino, response_ino;
	struct shared_u32 lanes_max, n_queue, n_holds, n_log, staging_size;
	struct shared_u32 state; /* enum abi_session_state; release */
	struct shared_u64 epoch;  /* of the broker that it attached to */
	struct shared_u64 pid_ns; /* inode of that broker's PID namespace: where @pid means something */
	/*
	 * CLOCK_MONOTONIC: since then each of the broker's looks, one a second, has seen the same
	 * word in some hold cell of the session; 0: all cells were empty.
	 */
	struct shared_u64 held_since_ms;
	uint8_t pad[ABI_APART - 120];
};

struct abi_plane {
	uint64_t magic;
	uint32_t version;
	uint32_t n_sessions_max;
	uint64_t fingerprint;
	uint64_t size;
	char name[ABI_NAME_MAX + 16];
	char socket_path[ABI_SOCKET_PATH_MAX + 4];
	uint8_t pad0[2 * ABI_APART - 208];
	/*
	 * Words that change only when a broker comes or goes; the hit path loads @epoch. It, @state
	 * and the magic keep their places in every version, so that any broker can tell the clients
	 * of any other that it is over.
	 */
	struct shared_u64 epoch; /* one more at each start on this memory; 0: not yet */
	struct shared_u32 state; /* enum abi_state; release */
	struct shared_u32 broker_pid;
	struct shared_u64 start_ms; /* CLOCK_MONOTONIC */
	struct shared_u32 n_workers;
	struct shared_u32 fence_needed; /* 1: the broker can't membarrier, readers must fence */
	uint8_t pad1[ABI_APART - 32];
	struct shared_u64 gauge[32];
	struct abi_worker worker[ABI_THREADS]; /* the last: ABI_CONTROL's, ABI_MOVER's, ABI_REMOTE's */
	struct abi_session session[]; /* n_sessions_max */
};

_Static_assert(ABI_N_GAUGES <= 32, "gauges fit");

/* --- rings: one pair a lane, single producer, single consumer --------------------------------- */

enum abi_operation {
	ABI_OP_NONE = 0, /* a slot that was never written: nonsense */
	ABI_OP_PING = 1,
	ABI_OP_PUT = 2,	    /* key and value in staging */
	ABI_OP_RESERVE = 3, /* key in staging */
	ABI_OP_WRITE = 4,   /* value bytes in staging, into a reservation at an offset */
	ABI_OP_COMMIT = 5,
	ABI_OP_ABORT = 6,
	ABI_OP_DELETE = 7,
	ABI_OP_TOUCH = 8,
	ABI_OP_PIN = 9,
	ABI_OP_UNPIN = 10,
	ABI_OP_FLUSH = 11, /* key: the prefix, or nothing */
	ABI_OP_FETCH = 12, /* key in staging: have it brought from another broker */
	ABI_N_OPERATIONS = 13,
};

/* The answer in a completion: the numbers are the protocol, see abi_status_name(). */
enum abi_status {
	ABI_STATUS_OK = 0,
	ABI_STATUS_MISS = 1,
	ABI_STATUS_EXISTS = 2,
	ABI_STATUS_NOSPACE = 3,
	ABI_STATUS_QUOTA = 4,
	ABI_STATUS_GONE = 5,	 /* no such reservation */
	ABI_STATUS_DENIED = 6,	 /* the role does not allow it */
	ABI_STATUS_TOO_BIG = 7,	 /* larger than the tier or the limit */
	ABI_STATUS_NOMEM = 8,	 /* the broker's own memory is exhausted */
	ABI_STATUS_DAMAGED = 9,	 /* the tier page was taken away while it was written */
	ABI_STATUS_STOPPING = 10, /* the broker is on its way out */
	ABI_N_STATUSES = 11,
};

/* Why a session was cut off. */
enum abi_fault {
	ABI_FAULT_NONE = 0,
	ABI_FAULT_OPERATION = 1, /* an operation that does not exist */
	ABI_FAULT_KEY = 2,	 /* empty or oversized key */
	ABI_FAULT_RANGE = 3,	 /* outside the staging area or the reservation */
	ABI_FAULT_FIELD = 4,	 /* a field that must be zero, or has no such value */
	ABI_FAULT_POSITION = 5,	 /* a ring position that can't be */
	ABI_FAULT_HOLDS = 6,	 /* holds past the quota */
	ABI_FAULT_PROTOCOL = 7,	 /* nonsense on a socket */
	ABI_FAULT_RESOURCES = 8, /* not its fault: the broker ran out of memory for it */
	ABI_N_FAULTS = 9,
};

/*
 * Submission: eight words. submission.h packs and unpacks them. The last word is the slot's
 * sequence: position + 1, stored with release by the client after the others, loaded with acquire
 * by the broker. A slot is thus whole or not there, and costs one cache line to hand over.
 */
struct abi_submission {
	struct shared_u64 word[8];
};

/* Completion: sequence (as above, roles swapped), id and status, two results. */
struct abi_completion {
	struct shared_u64 sequence;
	struct shared_u64 id_status;
	struct shared_u64 result[2];
};

/*
 * A lane's part of the request region, followed by what struct abi_geometry places:
 *
 *	| head | submissions | hold cells | access log | staging |
 */
struct abi_lane_request {
	/* Apart from what the client writes at each request: B loads it after each answer. */
	struct shared_u32 need_wakeup; /* see struct abi_worker, roles swapped */
	uint8_t pad0[ABI_APART - 4];
	/* The client's half of the completion ring. */
	struct shared_u64 reaped;    /* completions taken; release, partner: B's acquire when full */
	struct shared_u64 submitted; /* for inspectors alone, relaxed */
	uint8_t pad1[ABI_APART - 16];
	/* Written on the hit path. */
	struct shared_u64 logged; /* entries ever written to the access log; release */
	struct shared_u64 hits, misses;
	struct shared_u64 holds_used; /* all hold cells from this number on are 0 */
	struct shared_u64 miss[4];    /* by reason, enum abi_miss */
	struct shared_u64 cxl_hits;   /* of the hits, those in the CXL tier */
	uint8_t pad2[ABI_APART - 72];
	/* How long its thread waited for answers; sampled, see clients/lib/ring.c. */
	struct abi_histogram wait;
};

/*
 * A lane's part of the response region, followed by what struct abi_geometry places:
 *
 *	| head | completions | elsewhere |
 *
 * @elsewhere has n_queue places for submissions, for inspectors alone. What was taken and is for
 * other brokers to answer lies in one of them, from before @consumed tells of it until behind its
 * answer, for answers come in any order: see submission_show(). Word 7 is 0 in a free place.
 */
struct abi_lane_response {
	struct shared_u32 fault;    /* enum abi_fault; B cuts the session off after it */
	struct shared_u32 worker;   /* which worker serves this lane */
	struct shared_u64 consumed; /* submissions taken; release, partner: an inspector's acquire */
	uint8_t pad0[ABI_APART - 16];
};

/* Sizes of a session's regions, told in the welcome; abi_geometry_init() derives the rest. */
struct abi_geometry {
	uint32_t n_lanes;
	uint32_t n_queue; /* submissions and completions a lane, power of two */
	uint32_t n_holds; /* a lane */
	uint32_t n_log;	  /* access log entries a lane, power of two */
	uint32_t staging_size;
	/* derived */
	uint32_t submission_off, hold_off, log_off, staging_off, request_stride;
	uint32_t completion_off, elsewhere_off, response_stride;
};

_Static_assert(sizeof(struct abi_bucket) == ABI_CELL && sizeof(struct abi_record) == ABI_CELL &&
		sizeof(struct abi_tail) == ABI_CELL && sizeof(struct abi_submission) == ABI_CELL,
	"one cache line each");
_Static_assert(sizeof(struct abi_completion) == 32, "two a cache line");
_Static_assert(sizeof(struct abi_hints) == 16, "no padding");
_Static_assert(sizeof(struct abi_histogram) == 512 && sizeof(struct abi_worker) % ABI_APART == 0 &&
		ABI_N_OPERATIONS <= ABI_KINDS_MAX && ABI_N_STATUSES <= ABI_KINDS_MAX &&
		ABI_N_FAULTS <= ABI_KINDS_MAX && ABI_N_MISSES <= 4 &&
		ABI_N_FETCH_MISSES <= ABI_KINDS_MAX, "all have a place");
_Static_assert(sizeof(struct abi_lane_request) == 7 * ABI_APART &&
		sizeof(struct abi_lane_response) == ABI_APART &&
		sizeof(struct abi_session) == ABI_APART && sizeof(struct abi_index) == 2 * ABI_APART,
	"words with different writers or pollers stand apart");
_Static_assert(offsetof(struct abi_plane, magic) == 0 &&
		offsetof(struct abi_plane, epoch) == 256 && offsetof(struct abi_plane, state) == 264,
	"in every version");
_Static_assert(offsetof(struct abi_plane, epoch) == 2 * ABI_APART &&
		offsetof(struct abi_plane, gauge) == 3 * ABI_APART &&
		offsetof(struct abi_worker, counter) == ABI_APART &&
		offsetof(struct abi_lane_request, logged) == 2 * ABI_APART,
	"words with different writers or pollers stand apart");

/* A hash over size and offset of all of the above: two builds that differ don't meet. */
uint64_t abi_fingerprint(void);

/* Derive the offsets. -EINVAL when a count is out of its bounds or the whole is too large. */
int abi_geometry_init(struct abi_geometry *geometry);

/* Static names, "?" for what there is none. */
const char *abi_operation_name(unsigned operation);
const char *abi_status_name(unsigned status);
const char *abi_fault_name(unsigned fault);
const char *abi_counter_name(unsigned counter);
const char *abi_counter_help(unsigned counter);
const char *abi_gauge_name(unsigned gauge);
const char *abi_gauge_help(unsigned gauge);
const char *abi_stage_name(unsigned stage);
const char *abi_stage_help(unsigned stage);
const char *abi_miss_name(unsigned miss);
const char *abi_fetch_miss_name(unsigned miss);
const char *abi_write_back_name(unsigned policy);

#endif
