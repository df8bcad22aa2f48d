/* SPDX-License-Identifier: Apache-2.0 */
/* lane.c: a lane's rings and counts, decoded from the two regions of its session. */
#include "clients/inspect/lane.h"

#include <string.h>

/*
 * The broker's cursor is private, so where a ring stands is read from its slots: each submission
 * and each completion carries its position, and the one with the highest is the last. A sequence
 * that does not belong to its slot is not counted (check-ring.c tells of it). The broker answers a
 * lane's requests in their order, so all positions below the last answer are answered.
 *
 * All loops go over the slots that there are, never from one position to another.
 */
void lane_parts_find(const struct image_session *s, unsigned lane, struct lane_parts *p)
{
	const struct abi_geometry *g = &s->geometry;
	uint64_t request = (uint64_t)lane * g->request_stride;
	uint64_t response = (uint64_t)lane * g->response_stride;

	memset(p, 0, sizeof(*p));
	if (lane >= g->n_lanes)
		return;
	p->request = area_at(&s->request, request, sizeof(*p->request));
	p->submission = area_at(&s->request, request + g->submission_off,
		g->n_queue * sizeof(*p->submission));
	p->hold = area_at(&s->request, request + g->hold_off, g->n_holds * sizeof(*p->hold));
	p->log = area_at(&s->request, request + g->log_off, g->n_log * sizeof(*p->log));
	p->response = area_at(&s->response, response, sizeof(*p->response));
	p->completion = area_at(&s->response, response + g->completion_off,
		g->n_queue * sizeof(*p->completion));
	if (!p->submission || !p->hold || !p->log)
		p->request = NULL;
	if (!p->completion)
		p->response = NULL;
}

unsigned lane_count(const struct image *image, const struct image_session *s)
{
	uint32_t raw_n = shared_u32_load(&image_line(image, s->line)->n_lanes);

	return raw_n < s->geometry.n_lanes ? raw_n : s->geometry.n_lanes;
}

/* The highest position after which a slot was published, among @n slots. */
static uint64_t published(const struct abi_submission *slot, uint32_t n)
{
	uint64_t last = 0, sequence;
	uint32_t i;

	for (i = 0; i < n; i++) {
		/* Acquire; partner: submission_publish(). */
		sequence = shared_u64_load_acquire(&slot[i].word[7]);
		if (sequence > last && (sequence - 1) % n == i)
			last = sequence;
	}
	return last;
}

static uint64_t answered(const struct abi_completion *slot, uint32_t n)
{
	uint64_t last = 0, sequence;
	uint32_t i;

	for (i = 0; i < n; i++) {
		/* Acquire; partner: completion_publish(). */
		sequence = shared_u64_load_acquire(&slot[i].sequence);
		if (sequence > last && (sequence - 1) % n == i)
			last = sequence;
	}
	return last;
}

static uint64_t less(uint64_t a, uint64_t b, uint64_t most)
{
	return a > b ? image_least(a - b, most) : 0;
}

static void look_at_worker(const struct image *image, struct lane *lane)
{
	if (lane->worker < ABI_WORKERS_MAX)
		lane->worker_sleeps =
			shared_u32_load(&image->plane->worker[lane->worker].need_wakeup) != 0;
}

void lane_look(const struct image *image, const struct image_session *s, unsigned idx,
	struct lane *lane)
{
	uint32_t n = s->geometry.n_queue;
	struct lane_parts p;

	lane_parts_find(s, idx, &p);
	*lane = (struct lane){.idx = idx, .has_request = p.request != NULL,
		.has_response = p.response != NULL};
	/* Answers first: a request that is answered meanwhile then counts as one that waits. */
	if (p.response) {
		lane->answered = answered(p.completion, n);
		lane->consumed = shared_u64_load(&p.response->consumed);
		lane->worker = shared_u32_load(&p.response->worker);
		lane->fault = shared_u32_load_acquire(&p.response->fault);
		look_at_worker(image, lane);
	}
	if (!p.request)
		return;
	lane->reaped = shared_u64_load_acquire(&p.request->reaped);
	lane->submitted = shared_u64_load(&p.request->submitted);
	lane->published = published(p.submission, n);
	lane->client_sleeps = shared_u32_load(&p.request->need_wakeup) != 0;
	lane->hits = shared_u64_load(&p.request->hits);
	lane->misses = shared_u64_load(&p.request->misses);
	lane->logged = shared_u64_load_acquire(&p.request->logged);
	lane->holds_used = shared_u64_load_acquire(&p.request->holds_used);
	if (!p.response)
		lane->answered = lane->reaped;
	lane->n_waiting = less(lane->published, lane->answered, n);
	lane->n_unreaped = less(lane->answered, lane->reaped, n);
	if (lane->n_waiting)
		lane->oldest_ms = submission_since_ms(
			&p.submission[(lane->published - lane->n_waiting) & (n - 1)]);
}

const char *lane_slot_state_name(enum lane_slot_state state)
{
	switch (state) {
	case LANE_SLOT_WAITING:
		return "waits";
	case LANE_SLOT_NEXT:
		return "next";
	case LANE_SLOT_ANSWERED:
		return "answered";
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

static void take_key(const struct image_session *s, unsigned lane, struct lane_slot *slot)
{
	const struct abi_geometry *g = &s->geometry;
	const struct submission *sub = &slot->submission;
	uint64_t off = (uint64_t)lane * g->request_stride + g->staging_off + sub->staging_off;
	const uint8_t *raw_key;

	slot->has_key = false;
	if (!lane_operation_has_key(sub->operation) || !sub->key_size ||
		sub->key_size > ABI_KEY_SIZE_MAX ||
		(uint64_t)sub->staging_off + sub->key_size > g->staging_size)
		return;
	raw_key = area_at(&s->request, off, sub->key_size);
	if (!raw_key)
		return;
	memcpy(slot->key, raw_key, sub->key_size);
	slot->has_key = true;
}

static uint32_t status_of(const struct abi_completion *slot, uint64_t position)
{
	struct completion c;

	return completion_take(slot, position, &c) ? c.status : ABI_N_STATUSES;
}

void lane_walk(const struct image *image, const struct image_session *s, unsigned idx,
	lane_visit_fn *visit, void *context)
{
	uint32_t n = s->geometry.n_queue;
	struct lane_slot slot;
	struct lane_parts p;
	struct lane lane;
	uint64_t at, i;

	lane_parts_find(s, idx, &p);
	lane_look(image, s, idx, &lane);
	if (!p.request)
		return;
	for (i = lane.n_waiting + lane.n_unreaped; i; i--) {
		at = lane.published - i;
		if (i > n || !submission_is_there(&p.submission[at & (n - 1)], at))
			continue;
		memset(&slot, 0, offsetof(struct lane_slot, key));
		slot.position = at;
		slot.flaw = submission_snapshot(&p.submission[at & (n - 1)], &slot.submission);
		slot.since_ms = submission_since_ms(&p.submission[at & (n - 1)]);
		slot.state = i == lane.n_waiting ? LANE_SLOT_NEXT
			: i < lane.n_waiting ? LANE_SLOT_WAITING : LANE_SLOT_ANSWERED;
		if (p.completion && slot.state == LANE_SLOT_ANSWERED)
			slot.status = status_of(&p.completion[at & (n - 1)], at);
		take_key(s, idx, &slot);
		visit(context, &slot);
	}
}
