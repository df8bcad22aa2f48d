/* SPDX-License-Identifier: Apache-2.0 */
/* timer.c: a pairing heap of deadlines. */
#include <stddef.h>

#include "shmcache/remote/timer.h"

/*
 * Most deadlines never come: a fetch sets one and clears it when it is done. Setting is one
 * comparison here, and clearing one that has no children is unlinking it from its siblings; the
 * work is put off until a root with many children goes.
 */
static struct timer *meld(struct timer *a, struct timer *b)
{
	struct timer *first, *second;

	if (!a || !b)
		return a ? a : b;
	first = b->at_ms < a->at_ms ? b : a;
	second = first == a ? b : a;
	second->prev = first;
	second->next = first->child;
	if (first->child)
		first->child->prev = second;
	first->child = second;
	return first;
}

/*
 * Meld siblings: in pairs from the left, then the pairs from the right. The list is its own stack.
 */
static struct timer *meld_all(struct timer *list)
{
	struct timer *pairs = NULL, *heap = NULL, *a, *b, *rest;

	for (; list; list = rest) {
		a = list;
		b = a->next;
		rest = b ? b->next : NULL;
		a->next = a->prev = NULL;
		if (b)
			b->next = b->prev = NULL;
		a = meld(a, b);
		a->next = pairs;
		pairs = a;
	}
	for (; pairs; pairs = rest) {
		rest = pairs->next;
		pairs->next = NULL;
		heap = meld(heap, pairs);
	}
	return heap;
}

static void unlink_timer(struct timers *timers, struct timer *t)
{
	struct timer *children = meld_all(t->child);

	if (timers->root == t) {
		timers->root = children;
	} else {
		if (t->prev->child == t)
			t->prev->child = t->next;
		else
			t->prev->next = t->next;
		if (t->next)
			t->next->prev = t->prev;
		timers->root = meld(timers->root, children);
	}
	t->child = t->next = t->prev = NULL;
	t->is_set = false;
}

void timer_set(struct timers *timers, struct timer *t, uint64_t at_ms)
{
	timer_clear(timers, t);
	t->at_ms = at_ms > timers->running_ms ? at_ms : timers->running_ms + 1;
	t->is_set = true;
	timers->root = meld(timers->root, t);
}

void timer_clear(struct timers *timers, struct timer *t)
{
	if (t->is_set)
		unlink_timer(timers, t);
}

uint64_t timers_next(const struct timers *timers)
{
	return timers->root ? timers->root->at_ms : UINT64_MAX;
}

void timers_run(struct timers *timers, uint64_t now_ms)
{
	struct timer *t;

	timers->running_ms = now_ms;
	while ((t = timers->root) && t->at_ms <= now_ms) {
		unlink_timer(timers, t);
		t->expired(t);
	}
	timers->running_ms = 0;
}
