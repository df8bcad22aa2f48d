/* SPDX-License-Identifier: Apache-2.0 */
/* execute.c: batches, waited for. */
#include <errno.h>

#include "clients/lib/execute.h"

/*
 * Requests are begun while there is room, answers taken while there are some, and only when there
 * is neither does the thread wait. One fence, and at most one wake-up of the broker, serves all
 * that was begun between two looks.
 *
 * When time is up, what the broker has not answered is abandoned: from then on nothing of the
 * caller's is read or written, though the broker may still carry it out.
 */

/* Give the rest the result of all, those begun by way of the engine. */
static int give_up(struct lane *lane, struct shmc_request *requests, size_t begun, size_t n, int r)
{
	engine_drop(lane, r);
	while (engine_pop(lane))
		;
	for (; begun < n; begun++)
		requests[begun].result = r;
	return r;
}

int execute_on(struct lane *lane, struct shmc_request *requests, size_t n, uint64_t deadline)
{
	size_t begun = 0, done = 0;
	int r;

	/* Late answers to what was abandoned. */
	engine_pump(lane);
	for (;;) {
		while (begun < n && !engine_begin(lane, &requests[begun], n == 1))
			begun++;
		ring_announce(&lane->ring);
		while (engine_pop(lane))
			done++;
		if (done == n)
			break;
		if (engine_pump(lane))
			continue;
		r = lane_wait(lane, deadline);
		if (r)
			return give_up(lane, requests, begun, n, r);
	}
	return 0;
}

int execute(struct shmc *cache, struct shmc_request *requests, size_t n, uint64_t deadline)
{
	struct lane *lane = handle_lane(cache);
	size_t i;
	int r = 0;

	/* A broker that was restarted is best noticed before it is asked in vain. */
	if (lane && unlikely(!reader_is_current(&lane->reader))) {
		handle_session_lost(cache, lane->session);
		handle_lane_exit();
		lane = NULL;
	}
	if (unlikely(!lane))
		r = handle_lane_find(cache, HANDLE_WRITE, deadline, &lane);
	for (i = 0; r && i < n; i++)
		requests[i].result = r;
	if (r)
		return r;
	r = execute_on(lane, requests, n, deadline);
	if (r == -ENOTCONN)
		handle_session_lost(cache, lane->session);
	handle_lane_exit();
	return r;
}

int shmc_execute(struct shmc *cache, struct shmc_request *requests, size_t n, int timeout_ms)
{
	if (timeout_ms < SHMC_TIMEOUT_DEFAULT || (n && !requests))
		return -EINVAL;
	return execute(cache, requests, n, handle_deadline(cache, timeout_ms));
}
