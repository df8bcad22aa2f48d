/* SPDX-License-Identifier: Apache-2.0 */
/* summary.c: the sums that several views show: tiers, sessions, and what looks wrong. */
#include "clients/inspect/summary.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "clients/cli/units.h"
#include "clients/inspect/lane.h"

/*
 * Alerts are not findings: nothing in memory contradicts itself when a broker is stopped. They
 * name what keeps requests from being answered, in the order in which one would ask: is the broker
 * there, does it run, who waits, and for whom.
 */
__attribute__((format(printf, 2, 3)))
static void alert(struct summary *s, const char *fmt, ...)
{
	va_list ap;

	if (s->n_alerts == SUMMARY_ALERTS_MAX)
		return;
	va_start(ap, fmt);
	vsnprintf(s->alert[s->n_alerts++], sizeof(s->alert[0]), fmt, ap);
	va_end(ap);
}

static void tier_sum(const struct image *image, enum abi_gauge first, struct tier_sum *t)
{
	/* The four of a tier stand together. */
	t->size = image_gauge(image, first);
	t->used = image_gauge(image, first + 1);
	t->largest_free = image_gauge(image, first + 2);
	t->n_entries = image_gauge(image, first + 3);
	t->free = t->size > t->used ? t->size - t->used : 0;
	if (t->free && t->largest_free < t->free)
		t->fragmentation = (unsigned)(1000 - 1000 * (t->largest_free / 1024) /
			(t->free / 1024 ? t->free / 1024 : 1));
}

static void session_sum(const struct image *image, struct session_sum *sum)
{
	const struct image_session *s = sum->session;
	const struct abi_session *line = image_line(image, s->line);
	unsigned i, n = lane_count(image, s);
	struct lane lane;

	sum->id = s->id;
	sum->attached_ms = shared_u64_load(&line->attached_ms);
	sum->uid = shared_u32_load(&line->uid);
	sum->role = shared_u32_load(&line->role);
	sum->worker = shared_u32_load(&line->worker);
	sum->n_lanes = shared_u32_load(&line->n_lanes);
	sum->broken = shared_u32_load(&line->broken);
	sum->state = shared_u32_load(&line->state);
	if (sum->held.n_holds)
		sum->held_since_ms = shared_u64_load(&line->held_since_ms);
	for (i = 0; i < n; i++) {
		lane_look(image, s, i, &lane);
		sum->n_published += lane.published;
		sum->n_waiting += lane.n_waiting;
		sum->n_elsewhere += lane.n_elsewhere;
		sum->n_unreaped += lane.n_unreaped;
		sum->hits += lane.hits;
		sum->misses += lane.misses;
		if (lane.oldest_ms && (!sum->oldest_ms || lane.oldest_ms < sum->oldest_ms))
			sum->oldest_ms = lane.oldest_ms;
	}
}

static void holds_sum(struct summary *s, const struct session_sum *sum)
{
	s->n_holds += sum->held.n_holds;
	s->held_size += sum->held.held_size;
	s->kept_size += sum->held.kept_size;
	if (!sum->held_since_ms || (s->held_since_ms && s->held_since_ms <= sum->held_since_ms))
		return;
	s->held_since_ms = sum->held_since_ms;
	s->oldest_holder = sum->id;
}

/* --- alerts ----------------------------------------------------------------------------------- */

static void alert_broker(const struct image *image, struct summary *s)
{
	if (s->state == ABI_STATE_STARTING)
		alert(s, "the broker is starting, or ended while it was");
	if (s->state == ABI_STATE_STOPPED)
		return;
	if (process_is_stopped(&image->broker))
		alert(s, "the broker (process %" PRIu32 ") is stopped: kill -CONT %" PRIu32
			" lets it go on", image->broker.pid, image->broker.pid);
	else if (image->broker.state == 'D')
		alert(s, "the broker (process %" PRIu32 ") sleeps in the kernel and can't be woken",
			image->broker.pid);
	else if (!process_is_there(&image->broker) && image->broker.state != PROCESS_UNKNOWN)
		alert(s, "the broker (process %" PRIu32 ") is gone and has not said so: it was "
			"killed; a new one takes over what is here", image->broker.pid);
}

#define MUCH 10	     /* a tenth of all */
#define LONG_MS 1000 /* for a request to wait, while others are answered in microseconds */

