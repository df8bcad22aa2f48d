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
struct place {
	uint64_t off;
	uint32_t cell;
	uint8_t tier;
	bool is_published;
};

/* What is published comes first where two begin at one offset. */
static int by_offset(const void *a, const void *b)
{
	const struct place *x = a, *y = b;

	if (x->tier != y->tier)
		return x->tier < y->tier ? -1 : 1;
	if (x->off != y->off)
		return x->off < y->off ? -1 : 1;
	return y->is_published - x->is_published;
}

static bool is_within(const struct store *s, const struct abi_record *r)
{
	return r->tier < ABI_TIERS && r->value_size && r->value_size <= ABI_VALUE_SIZE_MAX &&
		r->value_off % ABI_VALUE_ALIGN == 0 && r->value_off < s->tier[r->tier].size &&
		r->value_size <= s->tier[r->tier].size - r->value_off;
}

/* It has no block: an entry that is none, or a retired record that nobody can be reading. */
static void drop(struct store *s, struct store_opened *opened, uint32_t cell)
{
	if (s->index.meta[cell].state == INDEX_PUBLISHED) {
		index_drop(&s->index, cell);
		opened->recovery.n_dropped++;
	} else {
		index_free(&s->index, cell);
		opened->recovery.n_marked--;
	}
}

/* Where all lie that claim a block, in the order of offsets. Returns how many. */
static uint64_t find_places(struct store *s, struct store_opened *opened, struct place *place)
{
	uint64_t n = 0;
	uint32_t cell;
	uint8_t state;

	for (cell = 1; cell < s->index.n_cells; cell++) {
		state = s->index.meta[cell].state;
		if (state != INDEX_PUBLISHED && state != INDEX_RETIRED)
			continue;
		if (!is_within(s, &s->index.cell[cell])) {
			drop(s, opened, cell);
			continue;
		}
		place[n].off = s->index.cell[cell].value_off;
		place[n].cell = cell;
		place[n].tier = s->index.cell[cell].tier;
		place[n++].is_published = state == INDEX_PUBLISHED;
	}
	qsort(place, n, sizeof(*place), by_offset);
	return n;
}

/*
 * Blocks are given from the lowest up, so a retired record that reaches into the next entry would
 * take that one's place. It is not what it says: nothing is published over what may be held.
 */
static uint64_t drop_overlapping(
	struct store *s, struct store_opened *opened, struct place *place, uint64_t n)
{
	uint64_t i, kept = n, next = UINT64_MAX;

	for (i = n; i-- > 0;) {
		if (i + 1 < n && place[i].tier != place[i + 1].tier)
			next = UINT64_MAX;
		if (place[i].is_published) {
			next = place[i].off;
		} else if (place[i].off + s->index.cell[place[i].cell].value_size > next) {
			drop(s, opened, place[i].cell);
			continue;
		}
		place[--kept] = place[i];
	}
	return kept;
}

static void restore_block(struct store *s, struct store_opened *opened, uint32_t cell)
{
	const struct abi_record *r = &s->index.cell[cell];
	struct tier *tier = &s->tier[r->tier];
	char buffer[ABI_KEY_SIZE_MAX];
	uint32_t block;

	if (block_restore(tier->blocks, r->value_off, r->value_size, cell, &block)) {
		opened->n_overlapping++;
		drop(s, opened, cell);
		return;
	}
	index_set_block(&s->index, cell, block);
	if (s->index.meta[cell].state == INDEX_RETIRED) {
		tier->limbo_size += block_size(tier->blocks, block);
		s->limbo.cell[s->limbo.n++] = cell;
		return;
	}
	tier->n_entries++;
	s->n_expiring += abi_record_expire_ms(r) != 0;
	store_admit_locked(s, cell, index_key_of(&s->index, cell, buffer).hash, false);
}

/* Give the recovered records their blocks, in the order of offsets as the allocator wants it. */
static int restore_blocks(struct store *s, struct store_opened *opened)
{
	uint64_t n = s->index.n_entries + opened->recovery.n_marked, i;
	struct place *place = malloc((n + 1) * sizeof(*place));

	if (!place)
		return -ENOMEM;
	n = find_places(s, opened, place);
	for (i = drop_overlapping(s, opened, place, n); i < n; i++)
		restore_block(s, opened, place[i].cell);
	free(place);
	opened->recovery.n_found = s->index.n_entries;
	s->former_generation = s->index.generation;
	return 0;
}

