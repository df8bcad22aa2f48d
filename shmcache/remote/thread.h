/* SPDX-License-Identifier: Apache-2.0 */
/* thread.h: the remote thread: all that has to do with other brokers, from its start to its end. */
#ifndef SHMCACHE_REMOTE_THREAD_H
#define SHMCACHE_REMOTE_THREAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "ipc/wire.h"
#include "shmcache/config/config.h"
#include "shmcache/log/log.h"
#include "shmcache/remote/desk.h"
#include "shmcache/store.h"

struct remote;

/* All of them outlive the thread, but for @config, which is copied. */
struct remote_options {
	struct store *store;
	struct abi_worker *worker; /* of the plane: ABI_REMOTE's */
	struct shared_u64 *gauge;  /* of the plane: those of peers are this thread's */
	struct log *log;
	const struct config *config;
	struct desk *desk; /* closed; it is open while the thread runs */
};

/*
 * Listen, and begin to look for the others. 0 with NULL in *out where the configuration knows no
 * others; or -errno and a sentence in @why, with nothing to undo.
 */
int remote_start(
	struct remote **out, const struct remote_options *options, char *why, size_t why_size);

/*
 * @config is in force from now on, within a second; it is copied. It differs from what was there
 * before in keys that a running broker can change. Any thread. NULL has no use for it.
 */
void remote_reload(struct remote *remote, const struct config *config);

/*
 * Every ticket has been answered when it returns, and the desk is closed. To be called while the
 * workers run, by a thread that is registered with liburcu. NULL is ignored.
 */
void remote_stop(struct remote *remote);

/*
 * Write what is to be told of each peer, as of the last second, in the text format of Prometheus.
 * Any thread, until remote_stop(). NULL has nothing to tell.
 */
void remote_write_metrics(struct remote *remote, FILE *out);

/* The same as lines of a table: up to @max of REMOTE_HOLDERS_MAX; returns how many. As above. */
unsigned remote_get_peers(struct remote *remote, struct wire_peer *lines, unsigned max);

/* And as members of a JSON object, each behind a comma. As above. */
void remote_write_status(struct remote *remote, FILE *out);

/* Does it keep a shard of the directory? As above. */
bool remote_is_shard(struct remote *remote);

/* Has it made no round for so long? Any thread. NULL never has. */
bool remote_is_stuck(const struct remote *remote, uint64_t ms);

#endif
