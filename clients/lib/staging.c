/* SPDX-License-Identifier: Apache-2.0 */
/* staging.c: a ring of bytes whose blocks are freed out of order. */
#include <errno.h>
#include <stdlib.h>

#include "clients/lib/staging.h"

/*
 * Requests are answered nearly in the order in which they were made, so what staging needs is a
 * ring and not an allocator. A block that is freed early only marks its line in the books; the
 * tail moves when the oldest is done. Blocks don't wrap: where the rest of the area is too short,
 * the head skips it, and it comes back with the block before. When nothing is out both ends go to
 * 0, so that the largest possible block always fits an idle lane.
 *
 * Blocks begin on cache lines of their own: the broker reads one while we write the next.
 */
#define STAGING_ALIGN 64U

int staging_init(struct staging *s, uint32_t size, uint32_t n_blocks_max)
{
	*s = (struct staging){.size = size, .n_blocks_max = n_blocks_max};
	s->block = calloc(n_blocks_max, sizeof(*s->block));
	return s->block ? 0 : -ENOMEM;
}

void staging_deinit(struct staging *s)
{
	free(s->block);
	s->block = NULL;
}

/* Where @size bytes fit; equal ends mean full, since an empty ring has been reset. */
static bool find_room(const struct staging *s, uint64_t size, uint32_t *off)
{
	if (s->n_blocks && s->head <= s->tail) {
		*off = s->head;
		return size <= s->tail - s->head;
	}
	*off = s->head;
	if (size <= s->size - s->head)
		return true;
	*off = 0;
	return s->n_blocks && size <= s->tail;
}

uint32_t staging_alloc(struct staging *s, uint64_t size, uint32_t *off)
{
	uint32_t block = (s->first + s->n_blocks) & (s->n_blocks_max - 1);

	if (s->n_blocks == s->n_blocks_max || !size || size > s->size)
		return STAGING_NONE;
	size = (size + STAGING_ALIGN - 1) & ~(uint64_t)(STAGING_ALIGN - 1);
	if (!find_room(s, size, off))
		return STAGING_NONE;
	s->head = *off + (uint32_t)size;
	s->block[block] = (struct staging_block){.off = *off};
	s->n_blocks++;
	return block;
}

void staging_free(struct staging *s, uint32_t block)
{
	if (block == STAGING_NONE)
		return;
	s->block[block].is_free = true;
	while (s->n_blocks && s->block[s->first].is_free) {
		s->first = (s->first + 1) & (s->n_blocks_max - 1);
		s->n_blocks--;
	}
	if (s->n_blocks)
		s->tail = s->block[s->first].off;
	else
		s->head = s->tail = 0;
}
