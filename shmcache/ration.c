/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ration.c: a share of a CPU and no more.
 *
 * An attach costs the broker a hundred microseconds of processor time and the client that asks for
 * it hardly less; so whoever comes, is cut off, and comes again, or connects and says nothing, can
 * keep the control thread busy for ever. What it does is urgent for nobody who is attached, but it
 * may take the CPU from a worker. So the thread rests when it has used more than its share, whoever
 * made it work: no account of users, processes or addresses could be as hard to cheat. A burst, as
 * when many processes start together, is paid from what was saved up.
 *
 * While it rests, deaths and signals are noticed some milliseconds later. Workers wait for nothing
 * of it: it rests between two pieces of work, with no lock held.
 */
#include "shmcache/ration.h"

#include <time.h>

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

void ration_init(struct ration *ration)
{
	ration->wall_ns = clock_ns(CLOCK_MONOTONIC);
	ration->cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	ration->credit_ns = RATION_CREDIT_NS;
}

void ration_rest(struct ration *ration)
{
	uint64_t wall_ns = clock_ns(CLOCK_MONOTONIC), cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	uint64_t rest_ns;

	ration->credit_ns += (int64_t)((wall_ns - ration->wall_ns) / RATION_SHARE);
	ration->credit_ns -= (int64_t)(cpu_ns - ration->cpu_ns);
	ration->wall_ns = wall_ns;
	ration->cpu_ns = cpu_ns;
	if (ration->credit_ns > RATION_CREDIT_NS)
		ration->credit_ns = RATION_CREDIT_NS;
	if (ration->credit_ns >= 0)
		return;
	rest_ns = (uint64_t)-ration->credit_ns * RATION_SHARE;
	if (rest_ns > RATION_REST_NS_MAX)
		rest_ns = RATION_REST_NS_MAX;
	/* Cut short by a signal: the next time makes up for it. */
	nanosleep(&(struct timespec){.tv_nsec = (long)rest_ns}, NULL);
}
