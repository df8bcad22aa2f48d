/* SPDX-License-Identifier: Apache-2.0 */
/* staging.h: the staging area of a lane, given out as a ring of bytes. */
#ifndef CLIENTS_LIB_STAGING_H
#define CLIENTS_LIB_STAGING_H

#include <stdbool.h>
#include <stdint.h>

#define STAGING_NONE UINT32_MAX

/*
 * Blocks are taken in order at the head and freed in any order; room comes back at the tail. By the
 * lane's thread alone.
 *
 *	0        tail           head      size
 *	+--------+--------------+---------+
 *	|  free  | oldest .. newest  free |     or wrapped: | newest head  free  tail oldest .. |
 *	+--------+--------------+---------+
 */
struct staging {
	uint32_t size;
	uint32_t head, tail;
	uint32_t n_blocks, n_blocks_max, first; /* the books, a ring of their own */
	struct staging_block *block;
};

struct staging_block {
	uint32_t off;
	bool is_free;
};

/* @n_blocks_max is how many blocks can be out at once, a power of two. 0 or -ENOMEM. */
int staging_init(struct staging *s, uint32_t size, uint32_t n_blocks_max);
void staging_deinit(struct staging *s);

/*
 * Take @size bytes in a row, aligned to 64. Returns the block's handle for staging_free() and its
 * offset, or STAGING_NONE when there is no room.
 */
uint32_t staging_alloc(struct staging *s, uint64_t size, uint32_t *off);

/* Give a block back; STAGING_NONE is ignored. */
void staging_free(struct staging *s, uint32_t block);

#endif
