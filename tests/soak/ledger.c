/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ledger.c: what the cache has acknowledged.
 *
 * A change is begun here before the broker is asked, and settled after it has answered, by the one
 * client that has the key. Whoever is killed in between leaves the key taken and the change
 * unsettled, both to be seen by everybody. A reader takes no part: it reads the entry before and
 * after its own look-up, and what it found must be explained by a state that the key had in
 * between.
 */
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include "tests/soak/ledger.h"

#define COMPLAINTS_MAX 20

uint64_t ledger_now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

void ledger_wrong(struct ledger *l, const char *format, ...)
{
	char text[256];
	va_list args;

	if (atomic_fetch_add(&l->n_wrong, 1) >= COMPLAINTS_MAX)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	fprintf(stderr, "seed %llu: %s\n", (unsigned long long)l->seed, text);
}

/* --- taking ----------------------------------------------------------------------------------- */

bool ledger_take(struct ledger *l, struct ledger_slot *slot, unsigned thread, unsigned take,
	unsigned key)
{
	uint32_t nobody = 0;

	/* Noted first: who dies in between is found by the note, and owns nothing yet. */
	atomic_store(&slot->taken[thread][take], key + 1);
	if (atomic_compare_exchange_strong(&l->entry[key].owner, &nobody, slot->life))
		return true;
	atomic_store(&slot->taken[thread][take], 0);
	return false;
}

void ledger_leave(struct ledger *l, struct ledger_slot *slot, unsigned thread, unsigned take)
{
	uint32_t key = atomic_load(&slot->taken[thread][take]) - 1;

	atomic_store(&l->entry[key].owner, 0);
	atomic_store(&slot->taken[thread][take], 0);
}

void ledger_bury(struct ledger *l, const struct ledger_slot *dead)
{
	unsigned thread, take;
	uint32_t key, life;

	for (thread = 0; thread < LEDGER_THREADS; thread++) {
		for (take = 0; take < LEDGER_TAKES; take++) {
			key = atomic_load(&dead->taken[thread][take]);
			life = dead->life;
			if (key)
				atomic_compare_exchange_strong(&l->entry[key - 1].owner, &life, 0);
		}
	}
}

/* --- changing --------------------------------------------------------------------------------- */

static bool is_settled(uint64_t begun, uint64_t done)
{
	return begun >> 1 == done;
}

uint64_t ledger_begin(struct ledger *l, unsigned key, enum ledger_change change)
{
	struct ledger_entry *e = &l->entry[key];
	uint64_t before = atomic_load(&e->begun), number = (before >> 1) + 1;
	bool removes = change == LEDGER_REMOVE;

	/* What an unsettled removal took away may be missing until a put is acknowledged. */
	if (!is_settled(before, atomic_load(&e->done)))
		removes |= before & 1;
	atomic_store(&e->begun, number << 1 | removes);
	return number;
}

void ledger_settle(
	struct ledger *l, unsigned key, enum ledger_outcome outcome, uint64_t expire_by)
{
	struct ledger_entry *e = &l->entry[key];
	uint64_t number = atomic_load(&e->begun) >> 1;

	/*
	 * A refused change tells nothing of those before it that are unsettled: only what it would
	 * have done itself is known not to have been done, and that is no reason to be strict.
	 */
	if (outcome == LEDGER_UNKNOWN ||
		(outcome == LEDGER_UNCHANGED && atomic_load(&e->done) + 1 != number)) {
		atomic_fetch_add(&l->n_unsettled, 1);
		return;
	}
	atomic_store(&e->expire_by, expire_by);
	if (outcome != LEDGER_UNCHANGED)
		atomic_store(&e->acked, number << 1 | (outcome == LEDGER_STORED));
	atomic_store(&e->done, number);
	atomic_fetch_add(&l->n_acked, 1);
}

/* --- reading ---------------------------------------------------------------------------------- */

/*
 * At the load of begun, acked was the last that had been acknowledged: a removal that was settled
 * in between would show in the second load of it, one under way in begun. And what done says is
 * settled is settled still, if begun agrees.
 */
struct ledger_look ledger_look(const struct ledger *l, unsigned key)
{
	const struct ledger_entry *e = &l->entry[key];
	struct ledger_look look;

	look.now_ms = ledger_now_ms();
	do {
		look.done = atomic_load(&e->done);
		look.acked = atomic_load(&e->acked);
		look.expire_by = atomic_load(&e->expire_by);
		look.begun = atomic_load(&e->begun);
	} while (atomic_load(&e->acked) != look.acked);
	return look;
}

static void judge_hit(struct ledger *l, unsigned key, const struct ledger_look *look,
	uint64_t begun, uint64_t version)
{
	const unsigned long long v = version, acked = look->acked >> 1, last = begun >> 1;
	bool is_certain = is_settled(look->begun, look->done) && begun == look->begun;

	if (version > begun >> 1)
		ledger_wrong(l, "key %u has version %llu, and %llu was the last begun", key, v, last);
	else if (version < look->acked >> 1)
		ledger_wrong(l, "key %u has version %llu, after %llu was acknowledged", key, v, acked);
	else if (is_certain && !(look->acked & 1))
		ledger_wrong(l, "key %u has version %llu, and was deleted by %llu", key, v, acked);
	else if (is_certain && version != look->acked >> 1)
		ledger_wrong(l, "key %u has version %llu, which was refused", key, v);
	else if (is_certain && look->expire_by && look->now_ms > look->expire_by)
		ledger_wrong(l, "key %u has version %llu, which has expired", key, v);
}

static void judge_miss(
	struct ledger *l, unsigned key, const struct ledger_look *look, uint64_t begun)
{
	atomic_fetch_add_explicit(&l->n_misses, 1, memory_order_relaxed);
	if (!l->keeps || ledger_is_fleeting(key) || !(look->acked & 1))
		return;
	/* With at most one change in between, none that we know nothing of. A put replaces, it never
	 * makes a key unfindable. */
	if ((look->begun | begun) & 1 || (begun >> 1) - (look->begun >> 1) > 1)
		return;
	ledger_wrong(l, "key %u is lost: version %llu was acknowledged", key,
		(unsigned long long)look->acked >> 1);
}

void ledger_judge(
	struct ledger *l, unsigned key, const struct ledger_look *look, uint64_t version)
{
	uint64_t begun = atomic_load(&l->entry[key].begun);

	atomic_fetch_add_explicit(&l->n_judged, 1, memory_order_relaxed);
	if (version)
		judge_hit(l, key, look, begun, version);
	else
		judge_miss(l, key, look, begun);
}
