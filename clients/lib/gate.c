/* SPDX-License-Identifier: Apache-2.0 */
/* gate.c: waiting for one's turn, on the monotonic clock. */
#include <errno.h>

#include "clients/lib/deadline.h"
#include "clients/lib/gate.h"

/*
 * Who talks to the broker on a session's socket, or attaches anew, does so for as long as the
 * broker takes, and those behind him have deadlines of their own. A mutex can be waited for with
 * a deadline, but on the wall clock only, which somebody may set; that of glibc which takes
 * another clock is not known to other C libraries nor to the thread sanitizer. A condition can be
 * told which clock to use.
 */
void gate_init(struct gate *g)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&g->is_free, &attr);
	pthread_condattr_destroy(&attr);
	pthread_mutex_init(&g->lock, NULL);
	g->is_taken = false;
}

void gate_deinit(struct gate *g)
{
	pthread_cond_destroy(&g->is_free);
	pthread_mutex_destroy(&g->lock);
}

int gate_enter(struct gate *g, uint64_t deadline)
{
	struct timespec until = deadline_timespec(deadline);
	int r = 0;

	pthread_mutex_lock(&g->lock);
	while (g->is_taken && !r) {
		if (deadline == DEADLINE_NOW)
			r = ETIMEDOUT;
		else if (deadline == DEADLINE_NEVER)
			pthread_cond_wait(&g->is_free, &g->lock);
		else
			r = pthread_cond_timedwait(&g->is_free, &g->lock, &until);
	}
	/* Whoever was woken, and out of time at once, takes what he was woken for. */
	if (!g->is_taken)
		r = 0;
	if (!r)
		g->is_taken = true;
	pthread_mutex_unlock(&g->lock);
	return -r;
}

void gate_leave(struct gate *g)
{
	pthread_mutex_lock(&g->lock);
	g->is_taken = false;
	pthread_cond_signal(&g->is_free);
	pthread_mutex_unlock(&g->lock);
}
