/* SPDX-License-Identifier: Apache-2.0 */
/* worker-lend.c: lanes that the remote thread serves while their worker sleeps. */
#include <poll.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "shmcache/broker.h"

/*
 * A client that fetches one value after another wakes the worker for each, which sends a question
 * and sleeps again; the answer wakes the remote thread. Where the two share few CPUs with the
 * client and with what else there is, the remote thread does both while tickets are out: the worker
 * adds its set of doorbells to that of the remote thread and waits for its own bell alone.
 * need_wakeup stays set, so that clients ring, and whoever is rung for drains and then looks (sleep
 * and wake, docs/concurrency.md).
 *
 * What concerns nobody else is the worker's, who waits awake for more of it: when a round has none
 * but such requests, it is woken. Every LEND_MS it comes back by itself, for upkeep.
 *
 * One shot: an event that finds the worker awake is none, as that looks at all rings before it
 * lends them again.
 */
#define LEND_MS 10

static void arm(struct worker *worker, int operation)
{
	struct epoll_event event = {
		.events = EPOLLIN | EPOLLONESHOT, .data.ptr = &worker->lent};

	(void)epoll_ctl(worker->broker->desk.epoll, operation, worker->epoll, &event);
}

/* Returns whether the worker's own bell rings, which is its to hear. */
static bool drain(struct worker *worker)
{
	struct epoll_event event[16];
	int i, n = epoll_wait(worker->epoll, event, 16, 0);
	bool is_rung = false;

	for (i = 0; i < n; i++) {
		if (event[i].data.ptr == &worker->bell)
			is_rung = true;
		else
			worker_doorbell_ready(worker, event[i].data.ptr);
	}
	return is_rung;
}

static void serve(struct worker *worker)
{
	unsigned n_sent = worker->n_sent, found;
	bool comes_back = drain(worker);

	found = worker_serve_all(worker);
	if (found)
		worker->owes_upkeep = worker->owes_gauges = true;
	if (found && worker->n_sent == n_sent) {
		worker_ring(worker);
		comes_back = true;
	}
	if (!comes_back)
		arm(worker, EPOLL_CTL_MOD);
}

/* By the remote thread. */
static void lent_ready(struct watch *watch, uint32_t events)
{
	struct worker *worker = watch->owner;

	(void)events;
	if (!tray_try(&worker->tray))
		return;
	if (worker->is_lent)
		serve(worker);
	tray_leave(&worker->tray);
}

/* But for the descriptor it is constant: the remote thread reads the rest without the turn. */
void worker_lend_init(struct worker *worker)
{
	worker->lent = (struct watch){-1, lent_ready, worker};
}

bool worker_may_lend(const struct worker *worker)
{
	const struct broker *b = worker->broker;

	return worker->n_sent != worker->n_landed && !b->can_spin_for_others && b->desk.epoll >= 0;
}

void worker_wait_lent(struct worker *worker)
{
	struct pollfd bell = {.fd = worker->bell.fd, .events = POLLIN};
	bool is_first = worker->lent.fd < 0;

	worker->lent.fd = worker->epoll;
	/* Behind the turn: an event that came before would find us awake. */
	arm(worker, is_first ? EPOLL_CTL_ADD : EPOLL_CTL_MOD);
	if (poll(&bell, 1, LEND_MS) > 0)
		(void)!read(worker->bell.fd, &(uint64_t){0}, 8);
}
