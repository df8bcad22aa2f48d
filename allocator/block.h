/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks of 64 B to 1 GiB on the offsets [0, size) of one region. */
#ifndef ALLOCATOR_BLOCK_H
#define ALLOCATOR_BLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The allocator deals in offsets and never touches the region that they are
 * in: all of its books are private memory. A block is named by a u32 id that
 * stays the same for as long as the block is in use; 0 is no block. Blocks lie
 * side by side without a gap, in use or free, and no two free ones touch.
 *
 * Nothing in here locks. The caller serialises all calls on one allocator,
 * those that only read included; different allocators are independent.
 *
 * Sizes, offsets and alignments are bytes. A block id that does not name a
 * block (or names a free one where one in use is wanted) is a bug of the
 * caller's and aborts; ids therefore must never come from another process.
 */
struct block_allocator;

#define BLOCK_GRAIN 64u				/* sizes are rounded up to this */
#define BLOCK_SIZE_MAX (UINT64_C(1) << 30)
#define BLOCK_ALIGN_MAX (UINT64_C(2) << 20)
#define BLOCK_REGION_GRAIN 4096u		/* a region is a multiple of this */
#define BLOCK_REGION_MAX (UINT64_C(256) << 30)

/* Outcomes. */
enum {
	BLOCK_FULL = 1,		/* no free run of that size and alignment */
};

/*
 * Books for an empty region of region_size bytes. Address space for the worst
 * case (20 bytes for each 64 of the region) is taken at once, memory only as
 * blocks come to be.
 *
 * -EINVAL: region_size is 0, too large or no multiple of BLOCK_REGION_GRAIN;
 * -ENOMEM.
 */
int block_allocator_new(struct block_allocator **out, uint64_t region_size);

/* Drops the books, blocks in use included. Takes NULL. */
void block_allocator_free(struct block_allocator *a);

/*
 * Takes a free run of `size` bytes, rounded up to BLOCK_GRAIN, whose offset is
 * a multiple of `align`: 0 (means BLOCK_GRAIN) or a power of two up to
 * BLOCK_ALIGN_MAX, where less than BLOCK_GRAIN gives BLOCK_GRAIN. `owner` is
 * the caller's cookie, not 0. Constant time.
 *
 * BLOCK_FULL: nothing fits. Of the free runs that are below size + align and
 * 1/32 of that, some that would fit may be overlooked where many of about that
 * size are free, but never the one freed last nor the one that
 * block_window_find() named last.
 * -EINVAL: size is 0 or above BLOCK_SIZE_MAX, the alignment, or the owner.
 */
int block_alloc(struct block_allocator *a, uint64_t size, uint64_t align,
		uint32_t owner, uint32_t *block);

/* Gives a block in use back and joins it with free neighbours at once; the id
 * is void from here on. Constant time. */
void block_free(struct block_allocator *a, uint32_t block);

/*
 * Takes exactly [off, off + size), for rebuilding the books after a restart:
 * on a fresh allocator, with offsets that ascend from call to call. Constant
 * time.
 *
 * -EINVAL: overlaps or lies below an earlier one, leaves the region, is not
 * aligned to BLOCK_GRAIN, or size or owner are not legal. The books are as
 * before then, and the caller may go on with the next. -ENOMEM: out of ids.
 */
int block_restore(struct block_allocator *a, uint64_t off, uint64_t size,
		uint32_t owner, uint32_t *block);

/* Of any block, in use or free. The size is the rounded one. */
uint64_t block_offset(const struct block_allocator *a, uint32_t block);
uint64_t block_size(const struct block_allocator *a, uint32_t block);
bool block_is_free(const struct block_allocator *a, uint32_t block);

/* 0 for a free block; only a block in use may be given an owner, not 0. */
uint32_t block_owner(const struct block_allocator *a, uint32_t block);
void block_set_owner(struct block_allocator *a, uint32_t block, uint32_t owner);

/* The block at offset 0, and the physical neighbours: 0 beyond the ends. The
 * id of a free block holds only until the next alloc, free or restore. */
uint32_t block_first(const struct block_allocator *a);
uint32_t block_next(const struct block_allocator *a, uint32_t block);
uint32_t block_prev(const struct block_allocator *a, uint32_t block);

/*
 * What it would cost to evict the block of `owner`, of `size` bytes (rounded):
 * UINT64_MAX if it can't be, and otherwise anything up to BLOCK_COST_MAX
 * (above counts as that). Has to give the same answer each time it is asked
 * within one block_window_find(), and must not change the allocator.
 */
typedef uint64_t block_cost_fn(void *ctx, uint32_t owner, uint64_t size);

#define BLOCK_COST_MAX (UINT64_C(1) << 37)

/*
 * Evict-to-fit: the cheapest run of neighbouring blocks around `start` that,
 * were all of it free, would hold `size` bytes at `align` (as block_alloc()
 * takes them). It contains `start`, unless no such run can, and is near it then.
 * Looks at the blocks within size + 2 * align bytes to both sides of `start`,
 * asks for the cost of each at most twice, and changes no block.
 *
 * 0: evict and free what is in use from *first to *last (inclusive, along
 * block_next(); go there before the first is freed, for frees join). As long as
 * nobody else allocates or frees in between, block_alloc() then succeeds. Free
 * blocks may be in it, and it may be a single free one.
 * BLOCK_FULL: no run here without a block that can't be evicted; never while all
 * can be and the region is at least size + align large.
 * -EINVAL: size or align, as for block_alloc().
 */
int block_window_find(struct block_allocator *a, uint32_t start,
		uint64_t size, uint64_t align, block_cost_fn *cost, void *ctx,
		uint32_t *first, uint32_t *last);

struct block_stats {
	uint64_t size;		/* of the region */
	uint64_t used;		/* bytes in blocks in use, rounding included */
	uint64_t free;		/* size - used */
	uint64_t largest_free;	/* never above the truth, at most 1/32 below */
	uint64_t n_used;	/* blocks */
	uint64_t n_free;
	uint64_t books_size;	/* private memory touched so far, in bytes */
};

/* Constant time. */
void block_stats_get(const struct block_allocator *a, struct block_stats *out);

/*
 * Walks all books and compares each with each: 0, or -EUCLEAN with the first
 * contradiction in `why` (terminated; NULL with why_size 0: not wanted).
 * Linear in the number of blocks: for tests and after a restart.
 */
int block_check(const struct block_allocator *a, char *why, size_t why_size);

#endif
