/* SPDX-License-Identifier: Apache-2.0 */
/* subscribe.c: handing out the region of events, and waking who sleeps until there are more. */
#include <errno.h>

#include "shmcache/subscribe.h"

/*
 * Whoever may read the cache may read its events: a reader can list the keys anyway, and the region
 * has nothing else. Events cost those who put, not those who listen, but by a copy of the key at
 * most, however many listen; so there is no quota on them beside that of sessions.
 *
 * Who has read all that there is says so by a WAIT, with the place that it has read to, and sleeps
 * on its socket. A flag in its own memory would save it that system call, and would have to be
 * looked for at each event, in as many places as there are subscribers. So the writer looks at one
 * word of its own, which says whether anybody waits for that kind; the first event that somebody
 * does wakes this thread (bell.h), which tells each who waited: once, and nobody more often than
 * each PAUSE_NS. What a subscriber can cost by waiting all the time is this thread's time, of which
 * there is a ration.
 *
 * READY is sent without waiting. If the socket is full, as of one who asks and does not read, there
 * is something to read already.
 */
#define PAUSE_NS 5000000

static void wait_begin(struct subscriptions *subs, struct session *s)
{
	if (s->wait_link)
		return;
	s->wait_next = subs->waiting;
	s->wait_link = &subs->waiting;
	if (s->wait_next)
		s->wait_next->wait_link = &s->wait_next;
	subs->waiting = s;
}

void subscribe_wait_not(struct session *s)
{
	if (!s->wait_link)
		return;
	*s->wait_link = s->wait_next;
	if (s->wait_next)
		s->wait_next->wait_link = s->wait_link;
	s->wait_link = NULL;
	s->is_due = false;
}

static void set_due(struct subscriptions *subs, struct session *s)
{
	s->is_due = true;
	bell_ring(&subs->bell);
}

static void bell_ready(struct watch *watch, uint32_t events)
{
	struct subscriptions *subs = watch->owner;
	unsigned kinds = bell_take(&subs->bell, subs->store);
	struct wire_ready message;
	struct session *s, *next;

	(void)events;
	for (s = subs->waiting; s; s = next) {
		next = s->wait_next;
		if (!s->is_due && !(s->event_kinds & kinds))
			continue;
		subscribe_wait_not(s);
		(void)wire_send(s->socket.fd, WIRE_READY, &message, sizeof(message), NULL, 0);
	}
}

int subscriptions_open(struct subscriptions *subs, struct store *store, int epoll)
{
	subs->store = store;
	subs->waiting = NULL;
	subs->bell.timer.ready = bell_ready;
	subs->bell.timer.owner = subs;
	return bell_open(&subs->bell, store, epoll, PAUSE_NS);
}

void subscriptions_close(struct subscriptions *subs, int epoll)
{
	while (subs->waiting)
		subscribe_wait_not(subs->waiting);
	bell_close(&subs->bell, subs->store, epoll);
}

void subscribe_end(struct session *s, struct store *store)
{
	if (s->event_kinds)
		store_unsubscribe(store, s->event_kinds);
	s->event_kinds = 0;
}

int subscribe_answer(struct subscriptions *subs, struct session *s,
	const struct wire_subscribe *message)
{
	struct wire_events answer = {.status = ABI_STATUS_OK};
	const void *region;
	size_t size = 0;
	int fd = -1, r = 0;

	if (message->kinds & ~EVENTS_ALL || message->zero)
		return -EBADMSG;
	if (message->kinds)
		r = store_subscribe(subs->store, message->kinds, &fd, &region, &size);
	/* The new ones first: none that is in both is missed in between. */
	if (!r) {
		subscribe_end(s, subs->store);
		s->event_kinds = message->kinds;
	} else {
		answer.status = ABI_STATUS_NOMEM;
	}
	/* The bell is armed for the former kinds. */
	if (s->wait_link)
		set_due(subs, s);
	answer.size = size;
	return wire_send(s->socket.fd, WIRE_EVENTS, &answer, sizeof(answer), &fd, fd >= 0);
}

int subscribe_wait(
	struct subscriptions *subs, struct session *s, const struct wire_wait *message)
{
	/* It has no ring to have read. */
	if (!s->event_kinds)
		return -EBADMSG;
	wait_begin(subs, s);
	if (!store_bell_arm(subs->store, &subs->bell.store, s->event_kinds, message->position))
		set_due(subs, s);
	return 0;
}