static int open_region(struct store *s, const struct store_options *o, unsigned number,
	enum region_mode mode, struct store_opened *opened, char *why, size_t why_size)
{
	struct region_options options = o->tier[number].region;
	struct tier *tier = &s->tier[number];
	int r;

	options.mode = mode;
	/* Of a device: it may have been another's since, with our marks on it. */
	if (mode == REGION_REUSE && number == ABI_TIER_CXL)
		memcpy(options.identity, s->index.head->cxl_identity, sizeof(options.identity));
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
	struct policy *above = s->tier[ABI_TIER_DRAM].policy;
	int r = block_allocator_new(&tier->blocks, tier->size);

	if (!r && above)
		r = policy_new_below(&tier->policy, policy, above, tier->size);
	else if (!r)
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
	size_t limbo = 2 * s->index.head->n_cells_max * sizeof(*s->limbo.cell);
	unsigned i;
	int r = 0;

	for (i = 0; i < ABI_TIERS && !r; i++)
		if (has_tier(o, i))
			r = open_tier_books(s, &s->tier[i], o->tier[i].policy, why, why_size);
	if (!r && tiering_init(&s->tiering, &o->tiering, s->tier, s->index.head->n_cells_max)) {
		snprintf(why, why_size, "no memory for the books: %s", strerror(ENOMEM));
		r = -ENOMEM;
	}
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
		munmap(s->limbo.cell, 2 * s->index.head->n_cells_max * sizeof(*s->limbo.cell));
	for (tier = s->tier; tier < s->tier + ABI_TIERS; tier++) {
		policy_free(tier->policy);
		block_allocator_free(tier->blocks);
		region_close(tier->region, unlink);
	}
	if (s->index.head)
		index_close(&s->index, unlink);
	tiering_deinit(&s->tiering);
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
	if (!r && s->tier[ABI_TIER_CXL].region)
		memcpy(s->index.head->cxl_identity, region_identity(s->tier[ABI_TIER_CXL].region),
			sizeof(s->index.head->cxl_identity));
	if (!r)
		r = open_books(s, o, why, why_size);
	if (r)
		close_parts(s, true);
	return r;
}

/*
 * What the machine lacks now says nothing about what is there: a broker that can't start leaves a
 * cache to the next, one that starts empty has none to leave.
 */
static bool is_passing(int error)
{
	return error == -ENOMEM || error == -EMFILE || error == -ENFILE || error == -EAGAIN ||
		error == -ENOSPC || error == -EBUSY || error == -ENXIO || error == -ENODEV;
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
	pthread_cond_init(&s->move_wanted, NULL);
	memset(&s->tiering, 0, sizeof(s->tiering));
	s->moves = NULL;
	memset(s->fill, 0, sizeof(s->fill));
	s->n_fills = 0;
	s->deliveries = NULL;
	store_events_init(&s->events);
	atomic_init(&s->is_mover_stopping, false);
	s->batch = o->batch ? o->batch : 1;
	s->has_membarrier = store_can_membarrier();
	s->pinned_size = s->reserved_size = s->n_expiring = s->sweep_cell = 0;
	s->policy_books = 0;
	s->keep = STORE_KEEP_NOTHING;
	s->former_generation = 0;
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
		pthread_cond_destroy(&s->move_wanted);
	}
	return r;
}

/* Of sessions that a broker which is to come back did not take leave of. */
static void forget_deliveries(struct store *s)
{
	struct store_delivery *delivery;

	while ((delivery = s->deliveries)) {
		s->deliveries = delivery->next;
		free(delivery);
	}
}

void store_close(struct store *s, bool unlink)
{
	close_parts(s, unlink);
	forget_deliveries(s);
	store_events_deinit(&s->events);
	pthread_mutex_destroy(&s->lock);
	pthread_mutex_destroy(&s->reclaim_lock);
	pthread_cond_destroy(&s->move_wanted);
}
