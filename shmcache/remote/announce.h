/* SPDX-License-Identifier: Apache-2.0 */
/* announce.h: telling a kind what is stored here, and what is gone. */
#ifndef SHMCACHE_REMOTE_ANNOUNCE_H
#define SHMCACHE_REMOTE_ANNOUNCE_H

#include "ipc/events.h"
#include "shmcache/bell.h"
#include "shmcache/remote/loop.h"
#include "shmcache/remote/remote.h"

/* The remote thread as a subscriber of the store's events, like any other: events.h. */
struct announcer {
	struct remote_loop *loop;
	const struct remote_kind *kind;
	void *self;
	struct events_reader reader;
	struct bell bell;
	bool is_open;
};

/* From here on the kind hears of everything. 0 or -errno. */
int announcer_open(struct announcer *a, struct remote_loop *loop, const struct remote_kind *kind,
	void *self);
/* Harmless for one that is not open, and all zero. */
void announcer_close(struct announcer *a);

#endif
