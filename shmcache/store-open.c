/* SPDX-License-Identifier: Apache-2.0 */
/* store-open.c: starting with what a former broker left, or with nothing. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "shmcache/store.h"

/*
 * Index and tiers outlive the broker; the books on blocks, the free lists and what the policy knew
 * do not: they are private, so that no client can spoil them, and are rebuilt from the records. The
 * recency is lost with them, the entries are not.
 *
 * All or nothing: either index and tier are both there, of the right size and sound, or both are
 * made anew. A half would serve bytes that belong to another key.
 */
static int by_offset(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (x[0] > y[0]) - (x[0] < y[0]);
}

static bool is_within(const struct store *s, const struct abi_record *r)
{
	return r->tier < ABI_TIERS && r->value_size && r->value_size <= ABI_VALUE_SIZE_MAX &&
		r->value_off % ABI_VALUE_ALIGN == 0 && r->value_off < s->tier[r->tier].size &&
		r->value_size <= s->tier[r->tier].size - r->value_off;
}

/* Give the recovered records their blocks, in the order of offsets as the allocator wants it. */
static int restore_blocks(struct store *s, struct store_opened *opened)
{
	uint64_t (*place)[2], n = 0, i;
	char buffer[ABI_KEY_SIZE_MAX];
	struct abi_record *r;
	uint32_t cell, block;

	place = malloc((s->index.n_entries + 1) * sizeof(*place));
	if (!place)
		return -ENOMEM;
	for (cell = 1; cell < s->index.n_cells; cell++) {
		if (s->index.meta[cell].state != INDEX_PUBLISHED)
			continue;
		if (!is_within(s, &s->index.cell[cell])) {
			index_drop(&s->index, cell);
			opened->recovery.n_dropped++;
			continue;
		}
		place[n][0] = s->index.cell[cell].value_off;
		place[n++][1] = cell;
	}
	qsort(place, n, sizeof(*place), by_offset);
	for (i = 0; i < n; i++) {
		struct tier *tier;

		cell = (uint32_t)place[i][1];
		r = &s->index.cell[cell];
		tier = &s->tier[r->tier];
		if (block_restore(tier->blocks, r->value_off, r->value_size, cell, &block)) {
			index_drop(&s->index, cell);
			opened->n_overlapping++;
			continue;
		}
		index_set_block(&s->index, cell, block);
		tier->n_entries++;
		s->n_expiring += shared_u64_load(&r->expire_ms) != 0;
		store_admit_locked(s, cell, index_key_of(&s->index, cell, buffer).hash);
	}
	free(place);
	opened->recovery.n_found = s->index.n_entries;
	opened->recovery.n_dropped += opened->n_overlapping;
	return 0;
}

static int open_region(struct store *s, const struct store_options *o, unsigned number,
	enum region_mode mode, struct store_opened *opened, char *why, size_t why_size)
{
	struct region_options options = o->tier[number].region;
	struct tier *tier = &s->tier[number];
	int r;

	options.mode = mode;
	r = region_open(&tier->region, &options, why, why_size);
	if (r > 0)
		return -EUCLEAN;
	if (r)
		return r;
	if (region_lacks(tier->region))
		snprintf(opened->lacks[number], sizeof(opened->lacks[number]), "%s", why);
	tier->base = region_base(tier->region);
	tier->size = region_size(tier->region);
	return 0;
}

static bool has_tier(const struct store_options *o, unsigned number)
{
	return o->tier[number].region.size != 0;
}

static int open_regions(struct store *s, const struct store_options *o, enum region_mode mode,
	struct store_opened *opened, char *why, size_t why_size)
{
	unsigned i;
	int r = 0;

	for (i = 0; i < ABI_TIERS && !r; i++)
		if (has_tier(o, i))
			r = open_region(s, o, i, mode, opened, why, why_size);
	return r;
}

static int open_tier_books(struct store *s, struct tier *tier, const char *policy, char *why,
	size_t why_size)
{
	int r = block_allocator_new(&tier->blocks, tier->size);

	if (!r)
		r = policy_new(&tier->policy, policy, tier->size,
			(uint32_t)s->index.head->n_cells_max);
	if (r == -ENOENT)
		snprintf(why, why_size, "there is no eviction policy \"%s\"", policy);
	else if (r)
		snprintf(why, why_size, "no memory for the books: %s", strerror(-r));
	return r;
}

