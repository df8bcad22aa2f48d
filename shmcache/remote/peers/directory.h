/* SPDX-License-Identifier: Apache-2.0 */
/* directory.h: who holds which key: soft state, sharded over the members. */
#ifndef SHMCACHE_REMOTE_PEERS_DIRECTORY_H
#define SHMCACHE_REMOTE_PEERS_DIRECTORY_H

#include <stdbool.h>
#include <stdint.h>

#include "ipc/hash.h"
#include "shmcache/remote/peers/membership.h"

/*
 * A key's short name is XXH3_128bits() of its bytes. The member in charge of it, by rendezvous
 * hashing over all members and this broker itself, is its shard and notes who holds it: {name,
 * holder, generation}. What it says is a hint: it may name one who has lost the entry, and may not
 * know of one who has it. The holder is the authority.
 *
 * Each broker plays three parts here:
 *
 *	holder     directory_held(), directory_gone(): what it stores and loses, collected for each
 *	           shard and sent in batches; all of it again to shards that are new or have lost what
 *	           they knew (directory_again())
 *	shard      directory_hear(), directory_asked(): notes announcements and answers lookups
 *	requester  directory_locate(): sorts a batch of names by shard, asks each once, and hands the
 *	           answers on
 *
 * Nothing here knows a socket: messages go out by struct directory_post and come in by calls. All
 * of it is private data of the remote thread, never blocks, and is bounded: the shard's table by
 * @size_max, the batches by DIRECTORY_BATCH, and who does not read gets his share announced again.
 */
#define DIRECTORY_BATCH 1024  /* records an announcement, names a lookup: at most */
#define DIRECTORY_HOLDERS 4   /* told for a name: at most */

enum directory_what {
	DIRECTORY_GONE = 0,
	DIRECTORY_HELD = 1,
	/* Of no name: all that this holder has for this shard follows, up to a DONE ... */
	DIRECTORY_AGAIN = 2,
	/* ... and what the shard heard of it before the AGAIN, and not since, is void. */
	DIRECTORY_DONE = 3,
	DIRECTORY_N_WHATS = 4,
};

/* As it goes over the wire; the holder is who sent it. */
struct directory_record {
	XXH128_hash_t name;
	uint32_t generation; /* of the holder's record: a GONE of an older one is void */
	uint32_t what;	     /* enum directory_what */
};

/* An answer to one name of a lookup: the names of holders, since numbers mean nothing elsewhere. */
struct directory_found {
	uint16_t n;
	uint64_t holder[DIRECTORY_HOLDERS]; /* struct member's hash; best first */
};

struct directory;

/*
 * How messages go out. Each returns false where the message could not be taken (no link, no room):
 * then it is as if it were lost, and directory.c knows what to do. None may call back into the
 * directory before it returns.
 */
struct directory_post {
	bool (*announce)(void *context, uint16_t to, const struct directory_record *records,
		unsigned n);
	bool (*ask)(void *context, uint16_t to, uint64_t id, const XXH128_hash_t *names,
		unsigned n);
	bool (*answer)(void *context, uint16_t to, uint64_t id,
		const struct directory_found *found, unsigned n);
	/*
	 * The next entries of this broker from *cursor (0: the first) on, about @n of them: calls
	 * directory_held() for each, and moves *cursor on; 0 when that was all. An entry that is
	 * there from the first call to the last is seen at least once.
	 */
	void (*walk)(void *context, uint64_t *cursor, unsigned n);
};

struct directory_options {
	struct membership *members; /* outlives the directory */
	const struct directory_post *post;
	void *context;	     /* of @post */
	uint64_t size_max;   /* bytes of the shard's table, at most; at least 64 KiB; up to 128 GiB */
	unsigned batch_ms;   /* how long an announcement may wait for company */
	unsigned walk_n;     /* entries a tick announced again, at most; 0: a default */
};

/* 0 or -ENOMEM, -EINVAL. */
int directory_new(struct directory **d, const struct directory_options *options);
/* Queries under way end first: done() with no holders for what is open. */
void directory_free(struct directory *d);

/* --- holder ----------------------------------------------------------------------------------- */

void directory_held(struct directory *d, XXH128_hash_t name, uint32_t generation);
void directory_gone(struct directory *d, XXH128_hash_t name, uint32_t generation);

/*
 * Announce all again to @shard, or to all for MEMBER_NONE: events were lost, or that shard has lost
 * what it knew (its link came up again).
 */
void directory_again(struct directory *d, uint16_t shard);

/*
 * Send what has waited long enough, go on with what is announced again, end queries whose time is
 * over. @now_ms is CLOCK_MONOTONIC. Returns in how many ms it wants to be called again, -1: not
 * before something happens.
 */
int directory_tick(struct directory *d, uint64_t now_ms);

/* --- shard ------------------------------------------------------------------------------------ */

/* What came from @from, a member; counts and values are checked by who took it off the wire. */
void directory_hear(struct directory *d, uint16_t from, const struct directory_record *records,
	unsigned n);
/* False: it was not answered, as @from is no member here, or the answer could not be taken. */
bool directory_asked(struct directory *d, uint16_t from, uint64_t id, const XXH128_hash_t *names,
	unsigned n);

/* --- requester -------------------------------------------------------------------------------- */

/* The caller's, from directory_locate() until done() was called for each name. */
struct directory_query {
	const XXH128_hash_t *names; /* stay until then */
	unsigned n;		    /* up to DIRECTORY_BATCH */
	uint64_t deadline_ms;
	/*
	 * Once for each name, in any order, maybe before directory_locate() returns: numbers of the
	 * members that are said to hold it, best first. None: nobody is known to, or the shard did
	 * not answer (*is_known tells the two apart).
	 */
	void (*done)(struct directory_query *q, unsigned i, const uint16_t *holders,
		unsigned n_holders, bool is_known);
	unsigned n_open;	  /* the directory's */
	struct directory_ask *asks; /* the directory's */
};

/*
 * Asks each shard at most once for all of its names. Those this broker is in charge of cost no
 * message.
 */
void directory_locate(struct directory *d, struct directory_query *q);

/* Call done() no more for it. Not from within a done(). */
void directory_forget(struct directory *d, struct directory_query *q);

/* The answer to the lookup @id that was sent to @from; any other is ignored. */
void directory_answered(struct directory *d, uint16_t from, uint64_t id,
	const struct directory_found *found, unsigned n);

/* --- members ---------------------------------------------------------------------------------- */

/*
 * To be called from the membership's callback with the same arguments: forgets who left, ends what
 * was asked of him, and announces again what has another shard now.
 */
void directory_changed(struct directory *d, enum membership_event event, uint16_t number);

/*
 * The link to @member is down: what was asked of it ends; what is for it waits to be announced
 * again.
 */
void directory_down(struct directory *d, uint16_t member);

struct directory_stats {
	uint64_t n_records, size; /* of the shard's table: in use, and bytes of it */
	uint64_t n_heard, n_dropped; /* records that came, and that were pushed out of a full table */
	uint64_t n_announced, n_again; /* records sent, and times that all was to be announced again */
	uint64_t n_asked, n_unanswered; /* lookups sent, and those that got no answer */
};
void directory_stats(const struct directory *d, struct directory_stats *stats);

/* For how many names the shard here has noted the member @number as a holder. */
uint64_t directory_n_records(const struct directory *d, uint16_t number);

#endif
