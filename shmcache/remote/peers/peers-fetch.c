/* SPDX-License-Identifier: Apache-2.0 */
/* peers-fetch.c: transfers from peers. */
#include <stddef.h>
#include <stdlib.h>

#include "ipc/histogram.h"
#include "shmcache/remote/peers/peers-impl.h"

/*
 * A transfer is the link's; what is added is that it ends at its deadline, and what is counted of
 * it. Those that begin in one go are asked for together: a small value costs little more than the
 * system calls and wake-ups that bring it.
 */
struct transfer {
	struct link_fetch fetch;
	struct remote_fetch *user;
	struct peer *peer;
	struct timer deadline;
	uint64_t begin_ns, size;
	bool is_late, is_wrong;
	struct transfer *next, **link;
};

static struct transfer *transfer_of(struct link_fetch *fetch)
{
	return (struct transfer *)(void *)((char *)fetch - offsetof(struct transfer, fetch));
}

static void note_latency(struct remote_health *h, uint64_t ns)
{
	h->latency_ns = h->latency_ns ? h->latency_ns - h->latency_ns / 8 + ns / 8 : ns;
}

static uint8_t *transfer_land(struct link_fetch *fetch, const struct frame_value *value)
{
	struct transfer *t = transfer_of(fetch);
	struct remote_head head = {.size = value->size, .ttl_ms = value->ttl_ms};

	note_latency(&t->peer->counts.health, store_now_ns() - t->begin_ns);
	/* One of no bytes does not get as far: frame.c. */
	if (value->size > ABI_VALUE_SIZE_MAX) {
		t->is_wrong = true;
		return NULL;
	}
	if (value->flags & FRAME_WITH_HINTS)
		head.hints = value->hints;
	t->size = value->size;
	return t->user->land(t->user, &head);
}

static enum remote_result result_of(const struct transfer *t, enum link_result result)
{
	static const enum remote_result results[] = {
		[LINK_OK] = REMOTE_OK,
		[LINK_MISS] = REMOTE_MISS,
		[LINK_BUSY] = REMOTE_REFUSED,
		[LINK_REFUSED] = REMOTE_REFUSED,
		[LINK_CORRUPT] = REMOTE_CORRUPT,
		[LINK_UNREACHABLE] = REMOTE_UNREACHABLE,
		[LINK_CANCELLED] = REMOTE_CANCELLED,
	};

	if (t->is_wrong)
		return REMOTE_REFUSED;
	return t->is_late && result == LINK_CANCELLED ? REMOTE_TIMEOUT : results[result];
}

static void transfer_done(struct link_fetch *fetch, enum link_result link_result)
{
	struct transfer *t = transfer_of(fetch);
	enum remote_result result = result_of(t, link_result);
	struct remote_health *h = &t->peer->counts.health;
	struct remote_fetch *user = t->user;

	remote_loop_not_at(t->peer->peers->loop, &t->deadline);
	*t->link = t->next;
	if (t->next)
		t->next->link = t->link;
	h->n_misses += result == REMOTE_MISS;
	h->n_failures += result != REMOTE_OK && result != REMOTE_MISS && result != REMOTE_CANCELLED;
	if (result == REMOTE_OK) {
		histogram_add(&t->peer->counts.times, store_now_ns() - t->begin_ns, 1);
		h->received_bytes += t->size;
	}
	user->kind_state = NULL;
	free(t);
	user->done(user, result);
}

static void transfer_late(struct timer *timer)
{
	struct transfer *t = timer->owner;

	t->is_late = true;
	link_fetch_cancel(&t->fetch);
}

void peers_fetch(void *self, unsigned holder, struct remote_fetch *user)
{
	struct peers *p = self;
	struct peer *peer = holder < REMOTE_HOLDERS_MAX ? p->peer[holder] : NULL;
	uint64_t now_ms = store_now_ms();
	struct transfer *t;

	if (!peer || now_ms >= user->deadline_ms) {
		user->done(user, peer ? REMOTE_TIMEOUT : REMOTE_UNREACHABLE);
		return;
	}
	t = calloc(1, sizeof(*t));
	if (!t) {
		user->done(user, REMOTE_NOSPACE);
		return;
	}
	t->user = user;
	t->peer = peer;
	t->begin_ns = store_now_ns();
	t->fetch = (struct link_fetch){.key = user->key.data,
		.key_size = user->key.size,
		.wait_ms = user->deadline_ms - now_ms < UINT32_MAX
			? (uint32_t)(user->deadline_ms - now_ms)
			: UINT32_MAX,
		.land = transfer_land,
		.done = transfer_done,
		.n_come = &user->n_bytes};
	t->next = p->transfers;
	t->link = &p->transfers;
	if (t->next)
		t->next->link = &t->next;
	p->transfers = t;
	t->deadline.expired = transfer_late;
	t->deadline.owner = t;
	remote_loop_at(p->loop, &t->deadline, user->deadline_ms);
	user->kind_state = t;
	peer->counts.health.n_fetches++;
	/* It may be over, and @t gone, when this returns. */
	link_fetch(peer->link, &t->fetch);
	remote_loop_soon(p->loop, &peer->kick);
}

void peers_fetch_kick(struct remote_later *later)
{
	struct peer *peer = later->owner;

	link_kick(peer->link);
}

void peers_cancel(void *self, struct remote_fetch *user)
{
	struct transfer *t = user->kind_state;

	(void)self;
	if (t)
		link_fetch_cancel(&t->fetch);
}
