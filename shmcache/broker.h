/* SPDX-License-Identifier: Apache-2.0 */
/* broker.h: the whole broker: one struct, owned by main. */
#ifndef SHMCACHE_BROKER_H
#define SHMCACHE_BROKER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "shmcache/attach.h"
#include "shmcache/config/config.h"
#include "shmcache/control.h"
#include "shmcache/former.h"
#include "shmcache/http/http.h"
#include "shmcache/log/log.h"
#include "shmcache/mover.h"
#include "shmcache/plane.h"
#include "shmcache/remote/thread.h"
#include "shmcache/session.h"
#include "shmcache/settings.h"
#include "shmcache/store.h"
#include "shmcache/subscribe.h"
#include "shmcache/worker.h"

/*
 * Threads: the control thread (main) accepts, says hello, notices deaths and signals; the workers
 * carry out requests. A session belongs to one worker. Locks, in the order in which they nest:
 * reclaim_lock, sessions_lock, the store's lock; a worker's inbox lock is a leaf.
 */
/*
 * What the workers look at of the configuration: they have no part in the rest of it, which the
 * control thread writes at a reload. Relaxed: a round by the old number is no harm.
 */
struct broker_tuning {
	_Atomic unsigned round, poll, held_percent;
	_Atomic uint64_t spin_ns;
};

struct broker {
	struct config *config; /* in force; the control thread's once the workers run */
	struct config as_read; /* the same before sizes were filled in */
	const struct settings *settings;
	struct broker_tuning tuning;
	struct log *log;
	struct plane plane;
	struct store store;
	struct worker worker[ABI_WORKERS_MAX];
	unsigned n_workers;
	struct mover mover;
	struct desk desk; /* closed while no thread talks to other brokers */
	struct remote *remote; /* that thread, or NULL */
	bool can_spin, can_spin_for_others; /* spin_pays() */
	bool is_warm;
	bool is_serving; /* the start came to its end */
	char socket[CONFIG_PATH_MAX + 1]; /* its path */

	/* All sessions, for the scan of holds and for inspection. */
	pthread_mutex_t sessions_lock;
	struct session *sessions;
	struct formers formers; /* of the brokers before us */
	_Atomic unsigned n_sessions; /* written under the lock */
	uint64_t next_session;

	atomic_bool is_stopping; /* workers answer what is there, and end */
	_Atomic uint64_t mend_ms; /* not before this time is the tier mended again */

	/* The control thread's. */
	int epoll;
	struct attach attach;
	struct watch signals, timer, poke;
	struct subscriptions subscriptions; /* to events */
	struct drain drain;
	cpu_set_t cpus; /* where we might run when we were started */
	struct http *http; /* or NULL */
	bool is_done;
};

/* Put in what a size or a percentage of 0 stands for, on this machine, now. */
void broker_fill_in(struct config *c);

/*
 * Take the name, open plane and store, start the workers, serve. 0, or -errno with a sentence in
 * @why; nothing is left behind then. The config's sizes that are 0 are filled in. @settings is
 * where it came from, to be read again; it stays the caller's.
 */
int broker_start(struct broker *b, struct config *config, const struct settings *settings,
	struct log *log, char *why, size_t why_size);

/*
 * Serve metrics on @listen, and no longer where they were served; empty: nowhere. 0, or -errno and
 * a sentence, with all as it was. By the control thread.
 */
int broker_listen(struct broker *b, const char *listen, char *why, size_t why_size);

/*
 * A worker that is awake and has made no round for so long is stuck: its number, or -1. Any thread.
 */
#define BROKER_STUCK_MS 10000
int broker_stuck_worker(const struct broker *b);

/* Look at what takes a walk to know, for the gauges. By the control thread, once a second. */
void broker_measure(struct broker *b);

/* Have the workers go by the configuration in force. By the control thread. */
void broker_tune(struct broker *b);

/* The control thread's loop; returns when SIGTERM or SIGINT has come. */
void broker_run(struct broker *b);

/* Answer what is in flight, stop, leave the cache warm or (persist = off) nothing. */
void broker_stop(struct broker *b);

/*
 * Look whether a writer has cut the tier short, and mend it. Any thread that may call the store's
 * functions; cheap when all is well.
 */
void broker_mend(struct broker *b, struct abi_worker *w);

/* One session more (1) or less (-1); under the sessions lock. */
void broker_count_sessions(struct broker *b, int change);

/* Is anybody attached? Any thread, a hint. */
static inline bool broker_has_sessions(const struct broker *b)
{
	return atomic_load_explicit(&b->n_sessions, memory_order_relaxed) != 0;
}

/* As struct store_sessions has them; @context is the broker. */
void broker_scan_holds(void *context, struct index *ix, uint8_t round);
void broker_drain_logs(void *context, struct abi_worker *w);

/* Cut off who keeps more of the tier from being reused than its share. By the first worker. */
void broker_check_holds(struct broker *b, struct abi_worker *w);

/* Wake the control thread: a session is to be cut off. Any thread. */
void broker_poke(struct broker *b);

#endif
