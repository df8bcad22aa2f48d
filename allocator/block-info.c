/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the block allocator tells about single blocks and about itself.
 *
 * The index keeps a block id in each entry and not an offset and a size: these
 * are here, a load or two away, and eviction needs the neighbours as well. The
 * accessors check the id with an assertion, since an id that is off by one
 * would hand out another key's bytes.
 */
#include "allocator/block-private.h"

#include <unistd.h>

#define LARGEST_LOOK 32		/* blocks of the top class that are compared */

static const struct block_node *node_get(const struct block_allocator *a,
		uint32_t block)
{
	const struct block_node *n = &a->nodes[block];

	assert(block && block < a->n_nodes && n->mark != MARK_SPARE);
	return n;
}

uint64_t block_offset(const struct block_allocator *a, uint32_t block)
{
	return (uint64_t)node_get(a, block)->off << UNIT_SHIFT;
}

uint64_t block_size(const struct block_allocator *a, uint32_t block)
{
	return node_units(a, node_get(a, block)) << UNIT_SHIFT;
}

bool block_is_free(const struct block_allocator *a, uint32_t block)
{
	return !node_is_used(node_get(a, block));
}

uint32_t block_owner(const struct block_allocator *a, uint32_t block)
{
	const struct block_node *n = node_get(a, block);

	return node_is_used(n) ? n->owner : 0;
}

void block_set_owner(struct block_allocator *a, uint32_t block, uint32_t owner)
{
	assert(owner && node_is_used(node_get(a, block)));
	a->nodes[block].owner = owner;
}

uint32_t block_first(const struct block_allocator *a)
{
	(void)a;
	return FIRST_BLOCK;
}

uint32_t block_next(const struct block_allocator *a, uint32_t block)
{
	return node_get(a, block)->next;
}

uint32_t block_prev(const struct block_allocator *a, uint32_t block)
{
	return node_get(a, block)->prev;
}

/*
 * All blocks of the top class are within 1/32 of each other: comparing some of
 * them is enough, and a list that is long there is one of many equal blocks.
 */
static uint64_t largest_free_units(const struct block_allocator *a)
{
	uint64_t largest = 0, units;
	unsigned int fl, sl, n = 0;
	uint32_t id;

	if (!a->fl_bits)
		return 0;
	fl = 31 - (unsigned int)__builtin_clz(a->fl_bits);
	sl = 31 - (unsigned int)__builtin_clz(a->sl_bits[fl]);
	for (id = a->heads[fl * SL_COUNT + sl]; id && n < LARGEST_LOOK;
	     id = a->nodes[id].list_next, n++) {
		units = node_units(a, &a->nodes[id]);
		if (units > largest)
			largest = units;
	}
	return largest;
}

void block_stats_get(const struct block_allocator *a, struct block_stats *out)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);

	*out = (struct block_stats){
		.size = a->n_units << UNIT_SHIFT,
		.used = a->used_units << UNIT_SHIFT,
		.free = (a->n_units - a->used_units) << UNIT_SHIFT,
		.largest_free = largest_free_units(a) << UNIT_SHIFT,
		.n_used = a->n_used,
		.n_free = a->n_free,
		.books_size = sizeof(*a) +
			      round_up(a->n_nodes * sizeof(*a->nodes), page),
	};
}
