/* SPDX-License-Identifier: Apache-2.0 */
/* lent.h: a broker whose remote thread the test is, and clients that are only rings. */
#ifndef TESTS_SHMCACHE_LENT_H
#define TESTS_SHMCACHE_LENT_H

#include "shmcache/broker.h"

/* A session of one lane. What the client maps is mapped here a second time. */
struct caller {
	struct session *session;
	struct lane *lane;
	struct session_descriptors fds;
	uint8_t *request, *response;
	size_t request_size, response_size;
	struct abi_submission *submission;
	const struct abi_completion *completion;
	uint8_t *staging;
	unsigned n_queue;
	int bell; /* its end of the doorbell */
	uint64_t n_sent, n_taken; /* the next id and position are n_sent */
};

/*
 * Start @b with one worker, as on a machine with few CPUs, with nobody at its desk; and stop it,
 * when the desk is closed. Its name is one that rig_begin() cleans up after.
 */
void lent_broker_start(struct broker *b);
void lent_broker_stop(struct broker *b);

/* Attach to @worker, which has the lane in its mail then; and free what the client has of it. */
void caller_open(struct caller *g, struct broker *b, struct worker *worker);
void caller_close(struct caller *g);

/* Hand a request over for key number @key: a fetch, or a put of 8 bytes. Without a ring. */
void caller_send(struct caller *g, enum abi_operation operation, unsigned key);

/* The next answer: false, there is none. */
bool caller_take(struct caller *g, struct completion *completion);

#endif
