/* SPDX-License-Identifier: Apache-2.0 */
/* events.h: telling subscribers what happens in a store, and nobody where there are none. */
#ifndef SHMCACHE_EVENTS_H
#define SHMCACHE_EVENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ipc/events.h"

struct store;

/*
 * For who has read all there is and sleeps: rung once by the first event of a kind that it is armed
 * for. A subscriber that is awake, or stands still, is not armed and costs nothing.
 */
struct store_bell {
	/*
	 * By whichever thread writes, under the store's lock: to wake somebody, and nothing that
	 * waits.
	 */
	void (*ring)(struct store_bell *bell);
	unsigned armed; /* kinds, 1 << EVENT_... */
	unsigned rung;	/* of those that it was armed for, which have come; taken by store_bell_take() */
	struct store_bell *next;
};

/* Of a store; under its lock, but for the constants once there is a region. */
struct store_events {
	struct events_writer writer;
	void *region; /* NULL: nobody ever subscribed */
	size_t size;
	int fd;
	unsigned n_wanting[EVENTS_N_KINDS];
	unsigned kinds; /* those that somebody wants; 0: nobody listens */
	uint64_t last[EVENTS_N_KINDS]; /* where the last event of that kind ends in the ring */
	struct store_bell *bells;
	unsigned armed; /* of all bells */
};

/* One thread, before and after all others. */
void store_events_init(struct store_events *events);
void store_events_deinit(struct store_events *events);

/*
 * One more who wants to hear of @kinds (1 << EVENT_...). He sees the kinds that others want too,
 * and leaves out what is not his. The region is the store's and stays until it is closed: *fd to
 * map it for reading (it is sealed against any other mapping, and against changes of its size), or
 * *region in this very process. Any thread, without the store's lock. 0, -EINVAL: no such kinds;
 * -ENOMEM, -EMFILE ...
 */
int store_subscribe(
	struct store *s, unsigned kinds, int *fd, const void **region, size_t *size);
/* The same @kinds. */
void store_unsubscribe(struct store *s, unsigned kinds);

/* One more bell; one less. Any thread. */
void store_bell_add(struct store *s, struct store_bell *bell);
void store_bell_remove(struct store *s, struct store_bell *bell);

/*
 * Ring @bell when the next event of one of @kinds is written, beside those that it is armed for
 * already. False: there is one behind @position of the ring, where the caller has read to: nothing
 * is armed. Any thread.
 */
bool store_bell_arm(
	struct store *s, struct store_bell *bell, unsigned kinds, uint64_t position);

/* Which kinds it was rung for since the last time; it is armed for these no more. Any thread. */
unsigned store_bell_take(struct store *s, struct store_bell *bell);

/* Write an event of the published (or just retired) record in @cell. */
void store_tell_locked(struct store *s, enum event_kind kind, unsigned flags, uint32_t cell);

#endif
