/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker-mail.c: what others hand to a worker: lanes, sessions that leave, answers from elsewhere.
 */
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "shmcache/broker.h"
#include "shmcache/fetch.h"

/*
 * Lists under locks of their own, and one bell. The worker looks at two flags in each of its
 * rounds, and again after it has said that it will sleep; so nobody has to know whether it does.
 */

/* One doorbell's event: empty it; one that hangs up leaves the set, its session will follow. */
void worker_doorbell_ready(struct worker *worker, struct lane *lane)
{
	if (!wire_ring_drain(lane->doorbell))
		epoll_ctl(worker->epoll, EPOLL_CTL_DEL, lane->doorbell, NULL);
}

static void adopt(struct worker *worker, struct lane *lane)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = lane};
	unsigned n = worker->n_lanes_max ? worker->n_lanes_max * 2 : 16;
	struct lane **more;

	if (worker->n_lanes == worker->n_lanes_max) {
		more = realloc(worker->lane, n * sizeof(*more));
		if (!more) {
			worker_cut_off(worker, lane, ABI_FAULT_RESOURCES);
			return;
		}
		worker->lane = more;
		worker->n_lanes_max = n;
	}
	worker->lane[worker->n_lanes++] = lane;
	if (epoll_ctl(worker->epoll, EPOLL_CTL_ADD, lane->doorbell, &event) < 0)
		worker_cut_off(worker, lane, ABI_FAULT_RESOURCES);
}

static void take_leave(struct worker *worker, struct session *s)
{
	struct broker *b = worker->broker;
	unsigned i, n = 0;

	for (i = 0; i < worker->n_lanes; i++) {
		if (worker->lane[i]->session != s)
			worker->lane[n++] = worker->lane[i];
		else
			epoll_ctl(worker->epoll, EPOLL_CTL_DEL, worker->lane[i]->doorbell, NULL);
	}
	worker->n_lanes = n;
	session_drain_logs(s, &b->store, worker->shared);
	session_drain_waits(s, worker->shared);
	session_give_back(s, &b->store, worker->shared);
	if (s->role == WIRE_ROLE_WRITER)
		broker_mend(b, worker->shared);

	/* It hung up or died, so nobody reads by its holds; off this list no scan looks at them. */
	pthread_mutex_lock(&b->sessions_lock);
	*s->link = s->next;
	if (s->next)
		s->next->link = s->link;
	broker_count_sessions(b, -1);
	shared_u64_store_release(&s->directory->id, 0);
	pthread_mutex_unlock(&b->sessions_lock);
	session_free(s);
	store_gauges(&b->store, b->plane.shared);
}

/* Answers that other brokers have given; one look at a client for all that follow one another. */
void worker_tend(void *owner)
{
	struct worker *worker = owner;
	struct store *store = &worker->broker->store;
	struct ticket *ticket = tray_take(&worker->tray), *next;
	struct lane *lane, *last = NULL;
	struct completion completion;
	bool is_wanted;

	for (; ticket; ticket = next) {
		next = ticket->next;
		lane = ticket->lane;
		worker->n_landed += ticket->kind != TICKET_LEFT;
		is_wanted = fetch_land(store, worker->shared, ticket, &completion);
		if (is_wanted)
			worker_answer(lane, &completion);
		fetch_end(ticket);
		if (is_wanted && last && last != lane)
			worker_answered(worker, last);
		if (is_wanted)
			last = lane;
	}
	if (last)
		worker_answered(worker, last);
}

void worker_drop_tickets(struct worker *worker)
{
	struct ticket *ticket = tray_close(&worker->tray), *next;
	struct completion completion;

	for (; ticket; ticket = next) {
		next = ticket->next;
		(void)fetch_land(&worker->broker->store, worker->shared, ticket, &completion);
		fetch_end(ticket);
	}
}

void worker_read_mail(struct worker *worker)
{
	struct session *leaving, *next_session;
	struct lane *lanes, *next_lane;

	pthread_mutex_lock(&worker->inbox_lock);
	atomic_store_explicit(&worker->has_mail, false, memory_order_relaxed);
	lanes = worker->new_lanes;
	leaving = worker->leaving;
	worker->new_lanes = NULL;
	worker->leaving = NULL;
	pthread_mutex_unlock(&worker->inbox_lock);

	/* Before those leave for whom they are. */
	if (tray_has_any(&worker->tray))
		worker_tend(worker);
	/* Lanes first: one of them may belong to a session that leaves. */
	for (; lanes; lanes = next_lane) {
		next_lane = lanes->inbox_next;
		adopt(worker, lanes);
	}
	for (; leaving; leaving = next_session) {
		next_session = leaving->inbox_next;
		take_leave(worker, leaving);
	}
	desk_look(&worker->broker->desk);
}

static void post(struct worker *worker)
{
	/* partner: the acquire in worker_has_mail(); the lists are read under the lock anyway */
	atomic_store_explicit(&worker->has_mail, true, memory_order_release);
	pthread_mutex_unlock(&worker->inbox_lock);
	worker_ring(worker);
}

void worker_add_lane(struct worker *worker, struct lane *lane)
{
	pthread_mutex_lock(&worker->inbox_lock);
	lane->inbox_next = worker->new_lanes;
	worker->new_lanes = lane;
	post(worker);
}

void worker_leave(struct worker *worker, struct session *session)
{
	pthread_mutex_lock(&worker->inbox_lock);
	session->inbox_next = worker->leaving;
	worker->leaving = session;
	post(worker);
}

void worker_ring(struct worker *worker)
{
	/* A full counter has rung already. */
	(void)!write(worker->bell.fd, &(uint64_t){1}, 8);
}

bool worker_has_mail(struct worker *worker)
{
	return atomic_load_explicit(&worker->has_mail, memory_order_acquire) ||
		tray_has_any(&worker->tray);
}
