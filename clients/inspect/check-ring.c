/* SPDX-License-Identifier: Apache-2.0 */
/* check-ring.c: the session directory, rings and hold cells. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "clients/inspect/check.h"
#include "clients/inspect/hold.h"
#include "clients/inspect/lane.h"

/*
 * Each position is written by one side and read one after the other here, so each comparison loads
 * the one that must not run ahead first. A client's region is the client's to spoil: what is wrong
 * in it is told all the same, for it is why the client will be cut off.
 *
 * A hold that names a cell with another record in it is no finding: it may have been taken just
 * before the record went, and be given up next. When that does not come about the client was
 * stopped there.
 */
struct ring_look {
	const struct image *image;
	const struct image_session *s;
	struct findings *f;
	char id[IMAGE_ID_SIZE];
	bool is_former; /* a former broker's: its holds count, no more */
	unsigned lane;
	struct lane_parts parts;
};

#define SAY(l, fmt, ...) \
	findings_add((l)->f, "ring", "session %s, lane %u: " fmt, (l)->id, (l)->lane, __VA_ARGS__)

/* A sequence in a slot belongs to it, and to the last lap. */
static void check_submissions(const struct ring_look *l, uint64_t published)
{
	uint32_t n = l->s->geometry.n_queue, i;
	uint64_t sequence;

	for (i = 0; i < n; i++) {
		sequence = shared_u64_load_acquire(&l->parts.submission[i].word[7]);
		if (sequence && (sequence - 1) % n != i)
			SAY(l, "slot %" PRIu32 " has sequence %" PRIu64
				", which belongs to another", i,
				sequence);
		else if (sequence + n <= published && published)
			SAY(l, "slot %" PRIu32 " was skipped: sequence %" PRIu64
				", while others are at %"
				PRIu64, i, sequence, published);
	}
}

static void check_completions(const struct ring_look *l, uint64_t answered)
{
	uint32_t n = l->s->geometry.n_queue, i;
	uint64_t sequence;

	for (i = 0; i < n; i++) {
		sequence = shared_u64_load_acquire(&l->parts.completion[i].sequence);
		if (sequence && (sequence - 1) % n != i)
			SAY(l, "completion %" PRIu32 " has sequence %" PRIu64
				", which belongs to another", i, sequence);
		else if (sequence + n <= answered && answered)
			SAY(l, "completion %" PRIu32 " was skipped: sequence %" PRIu64
				", while others are at %" PRIu64, i, sequence, answered);
	}
}

static void check_positions(const struct ring_look *l, const struct lane *lane)
{
	uint64_t n = l->s->geometry.n_queue;
	struct lane later;

	/* A second look, for what has to be at least what was seen in the first. */
	lane_look(l->image, l->s, l->lane, &later);
	if (lane->has_response && lane->reaped > later.answered)
		SAY(l, "%" PRIu64 " answers were taken, of %" PRIu64, lane->reaped, later.answered);
	if (lane->has_response && lane->answered > later.published)
		SAY(l, "%" PRIu64 " answers, to %" PRIu64 " requests", lane->answered,
			later.published);
	if (lane->has_response && lane->consumed > later.published)
		SAY(l, "the broker took %" PRIu64 " requests, of %" PRIu64, lane->consumed,
			later.published);
	if (lane->submitted > later.published)
		SAY(l, "%" PRIu64 " requests were announced, of %" PRIu64, lane->submitted,
			later.published);
	if (lane->published > later.reaped + n && lane->published - later.reaped > n)
		SAY(l, "%" PRIu64 " requests in flight, in a ring of %" PRIu64,
			lane->published - later.reaped, n);
	if (lane->answered > later.reaped + n)
		SAY(l, "%" PRIu64 " answers not taken, in a ring of %" PRIu64,
			lane->answered - later.reaped, n);
}

/* --- what is elsewhere ------------------------------------------------------------------------ */

