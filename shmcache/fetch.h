/* SPDX-License-Identifier: Apache-2.0 */
/* fetch.h: what a worker has asked of other brokers, and what becomes of the answers. */
#ifndef SHMCACHE_FETCH_H
#define SHMCACHE_FETCH_H

#include "ipc/submission.h"
#include "shmcache/remote/desk.h"
#include "shmcache/session.h"

/*
 * A lane may have many tickets out at once, next to whatever else it asks; their answers come in
 * any order. What was delivered to a session is its own until it is given up or the session ends.
 * All of this by the lane's worker.
 */

/*
 * Send a ticket for @sub, and @key. OK: it is out, and its answer comes by fetch_land(). MISS:
 * there is nobody to ask. NOMEM. What was done here already came to @so_far.
 */
enum abi_status fetch_send(struct lane *lane, enum ticket_kind kind, const struct submission *sub,
	const struct index_key *key, enum abi_status so_far);

/*
 * A ticket came back. True with the completion, if somebody waits for it at its lane; what was
 * delivered to nobody is given back. Then fetch_end(), behind the answer, so that whoever looks on
 * sees the one or the other: it frees the ticket.
 */
bool fetch_land(struct store *store, struct abi_worker *w, struct ticket *ticket,
	struct completion *completion);
void fetch_end(struct ticket *ticket);

/* Give up a delivery. False: the session has none of that number. */
bool fetch_give_up(struct store *store, struct session *s, uint64_t reservation);

/* The session leaves: its tickets are nobody's, its deliveries go back. */
void fetch_leave(struct store *store, struct session *s);

#endif
