/* SPDX-License-Identifier: Apache-2.0 */
/* request.h: carrying out one submission. */
#ifndef SHMCACHE_REQUEST_H
#define SHMCACHE_REQUEST_H

#include "ipc/submission.h"
#include "shmcache/session.h"

enum request_outcome {
	REQUEST_DONE,	 /* the completion is filled in */
	REQUEST_GOES_ON, /* lane->flush runs; the lane takes no more until it is through */
	REQUEST_ELSEWHERE, /* a ticket is out, see fetch.h; the lane goes on meanwhile */
	REQUEST_BROKEN,	 /* nonsense: *fault says which, the session is to be cut off */
};

/*
 * Carry out @sub, a private copy that submission_snapshot() has passed. By the lane's worker.
 */
enum request_outcome request_run(struct store *store, struct abi_worker *w, struct lane *lane,
	const struct submission *sub, struct completion *completion, enum abi_fault *fault);

/* A further stretch of a running flush. */
enum request_outcome request_flush_on(
	struct store *store, struct abi_worker *w, struct lane *lane, struct completion *completion);

#endif
