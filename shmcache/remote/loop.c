/* SPDX-License-Identifier: Apache-2.0 */
/* loop.c: the loop of the remote thread. */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <urcu.h>

#include "shmcache/remote/loop.h"

/*
 * The order of a turn: wait, one descriptor's event, times; and after each what was put off, so
 * that nothing is put off for longer than one callback takes. Times are looked at after each event,
 * or a deadline would be no more than a hint as long as bytes never cease to come; and events come
 * one at a time, since what one callback frees must not come out of an array (watch.c).
 *
 * While the thread waits it says so in need_wakeup, as workers do: awake and without a turn for
 * seconds means stuck.
 */
static void bell_ready(struct watch *watch, uint32_t events)
{
	(void)events;
	(void)!read(watch->fd, &(uint64_t){0}, 8);
}

int remote_loop_init(struct remote_loop *loop, struct store *store, struct abi_worker *worker,
	struct log *log, struct config *config)
{
	int r = 0;

	memset(loop, 0, sizeof(*loop));
	loop->later_end = &loop->later;
	loop->store = store;
	loop->worker = worker;
	loop->log = log;
	loop->config = config;
	loop->now_ms = store_now_ms();
	atomic_store_explicit(&loop->beat_ms, loop->now_ms, memory_order_relaxed);
	loop->bell.ready = bell_ready;
	loop->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (loop->epoll < 0)
		return -errno;
	loop->bell.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (loop->bell.fd < 0)
		r = -errno;
	else
		r = watch_add(loop->epoll, &loop->bell, EPOLLIN);
	if (r)
		remote_loop_deinit(loop);
	return r;
}

void remote_loop_deinit(struct remote_loop *loop)
{
	watch_close(loop->epoll, &loop->bell);
	close(loop->epoll);
	loop->epoll = -1;
}

int remote_loop_rewatch(struct remote_loop *loop, struct watch *watch, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.ptr = watch};

	return epoll_ctl(loop->epoll, EPOLL_CTL_MOD, watch->fd, &event) < 0 ? -errno : 0;
}

void remote_loop_soon(struct remote_loop *loop, struct remote_later *later)
{
	if (later->is_set)
		return;
	later->is_set = true;
	later->next = NULL;
	*loop->later_end = later;
	loop->later_end = &later->next;
}

void remote_loop_not_soon(struct remote_loop *loop, struct remote_later *later)
{
	struct remote_later **link = &loop->later;

	if (!later->is_set)
		return;
	while (*link != later)
		link = &(*link)->next;
	*link = later->next;
	if (loop->later_end == &later->next)
		loop->later_end = link;
	later->is_set = false;
}

static void run_later(struct remote_loop *loop)
{
	struct remote_later *later;

	while ((later = loop->later)) {
		remote_loop_not_soon(loop, later);
		later->call(later);
	}
}

static int time_left(const struct remote_loop *loop, int timeout_ms)
{
	uint64_t at_ms = timers_next(&loop->timers), now_ms = store_now_ms();

	if (at_ms == UINT64_MAX)
		return timeout_ms;
	if (at_ms <= now_ms)
		return 0;
	/*
	 * The clock is coarse, and epoll rounds up: never awake for a time that is not there yet.
	 */
	if (timeout_ms >= 0 && at_ms - now_ms > (uint64_t)timeout_ms)
		return timeout_ms;
	return at_ms - now_ms > 60000 ? 60000 : (int)(at_ms - now_ms) + 1;
}

static void note_time(struct remote_loop *loop)
{
	loop->now_ms = store_now_ms();
	atomic_store_explicit(&loop->beat_ms, loop->now_ms, memory_order_relaxed);
}

void remote_loop_due(struct remote_loop *loop, uint64_t now_ms)
{
	loop->now_ms = now_ms;
	run_later(loop);
	timers_run(&loop->timers, now_ms);
	run_later(loop);
}

/*
 * An event that came before a visit may be of a descriptor that is gone by now: it is asked for
 * again, for what is left of it rings on.
 */
static int wait_for_event(struct remote_loop *loop, struct epoll_event *event, int timeout_ms)
{
	uint64_t n_visits = loop->n_visits;
	int n;

	if (!loop->tray)
		return epoll_wait(loop->epoll, event, 1, timeout_ms);
	loop->until_ms = timeout_ms < 0 ? UINT64_MAX : store_now_ms() + (unsigned)timeout_ms;
	if (!tray_asleep(loop->tray))
		timeout_ms = 0;
	n = epoll_wait(loop->epoll, event, 1, timeout_ms);
	tray_awake(loop->tray);
	loop->until_ms = 0;
	return n > 0 && loop->n_visits != n_visits ? epoll_wait(loop->epoll, event, 1, 0) : n;
}

void remote_loop_visit(struct remote_loop *loop)
{
	loop->n_visits++;
	loop->now_ms = store_now_ms();
}

void remote_loop_visited(struct remote_loop *loop)
{
	run_later(loop);
	if (timers_next(&loop->timers) < loop->until_ms)
		(void)!write(loop->bell.fd, &(uint64_t){1}, 8);
}

void remote_loop_turn(struct remote_loop *loop, int timeout_ms)
{
	struct epoll_event event;
	struct watch *watch;
	int n;

	run_later(loop);
	timeout_ms = time_left(loop, timeout_ms);
	if (timeout_ms)
		shared_u32_store(&loop->worker->need_wakeup, 1);
	n = wait_for_event(loop, &event, timeout_ms);
	note_time(loop);
	shared_u32_store(&loop->worker->need_wakeup, 0);
	/* At once: whatever else is called before it may free the watch. */
	if (n > 0) {
		watch = event.data.ptr;
		watch->ready(watch, event.events);
	}
	remote_loop_due(loop, loop->now_ms);
}

void remote_loop_run(struct remote_loop *loop)
{
	rcu_register_thread();
	if (loop->tray)
		tray_awake(loop->tray);
	/* partner: the release in remote_loop_stop() */
	while (!atomic_load_explicit(&loop->is_stopping, memory_order_acquire)) {
		remote_loop_turn(loop, -1);
		if (loop->tray)
			loop->tray->tend(loop->tray->owner);
	}
	if (loop->tray)
		(void)tray_asleep(loop->tray);
	shared_u32_store(&loop->worker->need_wakeup, 1);
	rcu_unregister_thread();
}

void remote_loop_stop(struct remote_loop *loop)
{
	/* partner: the acquire in remote_loop_run() */
	atomic_store_explicit(&loop->is_stopping, true, memory_order_release);
	(void)!write(loop->bell.fd, &(uint64_t){1}, 8);
}

bool remote_loop_is_stuck(const struct remote_loop *loop, uint64_t ms)
{
	uint64_t beat_ms = atomic_load_explicit(&loop->beat_ms, memory_order_relaxed);

	return !shared_u32_load(&loop->worker->need_wakeup) && store_now_ms() > beat_ms + ms;
}
