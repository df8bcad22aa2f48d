/* SPDX-License-Identifier: Apache-2.0 */
/* peers.h: other brokers, as a kind of remote. */
#ifndef SHMCACHE_REMOTE_PEERS_PEERS_H
#define SHMCACHE_REMOTE_PEERS_PEERS_H

#include "shmcache/config/config.h"
#include "shmcache/remote/remote.h"

/*
 * One link to each member of the cluster, and theirs to us. open() reads [remote] of the loop's
 * configuration, and listens. A holder's number is its member's (membership.h).
 */
extern const struct remote_kind peers_kind;

/*
 * The file was read again: of what this broker's own file says this holds from now on, where the
 * cluster does not say otherwise. It differs from what was read before in keys that a running broker
 * can change.
 */
void peers_reload(void *self, const struct config *file);

/* Has announce() a use for what it is told? */
bool peers_want_events(const void *self);

/* So many bytes of the tiers here are free: the others are told. */
void peers_set_free(void *self, uint64_t bytes);

/* Of how many keys it knows a holder, as a shard of the directory. */
uint64_t peers_n_records(const void *self);

#endif
