/* SPDX-License-Identifier: Apache-2.0 */
/* ring.c: a lane's rings: pushing, taking, and the sleep and wake of their client. */
#include <errno.h>
#include <poll.h>
#include <stddef.h>

#include "clients/lib/deadline.h"
#include "clients/lib/ring.h"
#include "ipc/histogram.h"
#include "ipc/wire.h"

/*
 * Why it is enough to count. Each submission gets exactly one completion, and the broker consumes
 * submissions in order, though it may answer them in another. Let n_queue slots be given and let
 * the next position be p, with fewer than n_queue submissions unanswered: then more than p -
 * n_queue completions have been taken, so more than p - n_queue submissions were consumed, and as
 * that goes in order the one at position p - n_queue, whose slot p takes, is among them. The same
 * count bounds the completion ring, which therefore can't overflow while we behave; @reaped is
 * for a broker that doesn't rely on that.
 *
 * Sleep and wake go as in io_uring. Two pairs of store and load must not both miss each other:
 *
 *	client: publish submission	worker: store need_wakeup = 1
 *		full fence			full fence
 *		load need_wakeup		look at the submissions
 *
 *	client: store need_wakeup = 1	worker: publish completion
 *		full fence			full fence
 *		look at the completions		load need_wakeup
 *
 * One fence serves a whole batch of submissions, and a client that spins sleeps never.
 */
void ring_push(struct ring *r, struct submission *s)
{
	/* One look at the clock serves a batch. */
	if (r->announced == r->submitted)
		r->now_ms = deadline_clock_coarse_ms();
	s->since_ms = r->now_ms;
	submission_publish(&r->submission[r->submitted & (r->n_queue - 1)], r->submitted, s);
	r->submitted++;
}

void ring_announce(struct ring *r)
{
	uint32_t worker;

	if (r->announced == r->submitted)
		return;
	r->announced = r->submitted;
	/*
	 * What was taken is told before the broker is woken: it takes no submission for whose
	 * answer it sees no room, may go to sleep over that, and is not woken by @reaped alone.
	 */
	ring_settle(r);
	shared_u64_store(&r->request->submitted, r->submitted);
	/*
	 * Keeps the store of the submissions' sequences apart from the load of need_wakeup.
	 * Partner: the worker's fence between its store of need_wakeup and its last look at the
	 * rings.
	 */
	shared_fence();
	worker = shared_u32_load(&r->response->worker) % ABI_WORKERS_MAX;
	if (shared_u32_load(&r->plane->worker[worker].need_wakeup))
		(void)wire_ring(r->doorbell); /* a worker looks by itself, if late */
}

bool ring_take(struct ring *r, struct completion *c)
{
	if (!completion_take(&r->completion[r->taken & (r->n_queue - 1)], r->taken, c))
		return false;
	r->taken++;
	return true;
}

void ring_settle(struct ring *r)
{
	if (r->settled == r->taken)
		return;
	r->settled = r->taken;
	/*
	 * The loads of the completions come before. Partner: the broker's acquire when it is
	 * full.
	 */
	shared_u64_store_release(&r->request->reaped, r->taken);
}

/*
 * Most waits are over in less than it takes to read the clock twice. So the time of every 31st
 * stands for that of 31, a prime so that no rhythm of a program is in step with it. One that ends
 * in a sleep costs enough already, and is noted each time.
 */
#define WAITS_PER_SAMPLE 31

static void count_wait(struct ring *r, uint64_t begin, uint64_t weight)
{
	histogram_add(&r->request->wait, deadline_clock() - begin, weight);
}

static bool spin(const struct ring *r, uint64_t begin, uint64_t end, uint64_t deadline)
{
	uint64_t now = begin;
	int i;

	if (deadline < end)
		end = deadline;
	for (; now < end; now = deadline_clock()) {
		for (i = 0; i < 32; i++) {
			if (ring_is_ready(r))
				return true;
			shared_relax();
		}
	}
	return false;
}

/* Ask to be woken. False when there is something already. */
static bool ring_arm(struct ring *r)
{
	if (!r->is_armed)
		shared_u32_store(&r->request->need_wakeup, 1);
	r->is_armed = true;
	/*
	 * Keeps the store of need_wakeup apart from the load of the completion's sequence. Partner:
	 * the broker's fence between its store of that sequence and its load of need_wakeup.
	 */
	shared_fence();
	return !ring_is_ready(r);
}

void ring_disarm(struct ring *r)
{
	if (r->is_armed)
		shared_u32_store(&r->request->need_wakeup, 0);
	r->is_armed = false;
}

/* One sleep. 0 when there is something to take or the bell rang, -ETIMEDOUT, -ENOTCONN. */
static int ring_sleep(struct ring *r, uint64_t deadline)
{
	struct pollfd fds[] = {{.fd = r->doorbell, .events = POLLIN},
		{.fd = r->socket, .events = POLLRDHUP}};
	bool is_cut;
	int n;

	n = deadline_poll(fds, 2, deadline);
	if (n < 0)
		return n;
	is_cut = (fds[0].revents & ~POLLIN) || fds[1].revents;
	/* Its bytes are good for nothing but to wake us. */
	if ((fds[0].revents & POLLIN) && !wire_ring_drain(r->doorbell))
		is_cut = true;
	/* The last answers before a hang-up count. */
	if (ring_is_ready(r))
		return 0;
	if (is_cut)
		return -ENOTCONN;
	return n ? 0 : -ETIMEDOUT;
}

int ring_wait(struct ring *r, uint32_t spin_ns, uint64_t deadline)
{
	uint64_t begin;
	int n = 0;

	if (ring_is_ready(r))
		return 0;
	if (deadline == DEADLINE_NOW)
		return -ETIMEDOUT;
	begin = deadline_clock();
	if (spin_ns && spin(r, begin, begin + spin_ns, deadline)) {
		if (++r->n_waits % WAITS_PER_SAMPLE == 0)
			count_wait(r, begin, WAITS_PER_SAMPLE);
		return 0;
	}
	while (!n && ring_arm(r))
		n = ring_sleep(r, deadline);
	ring_disarm(r);
	count_wait(r, begin, 1);
	return n;
}

int ring_look(struct ring *r)
{
	int n = 0;

	/*
	 * A bell that rang for what was taken before would ring on: 0 without news is asked
	 * again.
	 */
	while (!n && ring_arm(r))
		n = ring_sleep(r, DEADLINE_NOW);
	if (n != -ETIMEDOUT)
		ring_disarm(r);
	return n;
}
