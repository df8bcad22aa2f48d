/* SPDX-License-Identifier: Apache-2.0 */
/* handle.h: struct shmc, an attached cache: its session in use, and those that linger. */
#ifndef CLIENTS_LIB_HANDLE_H
#define CLIENTS_LIB_HANDLE_H

#include <pthread.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdint.h>

#include "clients/lib/connection.h"
#include "clients/lib/gate.h"
#include "clients/lib/session.h"
#include "clients/lib/thread.h"
#include "clients/shmcache.h"

struct shmc_queue;

struct shmc {
	/* Read at each call, written only when a broker comes or goes. */
	alignas(ABI_APART) _Atomic uint64_t serial; /* of the session in use, 0: there is none */
	_Atomic uint32_t *alive;		    /* reads 0 in a fork's child, see guard.h */

	/* The sessions, the one in use first. Held for moments only. */
	alignas(ABI_APART) pthread_mutex_t lock;
	struct session *sessions;
	struct shmc_queue *queues;
	_Atomic int role;

	/* Attaching anew, by whoever is inside. */
	struct gate attach_gate;
	struct connection connection;
	uint64_t attach_tried; /* deadline_clock() */

	struct shmc *registry_next, **registry_link;
	int timeout_ms; /* what SHMC_TIMEOUT_DEFAULT means */
	uint32_t spin_ns;
	enum wire_role wanted;
	char name[ABI_NAME_MAX + 1];
};

/* How a lane may be come by. */
enum handle_patience {
	HANDLE_READ,  /* must not wait for a broker that is away */
	HANDLE_WRITE, /* may wait until the deadline */
};

/*
 * The session in use, after attaching again if need be. It stays until handle_session_unget(). 0,
 * -ECHILD, -ENOTCONN.
 */
int handle_session_get(struct shmc *cache, enum handle_patience patience, uint64_t deadline,
	struct session **session);
void handle_session_unget(struct session *session);

/*
 * The calling thread's lane, the long way: re-attaches, asks for a lane. 0, -ECHILD, -ENOTCONN,
 * -ETIMEDOUT, -ENOMEM, SHMC_QUOTA. The thread has entered the lane, see handle_lane().
 */
int handle_lane_find(struct shmc *cache, enum handle_patience patience, uint64_t deadline,
	struct lane **lane);

/*
 * The same for an owner that is no thread: nobody enters, but the lane's session has one more user,
 * until handle_session_unget().
 */
int handle_lane_claim(struct shmc *cache, uint64_t owner, enum handle_patience patience,
	uint64_t deadline, struct lane **lane);

/* The calling thread leaves the lane that it has entered, and touches nothing of it after. */
static hot_inline void handle_lane_exit(void)
{
	/* Partner: the acquire in thread_any_uses(). */
	atomic_store_explicit(&thread_local_state.using, 0, memory_order_release);
}

/*
 * Mark the calling thread as being in a call on the session @serial, of which it may touch nothing
 * before. False when the session is out of use.
 */
static hot_inline bool handle_lane_enter(struct shmc *cache, uint64_t serial)
{
	atomic_store_explicit(&thread_local_state.using, serial, memory_order_relaxed);
	/*
	 * Keeps the store of the mark apart from the load of the serial. Partner: the membarrier in
	 * thread_any_uses(), between the store of another serial and the look at the marks.
	 */
	shared_compiler_fence();
	if (likely(atomic_load_explicit(&cache->serial, memory_order_relaxed) == serial))
		return true;
	handle_lane_exit();
	return false;
}

/*
 * The lane of the calling thread if it has one at hand, or NULL: a few instructions. With a lane,
 * the thread has entered it; whoever asked sees to handle_lane_exit().
 */
static hot_inline struct lane *handle_lane(struct shmc *cache)
{
	/*
	 * Acquire: the session's memory. Partner: the release in handle.c where it is put to use.
	 */
	uint64_t serial = atomic_load_explicit(&cache->serial, memory_order_acquire);
	struct thread_slot *slot = &thread_local_state.slot[serial % THREAD_SLOTS];

	if (unlikely(slot->serial != serial) ||
		unlikely(!atomic_load_explicit(cache->alive, memory_order_relaxed)) ||
		unlikely(!handle_lane_enter(cache, serial)))
		return NULL;
	return slot->lane;
}

/* The broker of @session is gone: nobody is to begin anything on it. From any thread. */
void handle_session_lost(struct shmc *cache, struct session *session);

/* The broker of an open reservation is gone: clear it. */
void handle_reservation_lost(struct shmc *cache, struct shmc_reservation *reservation);

/* Free the dead sessions that nobody uses any more. */
void handle_sweep(struct shmc *cache);

/* A thread ends: its lanes go back. */
void handle_owner_gone(struct shmc *cache, uint64_t owner);

/* deadline of a public timeout */
uint64_t handle_deadline(const struct shmc *cache, int timeout_ms);

/* 0, or -ECHILD */
static inline int handle_check(const struct shmc *cache)
{
	return likely(atomic_load_explicit(cache->alive, memory_order_relaxed)) ? 0 : -ECHILD;
}

#endif