static int by_value(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* All positions that are shown; returns how many. */
static uint32_t gather_elsewhere(const struct ring_look *l, uint64_t *position)
{
	uint32_t i, n = 0;
	struct submission s;
	enum abi_fault flaw;

	for (i = 0; i < l->s->geometry.n_queue; i++) {
		if (!submission_seen(&l->parts.elsewhere[i], &position[n], &s, &flaw))
			continue;
		if (flaw || (s.operation != ABI_OP_FETCH && !(s.flags & SUBMISSION_CLUSTER)))
			SAY(l, "request %" PRIu64 " is elsewhere, a %s, which can't be", position[n],
				abi_operation_name(s.operation));
		n++;
	}
	qsort(position, n, sizeof(*position), by_value);
	return n;
}

/*
 * Who was seen elsewhere at some time was published by the end, and not answered at the beginning:
 * so many there can be, and one more, which is answered and not hidden yet. And who was taken at the beginning, and is not answered at the end, was
 * there all the while, but for the last, which may be being carried out. That is owed to nobody who
 * was cut off.
 */
static int check_elsewhere(const struct ring_look *l, const struct lane *lane)
{
	uint64_t *position = calloc(l->s->geometry.n_queue, sizeof(*position));
	struct lane later;
	uint32_t i, n;

	if (!position)
		return -ENOMEM;
	n = gather_elsewhere(l, position);
	lane_look(l->image, l->s, l->lane, &later);
	for (i = 0; i < n; i++) {
		if (position[i] >= later.published)
			SAY(l, "request %" PRIu64 " is elsewhere, of %" PRIu64, position[i],
				later.published);
		if (i && position[i] == position[i - 1])
			SAY(l, "request %" PRIu64 " is elsewhere twice", position[i]);
	}
	free(position);
	if (later.published >= lane->answered && n > later.published - lane->answered + 1)
		SAY(l, "%" PRIu32 " requests are elsewhere, of %" PRIu64 " without an answer", n,
			later.published - lane->answered);
	if (!later.fault && lane->consumed > later.answered + n + 1)
		SAY(l, "%" PRIu64 " requests were taken, %" PRIu64 " answered, and %" PRIu32
			" are elsewhere", lane->consumed, later.answered, n);
	return 0;
}

static void check_response(const struct ring_look *l, const struct lane *lane)
{
	const struct abi_session *line = image_line(l->image, l->s->line);
	uint32_t broken = shared_u32_load(&line->broken), worker = shared_u32_load(&line->worker);

	if (lane->fault != broken)
		SAY(l, "its fault is \"%s\", its session's \"%s\"", abi_fault_name(lane->fault),
			abi_fault_name(broken));
	if (lane->worker != worker)
		SAY(l, "worker %" PRIu32 " serves it, and its session worker %" PRIu32,
			lane->worker,
			worker);
}

static void check_holds(const struct ring_look *l, const struct lane *lane,
	struct check_counts *counts)
{
	uint64_t n_cells = l->image->has_index ? image_n_cells(l->image) : UINT32_MAX, word;
	uint32_t i, n = l->s->geometry.n_holds;

	if (lane->holds_used > n)
		SAY(l, "%" PRIu64 " hold cells in use, of %" PRIu32, lane->holds_used, n);
	for (i = 0; i < n; i++) {
		word = shared_u64_load_acquire(&l->parts.hold[i]);
		if (!word)
			continue;
		counts->n_holds++;
		if (!abi_word_cell(word) || abi_word_cell(word) >= n_cells)
			SAY(l, "hold %" PRIu32 " is on cell %" PRIu32 ", which is none", i,
				abi_word_cell(word));
		/* The number is stored before the first word beyond it. */
		if (i >= shared_u64_load_acquire(&l->parts.request->holds_used))
			SAY(l, "hold %" PRIu32 " is beyond the cells in use, and protects nothing",
				i);
	}
}

static int check_lane(struct ring_look *l, struct check_counts *counts)
{
	struct lane lane;
	int r = 0;

	lane_parts_find(l->s, l->lane, &l->parts);
	lane_look(l->image, l->s, l->lane, &lane);
	if (lane.has_request) {
		counts->n_lanes++;
		check_holds(l, &lane, counts);
	}
	if (l->is_former)
		return 0;
	if (lane.has_request) {
		check_positions(l, &lane);
		check_submissions(l, lane.published);
	}
	if (lane.has_response) {
		check_completions(l, lane.answered);
		check_response(l, &lane);
	}
	if (lane.has_request && lane.has_response)
		r = check_elsewhere(l, &lane);
	return r;
}

static void check_line(const struct ring_look *l)
{
	const struct abi_session *line = image_line(l->image, l->s->line);
	uint32_t role = shared_u32_load(&line->role), worker = shared_u32_load(&line->worker);
	uint32_t broken = shared_u32_load(&line->broken), n_lanes = shared_u32_load(&line->n_lanes);
	uint32_t n_workers = shared_u32_load(&l->image->plane->n_workers);
	uint32_t state = shared_u32_load(&line->state);

	if (role == WIRE_ROLE_NONE || role >= WIRE_N_ROLES)
		findings_add(l->f, "session", "session %s: there is no role %" PRIu32, l->id, role);
	if (state > ABI_SESSION_LOST)
		findings_add(l->f, "session", "session %s: there is no state %" PRIu32, l->id,
			state);
	if (worker >= n_workers && !l->is_former)
		findings_add(l->f, "session", "session %s: worker %" PRIu32 " of %" PRIu32, l->id,
			worker, n_workers);
	if (broken >= ABI_N_FAULTS)
		findings_add(l->f, "session", "session %s: there is no fault %" PRIu32, l->id,
			broken);
	if (l->s->geometry.n_lanes && n_lanes > l->s->geometry.n_lanes)
		findings_add(l->f, "session", "session %s: %" PRIu32 " lanes, of %" PRIu32, l->id,
			n_lanes, l->s->geometry.n_lanes);
}

int check_sessions(const struct image *image, struct findings *f, struct check_counts *counts)
{
	struct ring_look l = {.image = image, .f = f};
	unsigned i, j, n;
	int r = 0;

	for (i = 0; i < image->n_sessions && !r; i++) {
		l.s = &image->session[i];
		/* It has left since we looked who is there. */
		if (shared_u64_load_acquire(&image_line(image, l.s->line)->id) != l.s->id)
			continue;
		counts->n_sessions++;
		image_id_text(image, l.s->id, l.id);
		l.is_former = shared_u32_load(&image_line(image, l.s->line)->state) !=
			ABI_SESSION_ATTACHED;
		check_line(&l);
		for (j = 0; j < i; j++)
			if (image->session[j].id == l.s->id)
				findings_add(f, "session", "two sessions have the number %s", l.id);
		n = lane_count(image, l.s);
		for (l.lane = 0; l.lane < n && !r; l.lane++)
			r = check_lane(&l, counts);
	}
	return r;
}
