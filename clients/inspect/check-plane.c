/* SPDX-License-Identifier: Apache-2.0 */
/* check-plane.c: the plane, the counters against each other, and against what was seen. */
#include <inttypes.h>
#include <string.h>

#include "clients/inspect/check.h"

/*
 * Counters are written by many threads and read one by one, so an inequality between two of them
 * holds if the one that may not be larger is read first; hence the copy before the walk and the
 * numbers after it. A thread may stand between what it did and its count, and a few count a batch
 * at once: that much is always allowed, unless all workers sleep, which they do with everything
 * counted and told.
 */
#define BATCH 512 /* done by one thread and not yet counted, at most */

void check_plane(const struct image *image, struct findings *f)
{
	const struct abi_plane *p = image->plane;
	uint32_t state = shared_u32_load_acquire(&p->state);
	uint32_t n_workers = shared_u32_load(&p->n_workers), i;

	if (state > ABI_STATE_DRAINING)
		findings_add(f, "plane", "the state is %" PRIu32 ", which there is not", state);
	if (!n_workers || n_workers > ABI_WORKERS_MAX)
		findings_add(f, "plane", "there are %" PRIu32 " workers", n_workers);
	if (strnlen(p->name, sizeof(p->name)) > ABI_NAME_MAX || strcmp(p->name, image->name))
		findings_add(f, "plane", "the plane has another name");
	if (!memchr(p->socket_path, 0, sizeof(p->socket_path)))
		findings_add(f, "plane", "the path of the socket has no end");
	if (image->n_lines < p->n_sessions_max || p->size != image->plane_area.size)
		findings_add(f, "plane", "%" PRIu64 " bytes have no room for %" PRIu32
			" sessions, or are not the %" PRIu64 " that it tells of",
			image->plane_area.size, p->n_sessions_max, p->size);
	for (i = 0; i < ABI_THREADS; i++)
		if (shared_u32_load(&p->worker[i].need_wakeup) > 1)
			findings_add(f, "plane", "need_wakeup of worker %" PRIu32 " is %" PRIu32, i,
				shared_u32_load(&p->worker[i].need_wakeup));
}

void check_activity_take(const struct image *image, struct check_activity *a)
{
	uint32_t n = shared_u32_load(&image->plane->n_workers), i;

	a->epoch = shared_u64_load_acquire(&image->plane->epoch);
	a->all_asleep = true;
	for (i = 0; i < n && i < ABI_WORKERS_MAX; i++)
		if (!shared_u32_load(&image->plane->worker[i].need_wakeup))
			a->all_asleep = false;
	/* Who moves between two tiers, too. */
	if (image_tier_size(image, ABI_TIER_CXL) &&
		!shared_u32_load(&image->plane->worker[ABI_MOVER].need_wakeup))
		a->all_asleep = false;
	for (i = 0; i < ABI_N_COUNTERS; i++)
		a->counter[i] = image_counter(image, (enum abi_counter)i);
	atomic_thread_fence(memory_order_acquire);
}

static uint64_t slack_of(const struct check_activity *before, const struct check_activity *now)
{
	uint64_t slack = 0;
	unsigned i;

	/* Whatever was counted, something was done. */
	for (i = 0; i < ABI_N_COUNTERS; i++)
		slack += now->counter[i] - before->counter[i];
	if (!slack && before->all_asleep && now->all_asleep)
		return 0;
	return slack + ABI_THREADS * BATCH;
}

static void at_most(struct findings *f, uint64_t less, const char *what, uint64_t more,
	const char *than, uint64_t slack)
{
	if (less > more && less - more > slack)
		findings_add(f, "counters", "%s: %" PRIu64 ", more than %s: %" PRIu64, what, less,
			than,
			more);
}

static void check_entries(const uint64_t *c, const struct check_counts *counts, uint64_t slack,
	struct findings *f)
{
	uint64_t in = c[ABI_COUNTER_RECOVERED] + c[ABI_COUNTER_PUTS] +
		c[ABI_COUNTER_FILLS_PUBLISHED];
	uint64_t out = c[ABI_COUNTER_REPLACES] + c[ABI_COUNTER_DELETES] + c[ABI_COUNTER_EXPIRED] +
		c[ABI_COUNTER_EVICTIONS] + c[ABI_COUNTER_TIER_DAMAGE];
	uint64_t left = in - out, off;

	off = left > counts->n_entries ? left - counts->n_entries : counts->n_entries - left;
	if (off > slack)
		findings_add(f, "counters", "by the counters there are %" PRId64
			" entries, in the index %" PRIu64, (int64_t)left, counts->n_entries);
}

static void equal(struct findings *f, const struct image *image, enum abi_gauge gauge,
	uint64_t seen)
{
	uint64_t told = image_gauge(image, gauge);

	if (told != seen)
		findings_add(f, "gauges", "%s tells %" PRIu64 ", seen were %" PRIu64,
			abi_gauge_name(gauge), told, seen);
}

/* All is quiet, so each gauge is what it was last set to. */
static void check_gauges(const struct image *image, const struct check_counts *counts,
	struct findings *f)
{
	uint64_t free_size;
	unsigned tier;

	equal(f, image, ABI_GAUGE_ENTRIES, counts->n_entries);
	for (tier = ABI_TIER_DRAM; tier < ABI_TIERS; tier++) {
		enum abi_gauge first =
			tier == ABI_TIER_DRAM ? ABI_GAUGE_DRAM_BYTES : ABI_GAUGE_CXL_BYTES;

		if (!image_tier_size(image, tier))
			continue;
		equal(f, image, first, image_tier_size(image, tier));
		equal(f, image, first + 1, counts->tier[tier].size);
		equal(f, image, first + 3, counts->tier[tier].n_entries);
		free_size = image_gauge(image, first + 2);
		if (free_size > counts->tier[tier].largest_gap)
			findings_add(f, "gauges", "%s tells %" PRIu64
				", but records leave no more than %" PRIu64 " between them",
				abi_gauge_name(first + 2), free_size,
					counts->tier[tier].largest_gap);
	}
}

void check_balance(const struct image *image, const struct check_activity *before,
	const struct check_counts *counts, struct findings *f)
{
	struct check_activity now;
	uint64_t slack, gone;
	uint32_t state = shared_u32_load_acquire(&image->plane->state);

	check_activity_take(image, &now);
	/* Another broker came: what was counted before is not what is counted now. */
	if (now.epoch != before->epoch || state == ABI_STATE_STARTING)
		return;
	slack = slack_of(before, &now);
	gone = before->counter[ABI_COUNTER_COMMITS] + before->counter[ABI_COUNTER_ABORTS] +
		before->counter[ABI_COUNTER_RESERVES_DEAD];
	at_most(f, gone, "reservations that ended", now.counter[ABI_COUNTER_RESERVES],
		"reservations", slack);
	at_most(f, before->counter[ABI_COUNTER_REPLACES], "values replaced",
		now.counter[ABI_COUNTER_PUTS], "values stored", slack);
	at_most(f, before->counter[ABI_COUNTER_EVICTIONS_FIT], "evictions for a block",
		now.counter[ABI_COUNTER_EVICTIONS], "evictions", slack);
	if (!image->has_index)
		return;
	check_entries(now.counter, counts, slack, f);
	if (!slack && state == ABI_STATE_SERVING)
		check_gauges(image, counts, f);
}
