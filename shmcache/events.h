/* SPDX-License-Identifier: Apache-2.0 */
/* events.h: telling subscribers what happens in a store, and nobody where there are none. */
#ifndef SHMCACHE_EVENTS_H
#define SHMCACHE_EVENTS_H

#include <stddef.h>
#include <stdint.h>

#include "ipc/events.h"

struct store;

/* Of a store; under its lock, but for the constants once there is a region. */
struct store_events {
	struct events_writer writer;
	void *region; /* NULL: nobody ever subscribed */
	size_t size;
	int fd;
	unsigned n_wanting[EVENTS_N_KINDS];
	unsigned kinds; /* those that somebody wants; 0: nobody listens */
};

/* One thread, before and after all others. */
void store_events_init(struct store_events *events);
void store_events_deinit(struct store_events *events);

/*
 * One more who wants to hear of @kinds (1 << EVENT_...). He sees the kinds that others want too, and
 * leaves out what is not his. The region is the store's and stays until it is closed: *fd to map it for
 * reading (it is sealed against any other mapping, and against changes of its size), or *region in this
 * very process. Any thread, without the store's lock. 0, -EINVAL: no such kinds; -ENOMEM, -EMFILE ...
 */
int store_subscribe(
	struct store *s, unsigned kinds, int *fd, const void **region, size_t *size);
/* The same @kinds. */
void store_unsubscribe(struct store *s, unsigned kinds);

/* Write an event of the published (or just retired) record in @cell. */
void store_tell_locked(struct store *s, enum event_kind kind, unsigned flags, uint32_t cell);

#endif