static void alert_session(const struct image *image, struct summary *s, struct session_sum *sum)
{
	const struct image_process *p = &sum->session->process;
	uint64_t age_ms = image_age_ms(image, sum->oldest_ms);
	char kept[UNITS_TEXT_SIZE], id[IMAGE_ID_SIZE], elsewhere[64] = "";

	if (sum->n_elsewhere)
		snprintf(elsewhere, sizeof(elsewhere), " %" PRIu64 " with other brokers,",
			sum->n_elsewhere);
	if (sum->n_waiting && age_ms >= LONG_MS)
		alert(s, "session %s (process %" PRIu32 "): %" PRIu64 " request%s without an "
			"answer,%s the oldest for %" PRIu64 ".%" PRIu64 " s", image_id_text(image,
				sum->id, id), p->pid,
			sum->n_waiting, sum->n_waiting == 1 ? "" : "s", elsewhere, age_ms / 1000,
			age_ms / 100 % 10);
	if (sum->broken)
		alert(s, "session %s (process %" PRIu32 ") was cut off: %s", image_id_text(image,
			sum->id, id), p->pid,
			abi_fault_name(sum->broken));
	if (process_is_stopped(p) && sum->n_unreaped)
		alert(s, "session %s (process %" PRIu32 ") is stopped, with %" PRIu64
			" answers not taken", image_id_text(image, sum->id, id), p->pid,
				sum->n_unreaped);
	if (sum->held.kept_size > (s->tier[ABI_TIER_DRAM].size + s->tier[ABI_TIER_CXL].size) / MUCH)
		alert(s, "session %s (process %" PRIu32 "): its holds keep %s from being "
			"reused", image_id_text(image, sum->id, id), p->pid,
				units_size_format(kept, sum->held.kept_size));
}

int summary_make(const struct image *image, struct summary *s)
{
	const struct abi_plane *plane = image->plane;
	struct holder *holders;
	unsigned i;

	memset(s, 0, sizeof(*s));
	s->session = calloc(image->n_sessions + 1, sizeof(*s->session));
	holders = holder_list(image);
	if (!s->session || (image->n_sessions && !holders)) {
		free(s->session);
		free(holders);
		return -ENOMEM;
	}
	s->epoch = shared_u64_load(&plane->epoch);
	s->state = shared_u32_load_acquire(&plane->state);
	s->up_ms = image_age_ms(image, shared_u64_load(&plane->start_ms));
	s->n_workers = shared_u32_load(&plane->n_workers);
	s->fence_needed = shared_u32_load(&plane->fence_needed) != 0;
	for (i = 0; i < s->n_workers && i < ABI_WORKERS_MAX; i++)
		s->n_asleep += shared_u32_load(&plane->worker[i].need_wakeup) != 0;
	tier_sum(image, ABI_GAUGE_DRAM_BYTES, &s->tier[ABI_TIER_DRAM]);
	tier_sum(image, ABI_GAUGE_CXL_BYTES, &s->tier[ABI_TIER_CXL]);
	s->n_entries = image_gauge(image, ABI_GAUGE_ENTRIES);
	s->index_size = image_gauge(image, ABI_GAUGE_INDEX_BYTES);
	s->books_size = image_gauge(image, ABI_GAUGE_BOOKS_BYTES);
	s->pinned_size = image_gauge(image, ABI_GAUGE_PINNED_BYTES);
	s->reserved_size = image_gauge(image, ABI_GAUGE_RESERVED_BYTES);
	s->limbo_size = image_gauge(image, ABI_GAUGE_LIMBO_BYTES);
	s->n_buckets = image->has_index ? image_n_buckets(image) : 0;
	s->n_sessions = image->n_sessions;
	alert_broker(image, s);
	for (i = 0; i < s->n_sessions; i++) {
		s->session[i].session = &image->session[i];
		s->session[i].held = holders[i];
		session_sum(image, &s->session[i]);
		holds_sum(s, &s->session[i]);
		alert_session(image, s, &s->session[i]);
	}
	free(holders);
	return 0;
}

void summary_add_ages(const struct image *image, struct summary *s, const struct hold_ages *ages)
{
	struct session_sum *sum;
	unsigned i;

	for (i = 0; i < s->n_sessions; i++) {
		sum = &s->session[i];
		sum->standing_ms = image_age_ms(image,
			hold_ages_standing(ages, sum->id, image->now_ms, &sum->n_standing));
	}
}

void summary_deinit(struct summary *s)
{
	free(s->session);
	s->session = NULL;
}
