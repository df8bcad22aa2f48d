/* SPDX-License-Identifier: Apache-2.0 */
/* timer.h: what is to be done at a time: any number of deadlines, without memory of their own. */
#ifndef SHMCACHE_REMOTE_TIMER_H
#define SHMCACHE_REMOTE_TIMER_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Embedded in what it belongs to, zeroed before its first use. Setting one can't fail: the timers
 * that are set form a pairing heap (M. L. Fredman, R. Sedgewick, D. D. Sleator, R. E. Tarjan, "The
 * pairing heap: a new form of self-adjusting heap", Algorithmica 1, 1986) by their own links. One
 * thread.
 */
struct timer {
	uint64_t at_ms;
	void (*expired)(struct timer *timer); /* it is not set any more, and may be set again or freed */
	void *owner;
	/*
	 * Inside: the first child; the next sibling; the previous one, or the parent of the first.
	 */
	struct timer *child, *next, *prev;
	bool is_set;
};

struct timers {
	struct timer *root;
	uint64_t running_ms; /* inside timers_run(): its time, else 0 */
};

/* Set it, or set it to another time. Constant time; of those of one time any may be first. */
void timer_set(struct timers *timers, struct timer *timer, uint64_t at_ms);

/* No-op where it is not set. Logarithmic, amortised. */
void timer_clear(struct timers *timers, struct timer *timer);

/* When the first is due; UINT64_MAX: none is set. */
uint64_t timers_next(const struct timers *timers);

/*
 * Call those that are due at @now_ms. What they set meanwhile, to whatever time, is not: one that
 * is always late does not keep all others waiting.
 */
void timers_run(struct timers *timers, uint64_t now_ms);

#endif
