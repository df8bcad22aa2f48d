/* SPDX-License-Identifier: Apache-2.0 */
/* worker.h: a thread that serves the rings of its sessions. */
#ifndef SHMCACHE_WORKER_H
#define SHMCACHE_WORKER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include "ipc/abi.h"
#include "ipc/submission.h"
#include "shmcache/remote/desk.h"
#include "shmcache/watch.h"

struct broker;
struct lane;
struct session;

struct worker {
	struct broker *broker;
	struct abi_worker *shared; /* its part of the plane */
	unsigned idx;
	pthread_t thread;
	int epoll;
	struct watch bell; /* an eventfd that the control thread rings */

	/* What the control thread hands over. */
	pthread_mutex_t inbox_lock;
	struct lane *new_lanes;
	struct session *leaving;
	atomic_bool has_mail;
	/*
	 * While the worker sleeps and has tickets out, on a machine that is short of CPUs: the
	 * remote thread is woken by its lanes' doorbells, and serves them.
	 */
	struct watch lent; /* @epoll, in the set of the remote thread */
	bool is_lent;
	struct tray tray; /* and the remote thread, on its own account; tended */

	/* The worker's own. */
	struct lane **lane;
	unsigned n_lanes, n_lanes_max;
	uint64_t spin_until_ns;
	uint64_t upkeep_ms, holds_ms, waits_ms; /* when each was last done */
	unsigned n_rounds, n_spins, n_untimed;
	unsigned n_sent, n_landed; /* requests that went to other brokers, and that came back, ever */
	/* When it last did upkeep or woke, which it does every 10 ms while it is not stuck. */
	_Atomic uint64_t beat_ms;
	bool awaits_commit; /* the last request reserved a block */
	bool has_slept;	    /* since the last request */
	bool is_refusing; /* answers STOPPING to all */
	bool owes_upkeep, owes_gauges; /* there was work since the last */
};

/* 0 or -errno; the thread runs then. */
int worker_start(struct worker *worker, struct broker *broker, unsigned idx);

/* Wait for the thread to end (broker->is_stopping is set and the bell rung), free what it has. */
void worker_join(struct worker *worker);

/*
 * Hand a lane over, or a session to take leave of, which the worker frees. By the control thread.
 */
void worker_add_lane(struct worker *worker, struct lane *lane);
void worker_leave(struct worker *worker, struct session *session);

/* Have it look up from its sleep. Any thread. */
void worker_ring(struct worker *worker);

/* --- between the worker's own files, by its thread -------------------------------------------- */

/*
 * One round of a lane: take as many submissions as are there and may be taken, and answer them. 0:
 * there was nothing to do.
 */
unsigned worker_serve(struct worker *worker, struct lane *lane);

/* Publish an answer; the room for it is kept. Then, after the last of several: wake the client. */
void worker_answer(struct lane *lane, const struct completion *completion);
void worker_answered(struct worker *worker, struct lane *lane);

/* What a client did here ends its session. */
void worker_cut_off(struct worker *worker, struct lane *lane, enum abi_fault fault);

/* One doorbell's event. */
void worker_doorbell_ready(struct worker *worker, struct lane *lane);

/*
 * worker-lend.c. Should the remote thread serve the lanes while the worker sleeps? Then is_lent is
 * set under the turn, and between tray_asleep() and tray_awake() the worker waits for its bell
 * alone.
 */
void worker_lend_init(struct worker *worker); /* before its thread */
bool worker_may_lend(const struct worker *worker);
void worker_wait_lent(struct worker *worker);

/* One round of all lanes: how much there was to do. */
unsigned worker_serve_all(struct worker *worker);

/* Take the answers that other brokers have given. */
void worker_tend(void *worker);

/* Has anything been handed over? Any thread. Then take it. */
bool worker_has_mail(struct worker *worker);
void worker_read_mail(struct worker *worker);

/* Tickets that come when the thread has ended. */
void worker_drop_tickets(struct worker *worker);

#endif
