/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Blocks on the offsets of one region: two-level segregated fit.
 *
 * The cache is full by design and stays so for weeks while the sizes that
 * people store change under it. Three things follow. Free space must be found
 * in constant time however cut up the region is, since every put asks for it.
 * What is freed must be joined at once, because the eviction that just freed
 * it did so to make one run out of several blocks, and the put behind it is
 * waiting. And slabs are out: memory once given to a size class would have to
 * be won back from it when the load shifts, which is what makes other caches
 * fail puts with memory to spare.
 *
 * TLSF (Masmano, Ripoll, Crespo, Real: "TLSF: a new dynamic memory allocator
 * for real-time systems", 2004) has the first two: free blocks hang on lists by
 * size class, two levels of bitmaps find the next list that is not empty with
 * two bit scans, and neighbours are known, so joining is constant time too.
 *
 * What differs here from the paper:
 *
 * - The books are apart from the blocks. The region is written by clients, may
 *   be slow CXL memory, and outlives the broker; a header in it would be a
 *   secret told to anyone who can write. Hence nodes in private memory, by
 *   number and not by pointer, 20 bytes a block.
 *
 * - The paper's search rounds a request up to the next class, so that any block
 *   there fits, and overlooks those in the request's own class that would. That
 *   is fine for a heap; here the one run that evict-to-fit just made is exactly
 *   as large as needed and sits in that very class. So a few heads of the own
 *   class (and, for a large alignment, of those up to size + alignment) are
 *   tried too: some first, since they fit best, the rest when all else failed.
 *   Lists are last-in, first-out, which makes the run just freed the first
 *   one tried.
 *
 * - The front of a run that an alignment skips goes back to the lists as a free
 *   block of its own, and is not lost within the block.
 */
#include "allocator/block-private.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#define LOOK_FIRST 4	/* blocks of the own class that are tried at first */
#define LOOK_LAST 32	/* blocks of each class before giving up */

static void list_add(struct block_allocator *a, uint32_t id)
{
	struct block_node *n = &a->nodes[id];
	unsigned int class = class_of(node_units(a, n));
	uint32_t head = a->heads[class];

	n->list_prev = 0;
	n->list_next = head;
	if (head)
		a->nodes[head].list_prev = id;
	a->heads[class] = id;
	a->sl_bits[class / SL_COUNT] |= 1u << class % SL_COUNT;
	a->fl_bits |= 1u << class / SL_COUNT;
	a->n_free++;
}

/* Wants the size that the block was added with. */
static void list_del(struct block_allocator *a, uint32_t id)
{
	struct block_node *n = &a->nodes[id];

	a->n_free--;
	if (n->list_next)
		a->nodes[n->list_next].list_prev = n->list_prev;
	if (n->list_prev) {
		a->nodes[n->list_prev].list_next = n->list_next;
	} else {
		unsigned int class = class_of(node_units(a, n));
		unsigned int fl = class / SL_COUNT;

		a->heads[class] = n->list_next;
		if (n->list_next)
			return;
		a->sl_bits[fl] &= ~(1u << class % SL_COUNT);
		if (!a->sl_bits[fl])
			a->fl_bits &= ~(1u << fl);
	}
}

void block_list_front(struct block_allocator *a, uint32_t id)
{
	list_del(a, id);
	list_add(a, id);
}

/* The first class from `class` on that has a list; CLASS_COUNT if none. */
static unsigned int class_next(const struct block_allocator *a, unsigned int class)
{
	unsigned int fl = class / SL_COUNT;
	uint32_t bits;

	if (class >= CLASS_COUNT)
		return CLASS_COUNT;
	bits = a->sl_bits[fl] & (UINT32_MAX << class % SL_COUNT);
	if (!bits) {
		bits = a->fl_bits & (UINT32_MAX << fl << 1);
		if (!bits)
			return CLASS_COUNT;
		fl = (unsigned int)__builtin_ctz(bits);
		bits = a->sl_bits[fl];
	}
	return fl * SL_COUNT + (unsigned int)__builtin_ctz(bits);
}

/* The lowest class all of whose blocks have at least so many units. */
static unsigned int class_above(uint64_t units)
{
	unsigned int msb;

	if (units >= SL_COUNT) {
		msb = 63 - (unsigned int)__builtin_clzll(units);
		units += (UINT64_C(1) << (msb - SL_SHIFT)) - 1;
	}
	return class_of(units);
}

static bool node_fits(const struct block_allocator *a, const struct block_node *n,
		uint64_t units, uint64_t align)
{
	return round_up(n->off, align) + units <= node_end(a, n);
}

/* The first of up to `limit` blocks on a list that the request fits into. */
static uint32_t class_look(const struct block_allocator *a, unsigned int class,
		uint64_t units, uint64_t align, unsigned int limit)
{
	uint32_t id;

	for (id = a->heads[class]; id && limit--; id = a->nodes[id].list_next)
		if (node_fits(a, &a->nodes[id], units, align))
			return id;
	return 0;
}

/* A free block that the request fits into, good but not best; 0 if none. */
static uint32_t fit_find(const struct block_allocator *a, uint64_t units,
		uint64_t align)
{
	unsigned int own = class_of(units), class;
	unsigned int sure = class_above(units + align - 1);
	uint32_t id;

	if (own != sure) {
		id = class_look(a, own, units, align, LOOK_FIRST);
		if (id)
			return id;
	}
	class = class_next(a, sure);
	if (class < CLASS_COUNT)
		return a->heads[class];
	for (class = class_next(a, own); class < sure;
	     class = class_next(a, class + 1)) {
		id = class_look(a, class, units, align, LOOK_LAST);
		if (id)
			return id;
	}
	return 0;
}

/* 0 if there is none left: only a region of 256 GiB in grains gets there. */
static uint32_t node_take(struct block_allocator *a)
{
	uint32_t id = a->spare;

	if (id) {
		a->spare = a->nodes[id].next;
		return id;
	}
	if (a->n_nodes == a->nodes_max)
		return 0;
	return a->n_nodes++;
}

static void node_give(struct block_allocator *a, uint32_t id)
{
	a->nodes[id].mark = MARK_SPARE;
	a->nodes[id].next = a->spare;
	a->spare = id;
}

/* Cuts block `id`, on no list, at `off` inside it; the upper part gets a node
 * of its own, on no list either and without a mark. 0: out of nodes. */
static uint32_t node_split(struct block_allocator *a, uint32_t id, uint64_t off)
{
	uint32_t upper = node_take(a);
	struct block_node *n = &a->nodes[id];

	if (!upper)
		return 0;
	a->nodes[upper].off = (uint32_t)off;
	a->nodes[upper].prev = id;
	a->nodes[upper].next = n->next;
	if (n->next)
		a->nodes[n->next].prev = upper;
	else
		a->last = upper;
	n->next = upper;
	return upper;
}

/* Joins block `id` with the one above it, whose node is given back. Both are on
 * no list. */
static void node_join(struct block_allocator *a, uint32_t id)
{
	uint32_t upper = a->nodes[id].next;
	uint32_t next = a->nodes[upper].next;

	a->nodes[id].next = next;
	if (next)
		a->nodes[next].prev = id;
	else
		a->last = id;
	node_give(a, upper);
}

/*
 * Makes [off, off + units) of the free block `id` a block in use. What is left
 * in front and behind stays free. Without a node for the rest behind, the block
 * gets it too; without one for the front, nothing happens and 0 is returned.
 */
static uint32_t node_carve(struct block_allocator *a, uint32_t id, uint64_t off,
		uint64_t units, uint32_t owner)
{
	struct block_node *n;
	uint32_t rest;

	list_del(a, id);
	if (off > a->nodes[id].off) {
		uint32_t upper = node_split(a, id, off);

		list_add(a, id);
		if (!upper)
			return 0;
		id = upper;
	}
	n = &a->nodes[id];
	if (node_end(a, n) > off + units) {
		rest = node_split(a, id, off + units);
		if (rest)
			list_add(a, rest);
	}
	n->owner = owner;
	n->mark = MARK_USED;
	a->n_used++;
	a->used_units += node_units(a, n);
	return id;
}

int block_alloc(struct block_allocator *a, uint64_t size, uint64_t align,
		uint32_t owner, uint32_t *block)
{
	uint64_t units, align_units;
	uint32_t id;

	if (!owner || !request_units(size, align, &units, &align_units))
		return -EINVAL;
	id = fit_find(a, units, align_units);
	if (!id)
		return BLOCK_FULL;
	id = node_carve(a, id, round_up(a->nodes[id].off, align_units), units, owner);
	if (!id)
		return BLOCK_FULL;
	*block = id;
	return 0;
}

void block_free(struct block_allocator *a, uint32_t block)
{
	struct block_node *n = &a->nodes[block];

	assert(block && block < a->n_nodes && node_is_used(n));
	a->n_used--;
	a->used_units -= node_units(a, n);
	if (n->next && !node_is_used(&a->nodes[n->next])) {
		list_del(a, n->next);
		node_join(a, block);
	}
	if (n->prev && !node_is_used(&a->nodes[n->prev])) {
		block = n->prev;
		list_del(a, block);
		node_join(a, block);
	}
	list_add(a, block);
}

int block_restore(struct block_allocator *a, uint64_t off, uint64_t size,
		uint32_t owner, uint32_t *block)
{
	const struct block_node *n = &a->nodes[a->last];
	uint64_t units, align_units, off_units = off >> UNIT_SHIFT;
	uint32_t id;

	if (!owner || off % BLOCK_GRAIN ||
	    !request_units(size, 0, &units, &align_units))
		return -EINVAL;
	/* With offsets that ascend, all that is left is behind the last. */
	if (node_is_used(n) || off_units < n->off || off_units >= a->n_units ||
	    units > a->n_units - off_units)
		return -EINVAL;
	id = node_carve(a, a->last, off_units, units, owner);
	if (!id)
		return -ENOMEM;
	*block = id;
	return 0;
}

int block_allocator_new(struct block_allocator **out, uint64_t region_size)
{
	struct block_allocator *a;
	uint64_t nodes_max;

	if (!region_size || region_size > BLOCK_REGION_MAX ||
	    region_size % BLOCK_REGION_GRAIN)
		return -EINVAL;
	a = calloc(1, sizeof(*a));
	if (!a)
		return -ENOMEM;
	a->n_units = region_size >> UNIT_SHIFT;
	nodes_max = a->n_units + FIRST_BLOCK;
	a->nodes_max = nodes_max < NODES_MAX ? (uint32_t)nodes_max : NODES_MAX;
	a->nodes_size = (uint64_t)a->nodes_max * sizeof(*a->nodes);
	a->nodes = mmap(NULL, a->nodes_size, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (a->nodes == MAP_FAILED) {
		free(a);
		return -ENOMEM;
	}
	/* Nodes are visited at random; fewer TLB misses where the system lets
	 * us, and nothing lost where not. */
	madvise(a->nodes, a->nodes_size, MADV_HUGEPAGE);
	a->n_nodes = FIRST_BLOCK + 1;
	a->last = FIRST_BLOCK;
	list_add(a, FIRST_BLOCK);
	*out = a;
	return 0;
}

void block_allocator_free(struct block_allocator *a)
{
	if (!a)
		return;
	munmap(a->nodes, a->nodes_size);
	free(a);
}
