/* SPDX-License-Identifier: Apache-2.0 */
/* directory-impl.h: what directory.c and directory-ask.c share. */
#ifndef SHMCACHE_REMOTE_PEERS_DIRECTORY_IMPL_H
#define SHMCACHE_REMOTE_PEERS_DIRECTORY_IMPL_H

#include "shmcache/remote/peers/directory-table.h"
#include "shmcache/remote/peers/directory.h"

/* What is on its way to a member as a shard; the one of DIRECTORY_SELF has no batch. */
struct directory_shard {
	struct directory_record *batch; /* DIRECTORY_BATCH, or NULL yet */
	unsigned n;
	uint64_t since_ms; /* of the first in the batch */
	uint64_t retry_ms; /* is not told again before */
	bool is_member;
	bool is_wanted;	 /* has yet to be told all again */
	bool is_walking; /* is being told */
	bool is_down;
};

/* A lookup that was sent; by its id in one of the lists. */
struct directory_ask {
	struct directory_ask *next, **link;	     /* of the list */
	struct directory_ask *query_next, **query_link; /* of the query's */
	struct directory_query *query;
	uint64_t id, deadline_ms;
	uint16_t to;
	unsigned n;
	uint32_t idx[]; /* in the query's names */
};

#define DIRECTORY_ASK_LISTS 64

struct directory {
	struct directory_options options;
	struct directory_table table;
	struct directory_shard shard[DIRECTORY_PLACES];
	/* Who takes part in rendezvous hashing, this broker included. */
	uint16_t place[DIRECTORY_PLACES];
	uint64_t hash[DIRECTORY_PLACES];
	unsigned n_places;
	bool has_left; /* somebody, in the change that is being told */

	uint64_t cursor;
	unsigned n_walking;
	bool is_in_walk; /* what is announced comes from the walk */

	struct directory_ask *asks[DIRECTORY_ASK_LISTS];
	uint64_t next_id;
	uint64_t now_ms;
	struct directory_stats stats;

	struct directory_found found[DIRECTORY_BATCH]; /* an answer; too large for a stack */
};

uint16_t directory_shard_of(const struct directory *d, XXH128_hash_t name);

/* End what was asked of @to (MEMBER_NONE: of anybody) and is due at @now_ms, unanswered. */
void directory_end_asks(struct directory *d, uint16_t to, uint64_t now_ms);

/* UINT64_MAX: nothing is asked. */
uint64_t directory_next_deadline(const struct directory *d);

#endif