static int open_books(struct store *s, const struct store_options *o, char *why, size_t why_size)
{
	size_t limbo = s->index.head->n_cells_max * sizeof(*s->limbo.cell);
	unsigned i;
	int r = 0;

	for (i = 0; i < ABI_TIERS && !r; i++)
		if (has_tier(o, i))
			r = open_tier_books(s, &s->tier[i], o->tier[i].policy, why, why_size);
	if (r)
		return r;
	s->limbo.cell = mmap(NULL, limbo, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (s->limbo.cell == MAP_FAILED) {
		s->limbo.cell = NULL;
		snprintf(why, why_size, "no memory for the books: %s", strerror(errno));
		return -ENOMEM;
	}
	return 0;
}

static void close_parts(struct store *s, bool unlink)
{
	struct tier *tier;

	if (s->limbo.cell)
		munmap(s->limbo.cell, s->index.head->n_cells_max * sizeof(*s->limbo.cell));
	for (tier = s->tier; tier < s->tier + ABI_TIERS; tier++) {
		policy_free(tier->policy);
		block_allocator_free(tier->blocks);
		region_close(tier->region, unlink);
	}
	if (s->index.head)
		index_close(&s->index, unlink);
	memset(s->tier, 0, sizeof(s->tier));
	memset(&s->limbo, 0, sizeof(s->limbo));
}

static int open_warm(struct store *s, const struct store_options *o, struct store_opened *opened,
	char *why, size_t why_size)
{
	int r;

	r = index_reuse(&s->index, o->index_name, o->index_size_max, o->tier[ABI_TIER_DRAM].region.size,
		o->tier[ABI_TIER_CXL].region.size, why, why_size);
	if (r)
		return r;
	r = index_recover(&s->index, &opened->recovery, why, why_size);
	if (!r)
		r = open_regions(s, o, REGION_REUSE, opened, why, why_size);
	if (!r)
		r = open_books(s, o, why, why_size);
	if (!r)
		r = restore_blocks(s, opened);
	if (r)
		close_parts(s, false);
	return r;
}

static int open_cold(struct store *s, const struct store_options *o, struct store_opened *opened,
	char *why, size_t why_size)
{
	unsigned i;
	int r;

	/* Whoever still maps the old objects keeps them; under the names there is new memory. */
	region_unlink(o->index_name);
	for (i = 0; i < ABI_TIERS; i++)
		if (o->tier[i].region.name)
			region_unlink(o->tier[i].region.name);
	r = open_regions(s, o, REGION_CREATE, opened, why, why_size);
	if (!r)
		r = index_create(&s->index, o->index_name, o->index_size_max,
			o->tier[ABI_TIER_DRAM].region.size, o->tier[ABI_TIER_CXL].region.size, why,
			why_size);
	if (!r)
		r = open_books(s, o, why, why_size);
	if (r)
		close_parts(s, true);
	return r;
}

/*
 * What the machine lacks now says nothing about what is there: a broker that can't start leaves a cache
 * to the next, one that starts empty has none to leave.
 */
static bool is_passing(int error)
{
	return error == -ENOMEM || error == -EMFILE || error == -ENFILE || error == -EAGAIN ||
		error == -ENOSPC;
}

int store_open(struct store *s, const struct store_options *o, struct store_opened *opened, char *why,
	size_t why_size)
{
	int r = -ENOENT;

	memset(opened, 0, sizeof(*opened));
	memset(&s->index, 0, sizeof(s->index));
	memset(s->tier, 0, sizeof(s->tier));
	memset(&s->limbo, 0, sizeof(s->limbo));
	pthread_mutex_init(&s->lock, NULL);
	pthread_mutex_init(&s->reclaim_lock, NULL);
	s->batch = o->batch ? o->batch : 1;
	s->has_membarrier = store_can_membarrier();
	s->pinned_size = s->reserved_size = s->n_expiring = s->sweep_cell = 0;
	s->policy_books = 0;
	s->round = 0;

	why[0] = '\0';
	if (o->reuse) {
		r = open_warm(s, o, opened, why, why_size);
		opened->warm = r == 0;
		if (r)
			snprintf(opened->cold_why, sizeof(opened->cold_why), "%s", why);
	}
	if (o->reuse && is_passing(r))
		goto out;
	if (r) {
		s->n_expiring = 0;
		memset(&opened->recovery, 0, sizeof(opened->recovery));
		r = open_cold(s, o, opened, why, why_size);
	}
out:
	if (r) {
		pthread_mutex_destroy(&s->lock);
		pthread_mutex_destroy(&s->reclaim_lock);
	}
	return r;
}

void store_close(struct store *s, bool unlink)
{
	close_parts(s, unlink);
	pthread_mutex_destroy(&s->lock);
	pthread_mutex_destroy(&s->reclaim_lock);
}
