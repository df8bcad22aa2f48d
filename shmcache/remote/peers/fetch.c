/* SPDX-License-Identifier: Apache-2.0 */
/* fetch.c: data lanes of ours: what we asked for, and how it comes. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "shmcache/remote/peers/net.h"
#include "shmcache/remote/peers/sum.h"

/*
 * A fetch has one of the lane's slots from its FETCH to the END or the HEAD that ends it,
 * cancelled or not: what still comes for one that nobody wants any more is read and thrown
 * away, so that the frames of others that come along with it find their way. The number of a
 * fetch names its slot, and is never used twice.
 *
 * The sum is made of each piece as it comes, while the bytes are in a cache of the CPU's. Most
 * values are small and come in one piece: then there is no state to keep.
 */
#define STUCK_MS 10000

_Static_assert(LINK_FETCHES_MAX == 64, "six bits of the number are the slot");

static void start_waiting(struct link *link);

static struct link_lane *of(struct lane *lane)
{
	return lane->owner;
}

static struct link_pending *find(struct link_lane *l, uint64_t id)
{
	struct link_pending *p = l->slots[id % LINK_FETCHES_MAX];

	return p && p->id == id ? p : NULL;
}

static void pending_free(struct link_pending *p)
{
	if (p->lane) {
		p->lane->slots[p->id % LINK_FETCHES_MAX] = NULL;
		p->lane->n_fetches--;
	}
	sum_free(p->sum);
	free(p);
}

/* The fetch is over, its slot is too. */
static void end(struct link_pending *p, enum link_result result)
{
	struct link_fetch *fetch = p->fetch;
	struct link *link = p->link;

	pending_free(p);
	if (fetch)
		fetch->done(fetch, result);
	start_waiting(link);
	link_kick(link);
}

static void send_small(struct link_lane *l, enum frame_type type, uint64_t id, uint64_t argument)
{
	struct frame head = {FRAME_MAGIC, (uint8_t)type, 0, 0, id, argument};

	if (lane_queue(&l->lane, &head, NULL) == -ENOMEM)
		l->lane.error = -ENOMEM;
}

/* The fetch goes, its slot stays. */
static struct link_fetch *cancel(struct link_pending *p)
{
	struct link_fetch *fetch = p->fetch;

	p->fetch = NULL;
	p->land = NULL;
	p->cancelled_ms = p->link->net->now_ms;
	lane_let_fall(&p->lane->lane, p->id);
	send_small(p->lane, FRAME_CANCEL, p->id, 0);
	return fetch;
}

/* --- asking ---------------------------------------------------------------------------------- */

/* How many values of the size that is usual here a lane's window has room for. */
static unsigned n_together(const struct link *link)
{
	uint64_t n = link->net->settings.window / (link->usual_size + 1);

	return !link->usual_size || !n ? 1 : n < LINK_FETCHES_MAX ? (unsigned)n : LINK_FETCHES_MAX;
}

/*
 * What fits into a lane's window together goes by that lane: questions, heads and values then share
 * system calls and wake-ups at both ends, which is most of what a small value costs. What does not
 * goes by the lane with the least to do.
 */
static struct link_lane *choose(struct link *link)
{
	struct link_lane *best = &link->data[0];
	unsigned i, n = n_together(link);

	for (i = 0; i < link->net->settings.n_lanes; i++) {
		if (link->data[i].n_fetches < n)
			return &link->data[i];
		if (link->data[i].n_fetches < best->n_fetches)
			best = &link->data[i];
	}
	return best->n_fetches < LINK_FETCHES_MAX ? best : NULL;
}

static void ask(struct link_lane *l, struct link_pending *p)
{
	struct frame head = {FRAME_MAGIC, FRAME_FETCH, 0, p->key_size, 0, p->wait_ms};
	unsigned slot = 0;

	while (l->slots[slot])
		slot++;
	p->lane = l;
	p->id = head.id = ++l->link->next_id * LINK_FETCHES_MAX + slot;
	l->slots[slot] = p;
	l->n_fetches++;
	l->has_asked = true;
	if (lane_queue(&l->lane, &head, p->key) == -ENOMEM)
		l->lane.error = -ENOMEM;
}

void link_kick(struct link *link)
{
	struct link_lane *l;
	unsigned i;

	for (i = 0; i < link->net->settings.n_lanes; i++) {
		l = &link->data[i];
		if (l->has_asked)
			lane_kick(&l->lane);
		l->has_asked = false;
	}
}

static void start_waiting(struct link *link)
{
	struct link_pending *p;
	struct link_lane *l;

	while (link->state == LINK_UP && link->waiting && (l = choose(link))) {
		p = link->waiting;
		link->waiting = p->next;
		if (!link->waiting)
			link->waiting_end = &link->waiting;
		ask(l, p);
	}
}

void link_fetch(struct link *link, struct link_fetch *fetch)
{
	struct link_pending *p = NULL;

	if (link->state == LINK_UP)
		p = calloc(1, sizeof(*p) + fetch->key_size);
	fetch->pending = p;
	if (!p) {
		fetch->done(fetch, LINK_UNREACHABLE);
		return;
	}
	p->fetch = fetch;
	p->link = link;
	p->wait_ms = fetch->wait_ms;
	p->key_size = fetch->key_size;
	memcpy(p->key, fetch->key, fetch->key_size);
	*link->waiting_end = p;
	link->waiting_end = &p->next;
	start_waiting(link);
}

static void unlink_waiting(struct link_pending *p)
{
	struct link *link = p->link;
	struct link_pending **at = &link->waiting;

	while (*at != p)
		at = &(*at)->next;
	*at = p->next;
	if (!p->next)
		link->waiting_end = at;
}

