/* SPDX-License-Identifier: Apache-2.0 */
/* lane-walk.c: what is in flight on a lane, request by request. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "clients/inspect/lane.h"

/*
 * Three lists make one: what the broker shows as being elsewhere, the answers that were not taken,
 * and the slots of the ring from the next on. An answer has no position, for it comes when it
 * comes; it carries the number of its request. Clients give a number again when its answer was
 * taken, so of all slots with that number whose requests were taken and are not elsewhere it is the
 * newest's; if there is none, its slot was used again.
 */
struct item {
	uint64_t position;
	bool is_known;
	enum lane_slot_state state;
	enum abi_fault flaw;
	uint32_t status;
	struct submission submission;
};

struct walk {
	const struct image_session *s;
	unsigned idx;
	uint32_t n_queue;
	struct lane_parts parts;
	struct lane lane;
	struct item *item; /* first those elsewhere, by position */
	size_t n, n_elsewhere;
	struct taken *taken;
	size_t n_taken;
};

/* Positions of requests in the ring that were taken and are answered. */
struct taken {
	uint32_t id;
	uint64_t position;
};

const char *lane_slot_state_name(enum lane_slot_state state)
{
	switch (state) {
	case LANE_SLOT_WAITING:
		return "waits";
	case LANE_SLOT_NEXT:
		return "next";
	case LANE_SLOT_ANSWERED:
		return "answered";
	case LANE_SLOT_ELSEWHERE:
		return "elsewhere";
	}
	return "?";
}

bool lane_operation_has_key(unsigned operation)
{
	switch (operation) {
	case ABI_OP_PUT:
	case ABI_OP_RESERVE:
	case ABI_OP_DELETE:
	case ABI_OP_TOUCH:
	case ABI_OP_PIN:
	case ABI_OP_UNPIN:
	case ABI_OP_FLUSH:
	case ABI_OP_FETCH:
		return true;
	default:
		return false;
	}
}

/* --- gathering -------------------------------------------------------------------------------- */

static int by_position(const void *a, const void *b)
{
	const struct item *x = a, *y = b;

	if (x->is_known != y->is_known)
		return x->is_known - y->is_known;
	return (x->position > y->position) - (x->position < y->position);
}

static int by_id(const void *a, const void *b)
{
	const struct taken *x = a, *y = b;

	if (x->id != y->id)
		return x->id < y->id ? -1 : 1;
	return (x->position > y->position) - (x->position < y->position);
}

static void gather_elsewhere(struct walk *w)
{
	struct item *item;
	uint32_t i;

	for (i = 0; w->parts.response && i < w->n_queue; i++) {
		item = &w->item[w->n];
		if (!submission_seen(&w->parts.elsewhere[i], &item->position, &item->submission,
			    &item->flaw))
			continue;
		item->is_known = true;
		item->state = LANE_SLOT_ELSEWHERE;
		w->n++;
	}
	w->n_elsewhere = w->n;
	qsort(w->item, w->n, sizeof(*w->item), by_position);
}

static bool is_elsewhere(const struct walk *w, uint64_t position)
{
	struct item key = {.position = position, .is_known = true};

	return w->n_elsewhere &&
		bsearch(&key, w->item, w->n_elsewhere, sizeof(key), by_position);
}

/* The request at @position, as its slot has it. False: it has another. */
static bool take_slot(const struct walk *w, uint64_t position, struct item *item)
{
	const struct abi_submission *slot = &w->parts.submission[position & (w->n_queue - 1)];

	if (!submission_is_there(slot, position))
		return false;
	item->is_known = true;
	item->position = position;
	item->flaw = submission_snapshot(slot, &item->submission);
	return true;
}

/* The last lap of the ring, from @n positions before the last. */
static uint64_t lap(const struct walk *w)
{
	return w->lane.published > w->n_queue ? w->lane.published - w->n_queue : 0;
}

static void gather_taken(struct walk *w)
{
	struct item item;
	uint64_t at, i;

	for (i = 0, at = lap(w); i < w->n_queue && at < w->lane.next; i++, at++)
		if (!is_elsewhere(w, at) && take_slot(w, at, &item))
			w->taken[w->n_taken++] = (struct taken){item.submission.id, at};
	qsort(w->taken, w->n_taken, sizeof(*w->taken), by_id);
}

