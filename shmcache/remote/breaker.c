/* SPDX-License-Identifier: Apache-2.0 */
/* breaker.c: when to leave a holder alone, and when to look whether it is back. */
#include "shmcache/remote/breaker.h"

/*
 * A holder that is dead, stopped or cut off costs each flight that tries it a good part of its
 * deadline. After a few such failures in a row the rest goes to the next holder at once, or is a
 * miss at once; one request in each pause looks whether that is still so.
 *
 * Several are under way when the first fails: what of them fails after that belongs to the same
 * mishap and does not make the pause longer. Some of them may come back when it is over; the one
 * that looks has a number, so that none of them is taken for it.
 */
bool breaker_is_passable(const struct breaker *b, uint64_t now_ms)
{
	return b->state == BREAKER_CLOSED || (b->state == BREAKER_OPEN && now_ms >= b->open_until_ms);
}

static bool is_look(const struct breaker *b, uint32_t look)
{
	return b->state == BREAKER_HALF_OPEN && look == b->n_looks;
}

bool breaker_ask(struct breaker *b, uint64_t now_ms, uint32_t *look)
{
	if (!breaker_is_passable(b, now_ms))
		return false;
	*look = 0;
	if (b->state == BREAKER_OPEN) {
		b->state = BREAKER_HALF_OPEN;
		b->n_looks = b->n_looks == UINT32_MAX ? 1 : b->n_looks + 1;
		*look = b->n_looks;
	}
	return true;
}

void breaker_succeed(struct breaker *b)
{
	b->state = BREAKER_CLOSED;
	b->n_failures = 0;
	b->pause_ms = 0;
}

static void open_for(struct breaker *b, uint64_t pause_ms, uint64_t now_ms)
{
	if (b->state == BREAKER_CLOSED)
		b->since_ms = now_ms;
	b->state = BREAKER_OPEN;
	b->pause_ms = pause_ms > BREAKER_PAUSE_MAX_MS ? BREAKER_PAUSE_MAX_MS : pause_ms;
	b->open_until_ms = now_ms + b->pause_ms;
	b->n_opened++;
}

bool breaker_fail(struct breaker *b, uint64_t now_ms, uint32_t look)
{
	b->n_failures++;
	if (is_look(b, look))
		open_for(b, 2 * b->pause_ms, now_ms);
	else if (b->state == BREAKER_CLOSED && b->n_failures >= BREAKER_FAILURES)
		open_for(b, BREAKER_PAUSE_MIN_MS, now_ms);
	else
		return false;
	return true;
}

void breaker_forget(struct breaker *b, uint64_t now_ms, uint32_t look)
{
	if (!is_look(b, look))
		return;
	b->state = BREAKER_OPEN;
	b->open_until_ms = now_ms;
}

const char *breaker_state_name(unsigned state)
{
	static const char *const names[] = {"closed", "open", "half-open"};

	return state < BREAKER_N_STATES ? names[state] : "?";
}
