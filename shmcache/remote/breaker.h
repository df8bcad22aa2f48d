/* SPDX-License-Identifier: Apache-2.0 */
/* breaker.h: whether it is worth while to ask a holder that has failed before. */
#ifndef SHMCACHE_REMOTE_BREAKER_H
#define SHMCACHE_REMOTE_BREAKER_H

#include <stdbool.h>
#include <stdint.h>

/*
 * One a holder; zeroed: closed. M. T. Nygard, "Release It!", 2007.
 *
 *	        BREAKER_FAILURES in a row             its pause is over, and somebody asks
 *	CLOSED ---------------------------> OPEN <--------------------------------> HALF_OPEN
 *	   ^                                       the one that was let through fails:  |
 *	   |                                       twice the pause, up to a limit       |
 *	   +----------------------------------------------------------------------------+
 *	                             the one that was let through does not fail
 *
 * A holder that does not have a value has not failed: it has answered.
 */
enum breaker_state {
	BREAKER_CLOSED = 0,
	BREAKER_OPEN = 1,      /* nobody asks */
	BREAKER_HALF_OPEN = 2, /* one asks, for all */
	BREAKER_N_STATES = 3,
};

#define BREAKER_FAILURES 3
#define BREAKER_PAUSE_MIN_MS 100
#define BREAKER_PAUSE_MAX_MS 10000

struct breaker {
	enum breaker_state state;
	unsigned n_failures; /* in a row */
	uint64_t pause_ms, open_until_ms;
	uint64_t since_ms; /* when it was closed last, unless it is */
	uint64_t n_opened; /* ever */
	uint32_t n_looks;  /* ever; after the last number from 1 on again: no such one is out by then */
};

/*
 * May the holder be asked now? If so the caller asks, and tells how that went by one of the next
 * three, with @look: the number of the look that this is, or 0. What was under way before tells
 * nothing about a holder that is being looked at, unless it is that he answers.
 */
bool breaker_ask(struct breaker *b, uint64_t now_ms, uint32_t *look);

void breaker_succeed(struct breaker *b);
/* True when it has opened by this. */
bool breaker_fail(struct breaker *b, uint64_t now_ms, uint32_t look);
/* It was not the holder's doing that there was no answer. */
void breaker_forget(struct breaker *b, uint64_t now_ms, uint32_t look);

/* Would breaker_ask() be true? Without asking. */
bool breaker_is_passable(const struct breaker *b, uint64_t now_ms);

/* "closed", "open", "half-open". */
const char *breaker_state_name(unsigned state);

#endif
