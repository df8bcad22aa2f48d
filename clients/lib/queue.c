/* SPDX-License-Identifier: Apache-2.0 */
/* queue.c: submit and reap, with a descriptor for an event loop. */
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "clients/lib/handle.h"
#include "clients/lib/queue.h"

/*
 * Three things can make a queue worth reaping: an answer, for which the broker rings the
 * doorbell; a hang-up; and requests that were finished without the broker, for which an eventfd
 * is set. One epoll descriptor over the three is what the caller polls, and stays the same when
 * the lane behind it is replaced.
 *
 * The broker rings only if it is asked to, and it is asked when a reap finds nothing: then, and
 * not before, does the caller wait. A bell that rang for what was already taken is silenced there
 * too, so that nothing but news makes the descriptor readable.
 *
 * When the broker goes, the unfinished are finished with -ENOTCONN and the lane is left. The next
 * submit looks for another one.
 */
static int watch(struct shmc_queue *q, int fd, uint32_t events)
{
	struct epoll_event event = {.events = events};

	return epoll_ctl(q->epoll, EPOLL_CTL_ADD, fd, &event) ? -errno : 0;
}

static void unwatch(struct shmc_queue *q, int fd)
{
	(void)epoll_ctl(q->epoll, EPOLL_CTL_DEL, fd, NULL);
}

static void lane_leave(struct shmc_queue *q)
{
	struct session *session = q->lane->session;

	unwatch(q, q->lane->ring.doorbell);
	unwatch(q, q->lane->ring.socket);
	q->lane = NULL;
	session_lanes_release(session, q->owner);
	handle_session_unget(session);
	handle_sweep(q->cache);
}

/* The hang-up of the session's socket shows whatever the events. */
static int lane_enter(struct shmc_queue *q, enum handle_patience patience, uint64_t deadline)
{
	int r;

	r = handle_lane_claim(q->cache, q->owner, patience, deadline, &q->lane);
	if (r)
		return r;
	r = watch(q, q->lane->ring.doorbell, EPOLLIN);
	if (!r)
		r = watch(q, q->lane->ring.socket, EPOLLRDHUP);
	/* Armed, for a caller who waits before he has ever reaped. */
	if (!r)
		r = ring_look(&q->lane->ring);
	if (!r || r == -ETIMEDOUT)
		return 0;
	lane_leave(q);
	return r;
}

static void event_set(struct shmc_queue *q, bool set)
{
	uint64_t one = 1;

	if (q->is_event_set == set)
		return;
	q->is_event_set = set;
	/* Can't fail: the counter is 0 or 1, and the descriptor ours. */
	if (set)
		(void)!write(q->event, &one, sizeof(one));
	else
		(void)!read(q->event, &one, sizeof(one));
}

static bool has_finished(const struct shmc_queue *q)
{
	return q->lost.first || (q->lane && q->lane->engine.done.first);
}

/*
 * A lane may come with requests that its last owner abandoned and that fill it. When these are
 * answered nothing more is to come, and whoever was refused a submit must be woken for another.
 */
static bool has_news(const struct shmc_queue *q)
{
	return has_finished(q) || (q->is_refused && q->lane && !q->lane->engine.n_open &&
		!ring_in_flight(&q->lane->ring));
}

/* The broker is gone: all that is unfinished has its result now. */
static void queue_lost(struct shmc_queue *q)
{
	struct shmc_request *request;

	engine_drop(q->lane, -ENOTCONN);
	while ((request = engine_pop(q->lane)))
		engine_list_add(&q->lost, request);
	handle_session_lost(q->cache, q->lane->session);
	lane_leave(q);
}

int shmc_queue_open(struct shmc_queue **queue, struct shmc *cache)
{
	struct shmc_queue *q;
	int r;

	if (!queue || !cache)
		return -EINVAL;
	r = handle_check(cache);
	if (r)
		return r;
	q = calloc(1, sizeof(*q));
	if (!q)
		return -ENOMEM;
	*q = (struct shmc_queue){.cache = cache, .owner = thread_number_draw()};
	engine_list_init(&q->lost);
	q->epoll = epoll_create1(EPOLL_CLOEXEC);
	q->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r = q->epoll < 0 || q->event < 0 ? -errno : watch(q, q->event, EPOLLIN);
	if (!r)
		r = lane_enter(q, HANDLE_WRITE, handle_deadline(cache, SHMC_TIMEOUT_DEFAULT));
	if (r) {
		queue_free(q);
		return r;
	}
	pthread_mutex_lock(&cache->lock);
	q->next = cache->queues;
	q->link = &cache->queues;
	if (q->next)
		q->next->link = &q->next;
	cache->queues = q;
	pthread_mutex_unlock(&cache->lock);
	*queue = q;
	return 0;
}

