/* SPDX-License-Identifier: Apache-2.0 */
/* The books of the block allocator; for allocator/block*.c alone. */
#ifndef ALLOCATOR_BLOCK_PRIVATE_H
#define ALLOCATOR_BLOCK_PRIVATE_H

#include "allocator/block.h"

#include <assert.h>

/*
 * Everything in here counts in units of BLOCK_GRAIN: a u32 covers any offset
 * below 256 GiB, but not the end of such a region, so ends and sizes are u64.
 */
#define UNIT_SHIFT 6
static_assert(BLOCK_GRAIN == 1u << UNIT_SHIFT, "a unit is a grain");
static_assert(BLOCK_REGION_MAX >> UNIT_SHIFT == UINT64_C(1) << 32,
	      "any offset in units fits a u32");

/*
 * One block.
 *
 *	nodes:  [0: none] [1] [2] [3] ... [n_nodes - 1] (untouched ...)
 *
 *	region: |  id 1   | id 7 |    id 3     | id 2 |   along next
 *		0         off                         n_units
 *
 * There is no size: a block ends where the next one starts, and a neighbour
 * that is looked at anyway when blocks are split and joined need not be kept
 * in step. `mark` tells the three states apart; as a list link it is an id.
 */
struct block_node {
	uint32_t off;
	uint32_t prev;		/* physical neighbours, 0 at the ends */
	uint32_t next;		/* of a spare node: the next spare one */
	union {
		uint32_t owner;		/* in use: not 0 */
		uint32_t list_prev;	/* free: 0 in the head of a list */
	};
	union {
		uint32_t mark;		/* MARK_USED, MARK_SPARE, or: */
		uint32_t list_next;	/* free: 0 in the last of a list */
	};
};
static_assert(sizeof(struct block_node) == 20, "the price of a block");

#define MARK_USED UINT32_MAX
#define MARK_SPARE (UINT32_MAX - 1)
#define NODES_MAX MARK_SPARE	/* ids are below the marks */

/*
 * Size classes. Up to 63 units each size has its own; above, each power of two
 * is cut into 32. Class = fl * 32 + sl:
 *
 *	fl 0: 0 .. 31 units	(0 stays empty)
 *	fl 1: 32 .. 63		one unit wide
 *	fl 2: 64 .. 127		two units wide, and so on
 *	fl 28: 2^32 ..		a 256 GiB region that is free in one piece
 */
#define SL_SHIFT 5
#define SL_COUNT (1u << SL_SHIFT)
#define FL_COUNT (32 - SL_SHIFT + 2)
#define CLASS_COUNT (FL_COUNT * SL_COUNT)

struct block_allocator {
	struct block_node *nodes;
	uint32_t n_nodes;	/* handed out so far, spare and [0] included */
	uint32_t nodes_max;
	uint32_t spare;		/* head of a stack of nodes, 0 if empty */
	uint32_t last;		/* the block that ends at n_units */
	uint64_t n_units;	/* the region */
	uint64_t used_units;
	uint64_t n_used;
	uint64_t n_free;
	uint64_t nodes_size;	/* bytes mapped at nodes */
	uint32_t fl_bits;	/* fl with any bit in sl_bits */
	uint32_t sl_bits[FL_COUNT];	/* classes with a list */
	uint32_t heads[CLASS_COUNT];	/* of the free lists */
};

/* The block at offset 0: splits leave the lower part its id, and joins keep
 * the lower one's. */
#define FIRST_BLOCK 1u

static inline uint64_t node_end(const struct block_allocator *a,
		const struct block_node *n)
{
	return n->next ? a->nodes[n->next].off : a->n_units;
}

static inline uint64_t node_units(const struct block_allocator *a,
		const struct block_node *n)
{
	return node_end(a, n) - n->off;
}

static inline bool node_is_used(const struct block_node *n)
{
	return n->mark == MARK_USED;
}

/* The class whose list a free block of so many units is on. */
static inline unsigned int class_of(uint64_t units)
{
	unsigned int msb;

	if (units < SL_COUNT)
		return (unsigned int)units;
	msb = 63 - (unsigned int)__builtin_clzll(units);
	/* units >> (msb - SL_SHIFT) is 32 .. 63: it carries one into fl. */
	return (msb - SL_SHIFT) * SL_COUNT +
	       (unsigned int)(units >> (msb - SL_SHIFT));
}

/* Makes a free block the first of its like that block_alloc() tries. */
void block_list_front(struct block_allocator *a, uint32_t id);

/* A request in units; false if it is none that block_alloc() takes. */
static inline bool request_units(uint64_t size, uint64_t align,
		uint64_t *size_units, uint64_t *align_units)
{
	if (!size || size > BLOCK_SIZE_MAX || align > BLOCK_ALIGN_MAX ||
	    (align & (align - 1)))
		return false;
	*size_units = (size + BLOCK_GRAIN - 1) >> UNIT_SHIFT;
	*align_units = align > BLOCK_GRAIN ? align >> UNIT_SHIFT : 1;
	return true;
}

static inline uint64_t round_up(uint64_t off, uint64_t align)
{
	return (off + align - 1) & ~(align - 1);
}

#endif
