/* SPDX-License-Identifier: Apache-2.0 */
/* subscribe.c: handing out the region of events. */
#include <errno.h>

#include "shmcache/subscribe.h"

/*
 * Whoever may read the cache may read its events: a reader can list the keys anyway, and the region has
 * nothing else. Events cost those who put, not those who listen, but by a copy of the key at most,
 * however many listen; so there is no quota on them beside that of sessions.
 */
void subscribe_end(struct session *s, struct store *store)
{
	if (s->event_kinds)
		store_unsubscribe(store, s->event_kinds);
	s->event_kinds = 0;
}

int subscribe_answer(
	struct session *s, struct store *store, const struct wire_subscribe *message)
{
	struct wire_events answer = {.status = ABI_STATUS_OK};
	const void *region;
	size_t size = 0;
	int fd = -1, r = 0;

	if (message->kinds & ~EVENTS_ALL || message->zero)
		return -EBADMSG;
	if (message->kinds)
		r = store_subscribe(store, message->kinds, &fd, &region, &size);
	/* The new ones first: none that is in both is missed in between. */
	if (!r) {
		subscribe_end(s, store);
		s->event_kinds = message->kinds;
	} else {
		answer.status = ABI_STATUS_NOMEM;
	}
	answer.size = size;
	return wire_send(s->socket.fd, WIRE_EVENTS, &answer, sizeof(answer), &fd, fd >= 0);
}
