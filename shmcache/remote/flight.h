/* SPDX-License-Identifier: Apache-2.0 */
/* flight.h: values on their way: who waits for them, who is asked, and what becomes of them. */
#ifndef SHMCACHE_REMOTE_FLIGHT_H
#define SHMCACHE_REMOTE_FLIGHT_H

#include <stdbool.h>
#include <stdint.h>

#include "shmcache/remote/breaker.h"
#include "shmcache/remote/desk.h"
#include "shmcache/remote/loop.h"
#include "shmcache/remote/remote.h"

/*
 * A *flight* is one key on its way. Whoever asks for it joins: there is never a second transfer of
 * a key beside the first. Each waiter has a deadline of his own and is answered exactly once, in
 * time; the flight ends when nobody waits for it any more, but for a value that is to be cached and
 * whose bytes are coming already.
 *
 *	take -> (here? known to be absent?) -> locate -> wait for a place -> fetch from one holder
 *	after another -> held for its batch's verdict -> published or delivered -> answered
 *
 * All of it is of the remote thread, and bounded: flights, transfers at once, bytes that are on
 * their way or held.
 */
#define FLIGHTS_MAX 16384     /* of which each session has its share; more are answered BUSY */
#define FLIGHT_SOURCES_MAX 4  /* kinds, asked one after another */

/* An open kind. */
struct flight_source {
	const struct remote_kind *kind;
	void *self;
};

struct flights;

/* What the configuration and the broker say. */
struct flights_options {
	struct remote_loop *loop;
	/*
	 * Called for each ticket that was taken, once, when its answer stands in it. It is not ours
	 * then.
	 */
	void (*answer)(struct ticket *ticket);
};

/* 0 or -ENOMEM. */
int flights_new(struct flights **flights, const struct flights_options *options);

/*
 * All that wait are answered; what is out is cancelled. The kinds are open still, and closed after.
 */
void flights_free(struct flights *flights);

/*
 * One more kind, after the others, which is listened to. The caller has opened it, and closes it.
 */
void flights_add(struct flights *flights, const struct flight_source *source);

/* Takes a list of tickets, in their order. */
void flights_take(struct flights *flights, struct ticket *tickets);

/*
 * Somebody else may have the key of that @name now (NULL: any): that it was nowhere is known no
 * more, and those who are being asked for it now say nothing of later. Kinds tell it by their ear.
 */
void flights_heard(struct flights *flights, const XXH128_hash_t *name);

/* The holders of all kinds, with the state of their breakers. Returns how many. */
unsigned flights_health(struct flights *flights, struct remote_health *health, unsigned max);

/* How many there are; and of these, transfers that are out. For tests and inspectors. */
unsigned flights_n(const struct flights *flights);
unsigned flights_n_fetching(const struct flights *flights);

#endif
