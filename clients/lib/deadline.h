/* SPDX-License-Identifier: Apache-2.0 */
/* deadline.h: a timeout, turned once into the moment at which it ends. */
#ifndef CLIENTS_LIB_DEADLINE_H
#define CLIENTS_LIB_DEADLINE_H

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

/* A moment of CLOCK_MONOTONIC in ns. 0 has always passed, DEADLINE_NEVER never does. */
#define DEADLINE_NOW UINT64_C(0)
#define DEADLINE_NEVER UINT64_MAX

static inline uint64_t deadline_clock(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* The coarse clock in ms: a tick behind at most, and cheap enough for a hit. */
static inline uint64_t deadline_clock_coarse_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* @timeout_ms from now; 0: don't wait; negative: for ever. */
static inline uint64_t deadline_in(int timeout_ms)
{
	if (timeout_ms < 0)
		return DEADLINE_NEVER;
	return timeout_ms ? deadline_clock() + (uint64_t)timeout_ms * 1000000 : DEADLINE_NOW;
}

static inline bool deadline_passed(uint64_t deadline)
{
	if (deadline == DEADLINE_NOW || deadline == DEADLINE_NEVER)
		return deadline == DEADLINE_NOW;
	return deadline_clock() >= deadline;
}

static inline struct timespec deadline_timespec(uint64_t ns)
{
	return (struct timespec){
		.tv_sec = (time_t)(ns / 1000000000), .tv_nsec = (long)(ns % 1000000000)};
}

/* poll(2) until the deadline, signals or not. The number of ready descriptors, or -errno. */
static inline int deadline_poll(struct pollfd *fds, nfds_t n, uint64_t deadline)
{
	struct timespec left;
	uint64_t now;
	int r;

	do {
		left = (struct timespec){0};
		if (deadline != DEADLINE_NOW && deadline != DEADLINE_NEVER) {
			now = deadline_clock();
			left = deadline_timespec(deadline > now ? deadline - now : 0);
		}
		r = ppoll(fds, n, deadline == DEADLINE_NEVER ? NULL : &left, NULL);
	} while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : r;
}

#endif
