/* SPDX-License-Identifier: Apache-2.0 */
/* thread.h: what the library keeps by thread, and the handles that a thread's end concerns. */
#ifndef CLIENTS_LIB_THREAD_H
#define CLIENTS_LIB_THREAD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "clients/lib/compiler.h"

struct lane;
struct shmc;

#define THREAD_SLOTS 8 /* power of two */

struct thread_slot {
	uint64_t serial; /* of a session; 0: empty, with no lane */
	struct lane *lane;
};

/*
 * The lanes that this thread used last, by session. A session that is gone leaves a serial behind
 * that no other will have, so nobody need come round to clear it.
 */
struct thread_local_state {
	struct thread_slot slot[THREAD_SLOTS];
	/* The session that this thread is in the middle of a call on, or 0; see handle_lane(). */
	_Atomic uint64_t using;
	uint64_t number; /* this thread's, 0: not drawn yet */
	struct thread_local_state *next, **link; /* of all that have a number */
};

/*
 * Initial-exec: one instruction instead of a call. The price is a place in the static block, of
 * which dlopen() has little to give; hence the few slots.
 */
extern _Thread_local struct thread_local_state thread_local_state
	__attribute__((visibility("hidden"), tls_model("initial-exec")));

/* A number that nothing else in this process had before: of threads, queues, sessions. Never 0. */
uint64_t thread_number_draw(void);

/*
 * This thread's number; sees to it that handle_owner_gone() is called when it ends. 0 when there is
 * no memory for that.
 */
uint64_t thread_number(void);

/*
 * Is any thread in the middle of a call on the session @serial, or may be for all we know? The
 * session must be out of use: a thread that marks itself after this sees that it is. Without
 * thread_marks_count() nothing can be known.
 */
bool thread_any_uses(uint64_t serial);
bool thread_marks_count(void);

/* Handles are listed as long as they live, for the ends of threads and for forks. 0 or -errno. */
int registry_add(struct shmc *cache);
void registry_remove(struct shmc *cache);

#endif
