/* SPDX-License-Identifier: Apache-2.0 */
/* loop.h: what happens in the remote thread, one thing after another. */
#ifndef SHMCACHE_REMOTE_LOOP_H
#define SHMCACHE_REMOTE_LOOP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "shmcache/config/config.h"
#include "shmcache/log/log.h"
#include "shmcache/remote/desk.h"
#include "shmcache/remote/timer.h"
#include "shmcache/store.h"
#include "shmcache/watch.h"

/*
 * Descriptors (struct watch), times (struct timer), and what is to be done soon (struct
 * remote_later). All of it is of the thread that runs the loop, or of the one that sets it up
 * before and takes it down after; only remote_loop_stop() and @beat_ms are for others. Callbacks
 * must not wait for anything.
 */

/*
 * A call that is put off until the callback that asks for it has returned: no recursion that way.
 */
struct remote_later {
	void (*call)(struct remote_later *later);
	void *owner;
	struct remote_later *next;
	bool is_set;
};

struct remote_loop {
	int epoll;
	struct timers timers;
	struct remote_later *later, **later_end;
	uint64_t now_ms; /* store_now_ms() when the callback that runs was called */

	/* For those who work here. */
	struct store *store;
	struct abi_worker *worker; /* this thread's, to count in */
	struct log *log;
	struct config *config; /* [remote]: as the file has it, and the cluster: peers-settings.c */

	/*
	 * A tended tray, whose turn the thread holds but for its waiting, or NULL. Others call what
	 * is here by remote_loop_visit() then.
	 */
	struct tray *tray;
	uint64_t n_visits;
	uint64_t until_ms; /* how long it waits, at most */

	struct watch bell;
	atomic_bool is_stopping;
	/*
	 * When the loop last went round; what follows need_wakeup in @worker means as it does
	 * there.
	 */
	_Atomic uint64_t beat_ms;
};

/* 0 or -errno, with nothing to undo. */
int remote_loop_init(struct remote_loop *loop, struct store *store, struct abi_worker *worker,
	struct log *log, struct config *config);
void remote_loop_deinit(struct remote_loop *loop);

/*
 * Run until remote_loop_stop(). Registers the thread with liburcu meanwhile: it is in no read
 * section when a callback is called.
 */
void remote_loop_run(struct remote_loop *loop);

/* One turn: wait up to @timeout_ms (-1: until something happens), and call who is due. */
void remote_loop_turn(struct remote_loop *loop, int timeout_ms);

/* The part of a turn that comes after an event: what was put off, and times up to @now_ms. */
void remote_loop_due(struct remote_loop *loop, uint64_t now_ms);

/*
 * By who holds the turn of @tray: before callbacks are called in the thread's place, and after.
 * What was put off is done then; descriptors and times are left to the thread, which is woken if
 * one of them comes earlier than it knows.
 */
void remote_loop_visit(struct remote_loop *loop);
void remote_loop_visited(struct remote_loop *loop);

/* Any thread. */
void remote_loop_stop(struct remote_loop *loop);

/* Has it been away from its waiting for longer than @ms? Any thread. */
bool remote_loop_is_stuck(const struct remote_loop *loop, uint64_t ms);

static inline int remote_loop_watch(struct remote_loop *loop, struct watch *watch, uint32_t events)
{
	return watch_add(loop->epoll, watch, events);
}

/* Other events for a watch that is in the set. */
int remote_loop_rewatch(struct remote_loop *loop, struct watch *watch, uint32_t events);

static inline void remote_loop_unwatch(struct remote_loop *loop, struct watch *watch)
{
	watch_close(loop->epoll, watch);
}

static inline void remote_loop_at(struct remote_loop *loop, struct timer *timer, uint64_t at_ms)
{
	timer_set(&loop->timers, timer, at_ms);
}

static inline void remote_loop_not_at(struct remote_loop *loop, struct timer *timer)
{
	timer_clear(&loop->timers, timer);
}

/* Once, in the order of asking; no-op where it was asked for already. */
void remote_loop_soon(struct remote_loop *loop, struct remote_later *later);
void remote_loop_not_soon(struct remote_loop *loop, struct remote_later *later);

#endif
