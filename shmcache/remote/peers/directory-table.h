/* SPDX-License-Identifier: Apache-2.0 */
/* directory-table.h: what a shard of the directory has noted: names and their holders. */
#ifndef SHMCACHE_REMOTE_PEERS_DIRECTORY_TABLE_H
#define SHMCACHE_REMOTE_PEERS_DIRECTORY_TABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "ipc/hash.h"
#include "shmcache/remote/peers/membership.h"

/*
 * Pairs of a name and a holder. Holders are numbers below DIRECTORY_PLACES: members', and one more
 * for this broker. Memory is taken as it is needed, and never beyond what was set: when that is
 * full, the pair that has been there longest makes way. One thread.
 */
#define DIRECTORY_SELF MEMBERS_MAX
#define DIRECTORY_PLACES (MEMBERS_MAX + 1)

/* 36 bytes a pair. */
struct directory_node {
	XXH128_hash_t name;
	uint32_t generation;
	uint32_t next;	  /* of the chain, or of the free list; 0: the end */
	uint16_t holder;
	uint16_t epoch;	  /* of the holder when it was noted */
	uint32_t is_used;
};

struct directory_table {
	struct directory_node *node; /* number 0 is none */
	uint32_t *head;		     /* of chains, by linear hashing */
	uint64_t n_heads;
	uint32_t n_nodes, n_nodes_max; /* ever used; that there may be */
	uint32_t free_node, hand;      /* the hand goes around and finds who has been there longest */
	uint64_t n_used, n_dropped;
	size_t node_size, head_size; /* of the reservations */
	struct {
		uint16_t epoch;
		bool is_rebuilding; /* the epoch before counts still */
		uint32_t n, n_before; /* pairs of this epoch, and of the one before if it counts */
	} holder[DIRECTORY_PLACES];
};

/* 0, -EINVAL or -ENOMEM. */
int directory_table_init(struct directory_table *t, uint64_t size_max);
void directory_table_deinit(struct directory_table *t);

void directory_table_note(
	struct directory_table *t, XXH128_hash_t name, uint16_t holder, uint32_t generation);
/* Unless what is noted is newer than @generation. */
void directory_table_drop(
	struct directory_table *t, XXH128_hash_t name, uint16_t holder, uint32_t generation);
/* Up to @max holders, the one heard of last first. */
unsigned directory_table_find(
	struct directory_table *t, XXH128_hash_t name, uint16_t *holders, unsigned max);

/* All that @holder has is void; or will be, but for what is noted between the two. At once. */
void directory_table_void(struct directory_table *t, uint16_t holder);
void directory_table_again(struct directory_table *t, uint16_t holder);
void directory_table_done(struct directory_table *t, uint16_t holder);

/* How many names @holder is noted for. */
uint32_t directory_table_n_of(const struct directory_table *t, uint16_t holder);

/* Bytes in use. */
uint64_t directory_table_size(const struct directory_table *t);

#endif
