/* SPDX-License-Identifier: Apache-2.0 */
/* announce.c: from the ring of events to a kind's announce(). */
#include "shmcache/events.h"
#include "shmcache/remote/announce.h"

/*
 * What is told of a key is a hint, and may be late: the bell rings each PAUSE_NS at most, and not
 * at all while nothing happens. When we were lapped, the kind is told to begin anew: REMOTE_AGAIN.
 *
 * A round reads so many events at most, so that a storm of puts does not keep transfers waiting; a
 * store that is ever faster than that costs laps, and walks, never memory.
 */
#define PAUSE_NS 10000000
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

static void look(struct watch *watch, uint32_t events)
{
	struct announcer *a = watch->owner;
	enum events_result result;
	uint8_t key[ABI_KEY_SIZE_MAX];
	struct event e;
	uint64_t n_lost;
	unsigned n = ROUND_MAX;

	(void)events;
	(void)bell_take(&a->bell, a->loop->store);
	while (n-- && (result = events_read(&a->reader, &e, key, &n_lost)) != EVENTS_NONE) {
		if (result == EVENTS_GOT)
			tell(a, &e, key);
		else
			a->kind->announce(a->self, &(struct remote_event){.type = REMOTE_AGAIN}, 1);
	}
	/* There is more already, or we have not come to the end. */
	if (!store_bell_arm(a->loop->store, &a->bell.store, KINDS, a->reader.position))
		bell_ring(&a->bell);
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
	a->bell.timer.ready = look;
	a->bell.timer.owner = a;
	r = events_reader_init(&a->reader, region, size);
	if (!r)
		r = bell_open(&a->bell, loop->store, loop->epoll, PAUSE_NS);
	if (r) {
		announcer_close(a);
		return r;
	}
	bell_ring(&a->bell);
	/* What is here from before, as after a warm start. */
	kind->announce(self, &(struct remote_event){.type = REMOTE_AGAIN}, 1);
	return 0;
}

void announcer_close(struct announcer *a)
{
	if (!a->is_open)
		return;
	bell_close(&a->bell, a->loop->store, a->loop->epoll);
	store_unsubscribe(a->loop->store, KINDS);
	a->is_open = false;
}
