/* SPDX-License-Identifier: Apache-2.0 */
/* summary.h: the sums that several views show: tiers, sessions, and what looks wrong. */
#ifndef CLIENTS_INSPECT_SUMMARY_H
#define CLIENTS_INSPECT_SUMMARY_H

#include <stdbool.h>
#include <stdint.h>

#include "clients/inspect/hold.h"
#include "clients/inspect/hold-age.h"
#include "clients/inspect/image.h"

struct tier_sum {
	uint64_t size, used, free, largest_free, n_entries;
	unsigned fragmentation; /* per mille of the free that is not in the largest block */
};

struct session_sum {
	const struct image_session *session;
	uint64_t id, attached_ms;
	uint32_t uid, role, worker, n_lanes, broken;
	uint32_t state; /* enum abi_session_state */
	uint64_t n_published, n_waiting, n_elsewhere, n_unreaped, oldest_ms;
	uint64_t hits, misses;
	struct holder held;
	uint64_t held_since_ms; /* of the oldest hold, as the broker has seen it; 0: not yet, or none */
	/* What was seen at more than one look: see hold-age.h. 0 after one look. */
	uint64_t n_standing, standing_ms;
};

#define SUMMARY_ALERTS_MAX 12

struct summary {
	uint64_t epoch, up_ms;
	uint32_t state, n_workers, n_asleep;
	bool fence_needed;
	struct tier_sum tier[ABI_TIERS]; /* size 0: there is none */
	uint64_t n_entries, n_buckets, index_size, books_size;
	uint64_t pinned_size, reserved_size, limbo_size;
	/* Of all sessions; the bytes as each of them holds them. */
	uint64_t n_holds, held_size, kept_size, held_since_ms, oldest_holder;
	struct session_sum *session; /* as many as the image has */
	unsigned n_sessions;

	/* What somebody who looks because something hangs should see first. */
	char alert[SUMMARY_ALERTS_MAX][200];
	unsigned n_alerts;
};

/* How much of a bar of @width the used part of a tier takes. */
static inline unsigned tier_bar(const struct tier_sum *t, unsigned width)
{
	return t->used >= t->size ? width
		: (unsigned)((double)t->used / (double)t->size * width + 0.5);
}

/* 0 or -ENOMEM. To be freed with summary_deinit(). */
int summary_make(const struct image *image, struct summary *summary);
void summary_deinit(struct summary *summary);

/* Fill in what stood at earlier looks. */
void summary_add_ages(const struct image *image, struct summary *summary,
	const struct hold_ages *ages);

/* Milliseconds from @since to the time of the image; 0 where @since is 0 or later than that. */
static inline uint64_t image_age_ms(const struct image *image, uint64_t since_ms)
{
	return since_ms && image->now_ms > since_ms ? image->now_ms - since_ms : 0;
}

#endif
