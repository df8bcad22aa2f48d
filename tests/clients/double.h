/* SPDX-License-Identifier: Apache-2.0 */
/* double.h: what stands in for all other brokers: a thread that answers a broker's tickets. */
#ifndef TESTS_CLIENTS_DOUBLE_H
#define TESTS_CLIENTS_DOUBLE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "shmcache/broker.h"

/*
 * What becomes of a key is in its first letter:
 *
 *	p	published
 *	d	delivered; to a prefetch: declined
 *	v	published, and gone at once; delivered, if it is not to be published
 *	w	published, and gone at once
 *	0 - 9	a miss for that reason
 *	l	delivered, but not before double_release()
 *	n	never, until the session leaves or the double stops
 *	r	a miss: nobody; as double_release(), for who is in another process
 *	q	a miss: nobody; and all that is not answered yet is one
 *
 * Values are @size bytes, each the last of the key, unless @make is set to make others.
 */
#define DOUBLE_VERSION 1000000 /* of all values of shmcached-double: later than any that is put */

struct double_ {
	struct broker *broker;
	struct abi_worker *w;
	pthread_t thread;
	void (*make)(uint8_t *data, uint64_t size, const struct ticket *ticket);
	int bell;
	atomic_bool is_stopping, is_released;
	_Atomic uint64_t n_taken, n_left, n_erased; /* tickets by kind */
	_Atomic uint64_t size;
	/* Of the last ticket. */
	_Atomic uint64_t batch, n_batch, position, write_back, deadline_ms;
	/* What tickets without a deadline get, 0: none; and when the first was over that got one. */
	_Atomic uint64_t timeout_ms, first_deadline_ms;
	struct ticket *kept; /* the thread's */
	_Atomic unsigned n_kept;
};

/* With @make set, or NULL. 0 or -errno. It stays where it is until double_stop(). */
int double_start(struct double_ *d, struct broker *broker);
void double_release(struct double_ *d);
/* Everything is answered then, and the desk closed. */
void double_stop(struct double_ *d);

#endif