/* The newest of that number, or NULL. */
static const struct taken *find_taken(const struct walk *w, uint32_t id)
{
	size_t low = 0, high = w->n_taken, middle;

	while (low < high) {
		middle = low + (high - low) / 2;
		if (w->taken[middle].id <= id)
			low = middle + 1;
		else
			high = middle;
	}
	return low && w->taken[low - 1].id == id ? &w->taken[low - 1] : NULL;
}

static void gather_answers(struct walk *w)
{
	const struct taken *taken;
	struct completion c;
	struct item *item;
	uint64_t at, i;

	for (i = w->lane.n_unreaped; w->parts.response && i; i--) {
		at = w->lane.answered - i;
		if (!completion_take(&w->parts.completion[at & (w->n_queue - 1)], at, &c))
			continue;
		item = &w->item[w->n++];
		taken = find_taken(w, c.id);
		if (!taken || !take_slot(w, taken->position, item))
			*item = (struct item){.position = at, .submission.id = c.id};
		item->state = LANE_SLOT_ANSWERED;
		item->status = c.status;
	}
}

static void gather_waiting(struct walk *w)
{
	uint64_t at = lap(w), i;

	if (at < w->lane.next)
		at = w->lane.next;
	for (i = 0; i < w->n_queue && at < w->lane.published; i++, at++) {
		if (is_elsewhere(w, at) || !take_slot(w, at, &w->item[w->n]))
			continue;
		w->item[w->n++].state =
			at == w->lane.next ? LANE_SLOT_NEXT : LANE_SLOT_WAITING;
	}
}

/* --- telling ---------------------------------------------------------------------------------- */

static void take_key(const struct walk *w, struct lane_slot *slot)
{
	const struct abi_geometry *g = &w->s->geometry;
	const struct submission *sub = &slot->submission;
	uint64_t off = (uint64_t)w->idx * g->request_stride + g->staging_off + sub->staging_off;
	const uint8_t *raw_key;

	slot->has_key = false;
	if (!slot->is_known || !lane_operation_has_key(sub->operation) || !sub->key_size ||
		sub->key_size > ABI_KEY_SIZE_MAX ||
		(uint64_t)sub->staging_off + sub->key_size > g->staging_size)
		return;
	raw_key = area_at(&w->s->request, off, sub->key_size);
	if (!raw_key)
		return;
	memcpy(slot->key, raw_key, sub->key_size);
	slot->has_key = true;
}

static void tell(const struct walk *w, lane_visit_fn *visit, void *context)
{
	struct lane_slot slot;
	const struct item *item;
	size_t i;

	for (i = 0; i < w->n; i++) {
		item = &w->item[i];
		memset(&slot, 0, offsetof(struct lane_slot, key));
		slot.is_known = item->is_known;
		slot.position = item->position;
		slot.state = item->state;
		slot.flaw = item->flaw;
		slot.submission = item->submission;
		slot.since_ms = item->submission.since_ms;
		slot.status = item->status;
		take_key(w, &slot);
		visit(context, &slot);
	}
}

int lane_walk(const struct image *image, const struct image_session *s, unsigned idx,
	lane_visit_fn *visit, void *context)
{
	struct walk w = {.s = s, .idx = idx, .n_queue = s->geometry.n_queue};
	int r;

	lane_parts_find(s, idx, &w.parts);
	lane_look(image, s, idx, &w.lane);
	if (!w.parts.request)
		return 0;
	/* No more of each kind than there are slots. */
	w.item = calloc(3 * (size_t)w.n_queue, sizeof(*w.item));
	w.taken = calloc(w.n_queue, sizeof(*w.taken));
	if (w.item && w.taken) {
		gather_elsewhere(&w);
		gather_taken(&w);
		gather_answers(&w);
		gather_waiting(&w);
		qsort(w.item, w.n, sizeof(*w.item), by_position);
		tell(&w, visit, context);
	}
	r = w.item && w.taken ? 0 : -ENOMEM;
	free(w.item);
	free(w.taken);
	return r;
}
