/* SPDX-License-Identifier: Apache-2.0 */
/* former.h: clients of former brokers, who may still hold values and fill reserved blocks. */
#ifndef SHMCACHE_FORMER_H
#define SHMCACHE_FORMER_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "shmcache/log/log.h"
#include "shmcache/plane.h"
#include "shmcache/store.h"

struct former;

/* Set up by whoever owns it, but for what is private to former.c. */
struct formers {
	struct plane *plane;
	struct store *store;
	struct log *log;
	pthread_mutex_t *lock; /* the sessions lock */
	int epoll;

	/* Changed by the control thread under the lock. */
	struct former *first;
	/* The control thread's. */
	uint64_t deadline_ms; /* of the grace; 0: over */
	uint64_t pid_ns;      /* ours */
	unsigned budget;      /* closer looks at descriptors that this start has left */
};

/*
 * All but formers_scan() and formers_check_holds() are the control thread's.
 *
 * Take over what the plane's session directory tells of, behind the membarrier that follows the new
 * epoch and before the store is used. What can't be found is waited for until @grace_ms are over.
 * Without a warm store there is nothing to take over, and formers_forget() clears the directory.
 */
void formers_open(struct formers *f, uint64_t now_ms, uint64_t grace_ms);
void formers_forget(struct formers *f);

/* Let go of the regions. The lines stay: the next broker takes them over. */
void formers_close(struct formers *f);

/* Drop who holds nothing any more; give up who has not shown up when the grace is over. */
void formers_upkeep(struct formers *f, uint64_t now_ms);

/* How many sessions of this process are waited for. */
unsigned formers_awaited(const struct formers *f, pid_t pid, uid_t uid);

/*
 * The process hands over the request region of its @session. @fd stays the caller's. False when it
 * is none that is waited for, or not that region: no harm is done.
 */
bool formers_take(struct formers *f, pid_t pid, uid_t uid, uint64_t session, int fd);

/* The directory is full: give up the one that has been attached first, writers last. */
void formers_make_way(struct formers *f);

/* How many hold cells of theirs are set; their lines tell since when. Under the lock. */
uint64_t formers_look_at_holds(struct formers *f, uint64_t now_ms);

/* For a reclaim round, under the lock. */
void formers_scan(const struct formers *f, struct index *ix, uint8_t round);

/*
 * Under the lock: give up those that keep more than @quota bytes of retired blocks of @tier, as
 * sessions are cut off for it. Their regions stay until the next formers_upkeep().
 */
void formers_check_holds(struct formers *f, unsigned tier, uint64_t quota);

#endif