void link_fetch_cancel(struct link_fetch *fetch)
{
	struct link_pending *p = fetch->pending;

	if (p->lane) {
		cancel(p);
		lane_kick(&p->lane->lane);
	} else {
		unlink_waiting(p);
		pending_free(p);
	}
	fetch->done(fetch, LINK_CANCELLED);
}

void fetch_end_all(struct link *link, enum link_result result)
{
	struct link_pending *p;
	unsigned i, slot;

	/* Callbacks may ask for more, which ends at once: the link is not up. */
	for (i = 0; i < link->net->settings.n_lanes; i++)
		for (slot = 0; slot < LINK_FETCHES_MAX; slot++)
			if (link->data[i].slots[slot])
				end(link->data[i].slots[slot], result);
	while (link->waiting) {
		p = link->waiting;
		unlink_waiting(p);
		end(p, result);
	}
}

bool fetch_is_stuck(const struct link *link)
{
	uint64_t now_ms = link->net->now_ms;
	const struct link_pending *p;
	unsigned i, slot;

	for (i = 0; i < link->net->settings.n_lanes; i++)
		for (slot = 0; link->data[i].n_fetches && slot < LINK_FETCHES_MAX; slot++) {
			p = link->data[i].slots[slot];
			if (p && !p->fetch && now_ms > p->cancelled_ms + STUCK_MS)
				return true;
		}
	return false;
}

void fetch_forgive(struct link *link, uint64_t ms)
{
	unsigned i, slot;

	for (i = 0; i < link->net->settings.n_lanes; i++)
		for (slot = 0; link->data[i].n_fetches && slot < LINK_FETCHES_MAX; slot++)
			if (link->data[i].slots[slot])
				link->data[i].slots[slot]->cancelled_ms += ms;
}

/* --- what comes ------------------------------------------------------------------------------ */

static enum link_result result_of(uint8_t status)
{
	switch (status) {
	case FRAME_MISS:
		return LINK_MISS;
	case FRAME_BUSY:
		return LINK_BUSY;
	default: /* nobody but us cancels */
		return LINK_REFUSED;
	}
}

/* Smoothed. What a peer says of a size that no value has decides about lanes, no more. */
static void note_size(struct link *link, uint64_t size)
{
	link->usual_size = link->usual_size ? link->usual_size - link->usual_size / 8 + size / 8 : size;
}

static const char *got_head(struct link_lane *l, const struct frame *head, const uint8_t *body)
{
	struct link_pending *p = find(l, head->id);
	struct link_fetch *fetch;
	uint8_t *land;

	if (!p || p->has_head)
		return "a head that nothing was asked for";
	if (head->flags != FRAME_OK) {
		end(p, result_of(head->flags));
		return NULL;
	}
	memcpy(&p->value, body, sizeof(p->value));
	p->has_head = true;
	note_size(l->link, p->value.size);
	if (!p->fetch)
		return NULL;
	land = p->fetch->land(p->fetch, &p->value);
	/* Not if it was cancelled from within. */
	if (!p->fetch)
		return NULL;
	p->land = land;
	if (!land) {
		fetch = cancel(p);
		fetch->done(fetch, LINK_CANCELLED);
	}
	return NULL;
}

static const char *got_data(struct lane *lane, const struct frame *head, uint8_t **land)
{
	struct link_pending *p = find(of(lane), head->id);

	*land = NULL;
	if (!p || !p->has_head)
		return "bytes that nothing was asked for";
	if (head->argument != p->offset)
		return "bytes in a wrong order";
	if (head->size > p->value.size - p->offset)
		return "bytes beyond the end of a value";
	if (p->land)
		*land = p->land + p->offset;
	return NULL;
}

static void got_part(struct lane *lane, const uint8_t *bytes, size_t size)
{
	struct link_pending *p = find(of(lane), lane->head.id);

	if (p->fetch && p->fetch->n_come)
		*p->fetch->n_come += size;
	if (size == p->value.size) {
		p->whole_sum = sum_of(bytes, size);
		return;
	}
	if (!p->sum) {
		p->sum = sum_new();
		if (!p->sum) {
			/* Nothing that could be published. */
			lane->error = -ENOMEM;
			return;
		}
	}
	sum_add(p->sum, bytes, size);
}

static const char *got_data_end(struct lane *lane, const struct frame *head)
{
	struct link_lane *l = of(lane);

	find(l, head->id)->offset += head->size;
	l->n_taken += head->size;
	if (l->n_taken - l->n_told >= l->link->net->settings.window / 4) {
		l->n_told = l->n_taken;
		send_small(l, FRAME_CREDIT, 0, l->n_told);
	}
	return NULL;
}

static const char *got_end(struct link_lane *l, const struct frame *head)
{
	struct link_pending *p = find(l, head->id);
	uint64_t sum;

	if (!p || !p->has_head)
		return "an end of what nothing was asked for";
	if (head->flags != FRAME_OK) {
		end(p, result_of(head->flags));
		return NULL;
	}
	if (p->offset != p->value.size)
		return "a value that ends too early";
	sum = p->sum ? sum_get(p->sum) : p->whole_sum;
	end(p, sum == head->argument ? LINK_OK : LINK_CORRUPT);
	return NULL;
}

static const char *fetch_frame(struct lane *lane, const struct frame *head, const uint8_t *body)
{
	struct link_lane *l = of(lane);

	if (!l->is_welcome || head->type == FRAME_REFUSE)
		return link_lane_first(l, head, body);
	if (head->type == FRAME_HEAD)
		return got_head(l, head, body);
	return got_end(l, head);
}

const struct lane_ops fetch_lane_ops = {
	.opened = link_lane_opened,
	.frame = fetch_frame,
	.data = got_data,
	.part = got_part,
	.data_end = got_data_end,
	.broken = link_lane_broken,
};
