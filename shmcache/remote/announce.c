/* SPDX-License-Identifier: Apache-2.0 */
/* announce.c: from the ring of events to a kind's announce(). */
#include "shmcache/events.h"
#include "shmcache/remote/announce.h"

/*
 * The ring is looked at some hundred times a second, as nobody rings for it: what is told of a key is a
 * hint, and may be that late. When we were lapped, the kind is told to begin anew: REMOTE_AGAIN.
 *
 * A round reads so many events at most, so that a storm of puts does not keep transfers waiting; a
 * store that is ever faster than that costs laps, and walks, never memory.
 */
#define PAUSE_MS 10
#define ROUND_MAX 4096
#define KINDS (1U << EVENT_STORED | 1U << EVENT_EVICTED | 1U << EVENT_DELETED)

static void tell(struct announcer *a, const struct event *e, const void *key)
{
	struct remote_event event = {.type = e->kind == EVENT_STORED ? REMOTE_STORED : REMOTE_GONE,
		.key = remote_key(key, e->key_size),
		.size = e->value_size};

	if (KINDS >> e->kind & 1)
		a->kind->announce(a->self, &event, 1);
}

static void look(struct timer *timer)
{
	struct announcer *a = timer->owner;
	enum events_result result;
	uint8_t key[ABI_KEY_SIZE_MAX];
	struct event e;
	uint64_t n_lost;
	unsigned n = ROUND_MAX;

	while (n-- && (result = events_read(&a->reader, &e, key, &n_lost)) != EVENTS_NONE) {
		if (result == EVENTS_GOT)
			tell(a, &e, key);
		else
			a->kind->announce(a->self, &(struct remote_event){.type = REMOTE_AGAIN}, 1);
	}
	remote_loop_at(a->loop, timer, store_now_ms() + PAUSE_MS);
}

int announcer_open(struct announcer *a, struct remote_loop *loop, const struct remote_kind *kind,
	void *self)
{
	const void *region;
	size_t size;
	int fd, r;

	a->loop = loop;
	a->kind = kind;
	a->self = self;
	r = store_subscribe(loop->store, KINDS, &fd, &region, &size);
	if (r)
		return r;
	a->is_open = true;
	r = events_reader_init(&a->reader, region, size);
	if (r) {
		announcer_close(a);
		return r;
	}
	a->timer.expired = look;
	a->timer.owner = a;
	remote_loop_at(loop, &a->timer, store_now_ms() + PAUSE_MS);
	/* What is here from before, as after a warm start. */
	kind->announce(self, &(struct remote_event){.type = REMOTE_AGAIN}, 1);
	return 0;
}

void announcer_close(struct announcer *a)
{
	if (!a->is_open)
		return;
	remote_loop_not_at(a->loop, &a->timer);
	store_unsubscribe(a->loop->store, KINDS);
	a->is_open = false;
}
