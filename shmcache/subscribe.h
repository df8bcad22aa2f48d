/* SPDX-License-Identifier: Apache-2.0 */
/* subscribe.h: sessions that want to hear what happens in the cache. */
#ifndef SHMCACHE_SUBSCRIBE_H
#define SHMCACHE_SUBSCRIBE_H

#include "ipc/wire.h"
#include "shmcache/session.h"

/*
 * Carry out a SUBSCRIBE and answer it: the kinds take the place of those that the session wanted before.
 * By the control thread. 0, -EBADMSG: nonsense, or what wire_send() says.
 */
int subscribe_answer(
	struct session *s, struct store *store, const struct wire_subscribe *message);

/* The session wants no more events. Once nobody else has it. */
void subscribe_end(struct session *s, struct store *store);

#endif