/* Not locked: shmc_detach() is alone, and in a child the lock may be anyone's. */
void queue_free(struct shmc_queue *queue)
{
	if (queue->link) {
		*queue->link = queue->next;
		if (queue->next)
			queue->next->link = queue->link;
	}
	if (queue->epoll >= 0)
		close(queue->epoll);
	if (queue->event >= 0)
		close(queue->event);
	free(queue);
}

void shmc_queue_close(struct shmc_queue *queue)
{
	struct shmc *cache;

	if (!queue)
		return;
	cache = queue->cache;
	if (handle_check(cache)) {
		queue_free(queue);
		return;
	}
	if (queue->lane) {
		engine_drop(queue->lane, -ECANCELED);
		while (engine_pop(queue->lane))
			;
		lane_leave(queue);
	}
	pthread_mutex_lock(&cache->lock);
	queue_free(queue);
	pthread_mutex_unlock(&cache->lock);
}

int shmc_submit(struct shmc_queue *queue, struct shmc_request *const *requests, size_t n)
{
	size_t taken = 0;
	int r;

	if (!queue || (n && !requests) || n > INT32_MAX)
		return -EINVAL;
	r = handle_check(queue->cache);
	if (r)
		return r;
	if (queue->lane && unlikely(!reader_is_current(&queue->lane->reader)))
		queue_lost(queue);
	if (!queue->lane) {
		r = lane_enter(queue, HANDLE_READ,
			handle_deadline(queue->cache, SHMC_TIMEOUT_DEFAULT));
		event_set(queue, has_finished(queue));
		/* A number that is positive would be one of requests. */
		if (r)
			return r == SHMC_QUOTA ? -EUSERS : r;
	}
	while (taken < n && !engine_begin(queue->lane, requests[taken], false))
		taken++;
	ring_announce(&queue->lane->ring);
	queue->is_refused = taken < n;
	event_set(queue, has_news(queue));
	return (int)taken;
}

/* Hand out what is finished. */
static size_t take(struct shmc_queue *q, struct shmc_request **done, size_t max)
{
	struct shmc_request *request;
	size_t n = 0;

	while (n < max && (request = q->lost.first)) {
		q->lost.first = request->reserved.next;
		done[n++] = request;
	}
	if (!q->lost.first)
		engine_list_init(&q->lost);
	while (n < max && q->lane && (request = engine_pop(q->lane)))
		done[n++] = request;
	return n;
}

/* Wait for something to take. 0, -ETIMEDOUT, or -ENOTCONN and there is no lane any more. */
static int queue_wait(struct shmc_queue *q, uint64_t deadline)
{
	int r;

	r = -ETIMEDOUT;
	/* With nothing open, nothing is to come. */
	if (deadline != DEADLINE_NOW && q->lane->engine.n_open)
		r = lane_wait(q->lane, deadline);
	if (r == -ETIMEDOUT)
		r = ring_look(&q->lane->ring);
	if (r == -ENOTCONN)
		queue_lost(q);
	return r;
}

int shmc_reap(struct shmc_queue *queue, struct shmc_request **done, size_t max, int timeout_ms)
{
	uint64_t deadline;
	size_t n = 0;
	int r = 0;

	if (!queue || (max && !done) || timeout_ms < SHMC_TIMEOUT_DEFAULT || max > INT32_MAX)
		return -EINVAL;
	r = handle_check(queue->cache);
	if (r || !max)
		return r;
	deadline = handle_deadline(queue->cache, timeout_ms);
	for (;;) {
		if (queue->lane)
			engine_pump(queue->lane);
		n = take(queue, done, max);
		if (n || !queue->lane || r == -ETIMEDOUT)
			break;
		r = queue_wait(queue, deadline);
		if (r < 0 && r != -ENOTCONN && r != -ETIMEDOUT)
			return r;
	}
	if (queue->lane && n)
		ring_disarm(&queue->lane->ring);
	event_set(queue, has_news(queue));
	return n || queue->lane ? (int)n : -ENOTCONN;
}

int shmc_queue_fd(const struct shmc_queue *queue)
{
	return queue->epoll;
}
