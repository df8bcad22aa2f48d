/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether the books of the block allocator agree with themselves.
 *
 * The same fact is kept in several places so that each operation finds it in
 * constant time: that a block is free stands in its mark, in a list, in two
 * bitmaps and in the totals. Each is counted here on its own, from the region's
 * lowest offset up, from the list heads down and along the spare nodes, and the
 * counts have to meet. A walk that has taken more steps than there are nodes
 * goes in a circle; that bound is what ends it.
 *
 * Errors are -EUCLEAN, as file systems say of damaged structures.
 */
#include "allocator/block-private.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

struct check {
	const struct block_allocator *a;
	char *why;
	size_t why_size;
};

__attribute__((format(printf, 2, 3)))
static int check_fail(const struct check *c, const char *fmt, ...)
{
	va_list ap;

	if (c->why_size) {
		va_start(ap, fmt);
		vsnprintf(c->why, c->why_size, fmt, ap);
		va_end(ap);
	}
	return -EUCLEAN;
}

static bool id_is_known(const struct block_allocator *a, uint32_t id)
{
	return id && id < a->n_nodes;
}

/* One block, coming from its lower neighbour `prev` (0 for the first). */
static int check_block(const struct check *c, uint32_t id, uint32_t prev)
{
	const struct block_allocator *a = c->a;
	const struct block_node *n = &a->nodes[id];

	if (n->mark == MARK_SPARE)
		return check_fail(c, "block %u is in the region and spare", id);
	if (n->prev != prev)
		return check_fail(c, "block %u: prev is %u and not %u", id, n->prev, prev);
	if (!prev && n->off)
		return check_fail(c, "the first block starts at unit %u", n->off);
	if (prev && n->off <= a->nodes[prev].off)
		return check_fail(c, "block %u at unit %u does not ascend", id, n->off);
	if (n->next && !id_is_known(a, n->next))
		return check_fail(c, "block %u: next is %u of %u", id, n->next, a->n_nodes);
	if (n->off >= a->n_units)
		return check_fail(c, "block %u at unit %u is outside", id, n->off);
	if (node_is_used(n) && !n->owner)
		return check_fail(c, "block %u is in use by nobody", id);
	if (prev && !node_is_used(n) && !node_is_used(&a->nodes[prev]))
		return check_fail(c, "blocks %u and %u are free and not joined", prev, id);
	return 0;
}

/* From offset 0 up; *n_blocks is what was seen. */
static int check_region(const struct check *c, uint64_t *n_blocks)
{
	const struct block_allocator *a = c->a;
	uint64_t used_units = 0, n_used = 0, n_seen = 0;
	uint32_t id, prev = 0;
	int r;

	for (id = FIRST_BLOCK; id; id = a->nodes[id].next) {
		if (++n_seen >= a->n_nodes)
			return check_fail(c, "the neighbours go in a circle");
		r = check_block(c, id, prev);
		if (r)
			return r;
		if (node_is_used(&a->nodes[id])) {
			n_used++;
			used_units += node_units(a, &a->nodes[id]);
		}
		prev = id;
	}
	if (prev != a->last)
		return check_fail(c, "the last block is %u and not %u", prev, a->last);
	if (n_used != a->n_used || used_units != a->used_units)
		return check_fail(c, "%" PRIu64 " blocks of %" PRIu64
			" units are in use, the totals say %" PRIu64 " of %" PRIu64,
			n_used, used_units, a->n_used, a->used_units);
	if (n_seen - n_used != a->n_free)
		return check_fail(c, "%" PRIu64 " blocks are free, the total says %" PRIu64,
			n_seen - n_used, a->n_free);
	*n_blocks = n_seen;
	return 0;
}

/* One list; adds its length to *n_listed. */
static int check_list(const struct check *c, unsigned int class, uint64_t *n_listed)
{
	const struct block_allocator *a = c->a;
	uint32_t id, prev = 0;

	for (id = a->heads[class]; id; id = a->nodes[id].list_next) {
		const struct block_node *n;

		if (!id_is_known(a, id))
			return check_fail(c, "list %u leads to block %u of %u", class, id,
				a->n_nodes);
		n = &a->nodes[id];
		if (n->mark >= MARK_SPARE)
			return check_fail(c, "list %u: block %u is not free", class, id);
		if (n->list_prev != prev)
			return check_fail(c, "list %u: block %u follows %u, says %u",
				class, id, prev, n->list_prev);
		if (class_of(node_units(a, n)) != class)
			return check_fail(c, "list %u: block %u has %" PRIu64 " units",
				class, id, node_units(a, n));
		if (++*n_listed > a->n_free)
			return check_fail(c, "list %u: more than %" PRIu64 " are listed",
				class, a->n_free);
		prev = id;
	}
	return 0;
}

static int check_lists(const struct check *c)
{
	const struct block_allocator *a = c->a;
	uint64_t n_listed = 0;
	unsigned int class;
	int r;

	for (class = 0; class < CLASS_COUNT; class++) {
		unsigned int fl = class / SL_COUNT;
		bool bit = a->sl_bits[fl] >> class % SL_COUNT & 1;

		if (bit != !!a->heads[class])
			return check_fail(c, "list %u: the bit is %d, the head %u",
				class, bit, a->heads[class]);
		if ((a->fl_bits >> fl & 1) != !!a->sl_bits[fl])
			return check_fail(c, "level %u: the bits don't agree", fl);
		r = check_list(c, class, &n_listed);
		if (r)
			return r;
	}
	/* All listed are free, each stands on one list only (its prev is one),
	 * and there are as many as the region has: it is the same set. */
	if (n_listed != a->n_free)
		return check_fail(c, "%" PRIu64 " of %" PRIu64 " free blocks are listed",
			n_listed, a->n_free);
	return 0;
}

/* Every node handed out so far is in the region or spare. */
static int check_spare(const struct check *c, uint64_t n_blocks)
{
	const struct block_allocator *a = c->a;
	uint64_t n_spare = 0;
	uint32_t id;

	for (id = a->spare; id; id = a->nodes[id].next) {
		if (!id_is_known(a, id) || a->nodes[id].mark != MARK_SPARE)
			return check_fail(c, "block %u is among the spare ones", id);
		if (++n_spare >= a->n_nodes)
			return check_fail(c, "the spare nodes go in a circle");
	}
	if (n_blocks + n_spare + 1 != a->n_nodes)
		return check_fail(c, "%" PRIu64 " blocks and %" PRIu64
			" spare nodes, of %u", n_blocks, n_spare, a->n_nodes - 1);
	return 0;
}

int block_check(const struct block_allocator *a, char *why, size_t why_size)
{
	const struct check c = { a, why, why_size };
	uint64_t n_blocks = 0;
	int r;

	r = check_region(&c, &n_blocks);
	if (!r)
		r = check_lists(&c);
	if (!r)
		r = check_spare(&c, n_blocks);
	return r;
}
