/* SPDX-License-Identifier: Apache-2.0 */
/* subscribe.h: sessions that want to hear what happens in the cache. */
#ifndef SHMCACHE_SUBSCRIBE_H
#define SHMCACHE_SUBSCRIBE_H

#include "ipc/wire.h"
#include "shmcache/bell.h"
#include "shmcache/session.h"

/* Of a broker; the control thread's. */
struct subscriptions {
	struct store *store;
	struct bell bell;
	struct session *waiting; /* have read all that there is, and are to be told when there is more */
};

/* 0 or -errno. The store is open. Close is harmless for one that is all zero. */
int subscriptions_open(struct subscriptions *subs, struct store *store, int epoll);
void subscriptions_close(struct subscriptions *subs, int epoll);

/*
 * Carry out a SUBSCRIBE and answer it: the kinds take the place of those that the session wanted
 * before. By the control thread. 0, -EBADMSG: nonsense, or what wire_send() says.
 */
int subscribe_answer(struct subscriptions *subs, struct session *s,
	const struct wire_subscribe *message);

/* Carry out a WAIT. By the control thread. 0 or -EBADMSG. */
int subscribe_wait(
	struct subscriptions *subs, struct session *s, const struct wire_wait *message);

/* It waits no more. By the control thread, before anybody else has the session. */
void subscribe_wait_not(struct session *s);

/* The session wants no more events. Once nobody else has it. */
void subscribe_end(struct session *s, struct store *store);

#endif
