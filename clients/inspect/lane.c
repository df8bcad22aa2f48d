/* SPDX-License-Identifier: Apache-2.0 */
/* lane.c: where a lane's rings stand, decoded from the two regions of its session. */
#include "clients/inspect/lane.h"

#include <string.h>

/*
 * The broker's cursor is private, so where a ring stands is read from its slots: each submission
 * and each completion carries its position, and the one with the highest is the last. A sequence
 * that does not belong to its slot is not counted (check-ring.c tells of it).
 *
 * The broker takes a lane's requests in their order, and answers each before it takes the next, but
 * for those that it shows as being elsewhere. So as many as are answered or elsewhere were taken,
 * and the one at that position is the next.
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
	p->elsewhere = area_at(&s->response, response + g->elsewhere_off,
		g->n_queue * sizeof(*p->elsewhere));
	if (!p->submission || !p->hold || !p->log)
		p->request = NULL;
	if (!p->completion || !p->elsewhere)
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

static void count_elsewhere(const struct abi_submission *place, uint32_t n, struct lane *lane)
{
	struct submission s;
	enum abi_fault flaw;
	uint64_t position;
	uint32_t i;

	lane->n_elsewhere = 0;
	lane->oldest_ms = 0;
	for (i = 0; i < n; i++) {
		if (!submission_seen(&place[i], &position, &s, &flaw))
			continue;
		lane->n_elsewhere++;
		if (!lane->oldest_ms || s.since_ms < lane->oldest_ms)
			lane->oldest_ms = s.since_ms;
	}
}

/*
 * What is answered in between is neither, or both: a few looks more, where there is much of it. A
 * position once told by the broker as taken is so, but for the last, which may be a flush.
 */
#define LOOKS 4

static void look_at_answers(const struct lane_parts *p, uint32_t n, struct lane *lane)
{
	unsigned i;

	/* Acquire; partner: the releases in worker_answered() and worker_serve() */
	lane->consumed = shared_u64_load_acquire(&p->response->consumed);
	for (i = 0; i < LOOKS; i++) {
		lane->answered = answered(p->completion, n);
		count_elsewhere(p->elsewhere, n, lane);
		if (!lane->n_elsewhere || answered(p->completion, n) == lane->answered)
			break;
	}
	lane->next = lane->answered + lane->n_elsewhere;
	if (lane->consumed && lane->next < lane->consumed - 1)
		lane->next = lane->consumed - 1;
}

static void look_at_waiting(const struct lane_parts *p, uint32_t n, struct lane *lane)
{
	const struct abi_submission *slot = &p->submission[lane->next & (n - 1)];
	uint64_t since_ms;

	lane->n_waiting = image_least(lane->n_elsewhere + (lane->published > lane->next ?
			lane->published - lane->next : 0), n);
	if (lane->published <= lane->next || !submission_is_there(slot, lane->next))
		return;
	since_ms = submission_since_ms(slot);
	if (since_ms && (!lane->oldest_ms || since_ms < lane->oldest_ms))
		lane->oldest_ms = since_ms;
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
		look_at_answers(&p, n, lane);
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
		lane->answered = lane->next = lane->reaped;
	lane->n_unreaped = less(lane->answered, lane->reaped, n);
	look_at_waiting(&p, n, lane);
}
