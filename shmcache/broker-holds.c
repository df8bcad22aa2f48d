/* SPDX-License-Identifier: Apache-2.0 */
/* broker-holds.c: what the store must know of the sessions, and what they keep from it. */
#include <string.h>

#include "shmcache/broker.h"

/*
 * The store knows no sessions. What it asks of them, it asks here: which cells are held, what was
 * read. And here is seen to it that nobody keeps too much of a tier, or leaves it cut short.
 */
void broker_scan_holds(void *context, struct index *ix, uint8_t round)
{
	struct broker *b = context;
	struct session *s;

	pthread_mutex_lock(&b->sessions_lock);
	for (s = b->sessions; s; s = s->next)
		session_scan_holds(s, ix, round);
	formers_scan(&b->formers, ix, round);
	pthread_mutex_unlock(&b->sessions_lock);
}

/* A worker drains the logs of its own sessions; it is the one that asks. */
void broker_drain_logs(void *context, struct abi_worker *w)
{
	struct broker *b = context;
	size_t number = (size_t)(w - b->plane.shared->worker);
	struct session *last = NULL;
	struct worker *worker;
	unsigned i;

	/* The mover has none, and goes on while the workers are stopped and forgotten. */
	if (number == ABI_MOVER || number >= b->n_workers)
		return;
	worker = &b->worker[number];
	for (i = 0; i < worker->n_lanes; i++) {
		if (worker->lane[i]->session != last)
			session_drain_logs(worker->lane[i]->session, &b->store, w);
		last = worker->lane[i]->session;
	}
}

/* Walking the books for each cut that a client makes must not be all that we do. */
#define MEND_PAUSE_MS 100

void broker_mend(struct broker *b, struct abi_worker *w)
{
	struct store_mended mended;
	uint64_t now_ms = store_now_ms();

	/* Relaxed: a pause that is missed costs a walk. */
	if (now_ms < atomic_load_explicit(&b->mend_ms, memory_order_relaxed) ||
		!store_mend(&b->store, w, &mended))
		return;
	atomic_store_explicit(&b->mend_ms, now_ms + MEND_PAUSE_MS, memory_order_relaxed);
	log_warning(b->log, "tier-damaged",
		LOG_STR("tier", mended.tier == ABI_TIER_CXL ? "cxl" : "dram"),
		LOG_U64("from", mended.off), LOG_U64("dropped", mended.n_dropped),
		LOG_STR("mended", mended.error ? strerror(-mended.error) : "yes"),
		LOG_STR("why", "a client of the role writer changed its size or punched holes"));
}

static void check_holds_in(struct broker *b, struct abi_worker *w, unsigned tier)
{
	uint64_t size = b->store.tier[tier].size;
	unsigned percent = atomic_load_explicit(&b->tuning.held_percent, memory_order_relaxed);
	uint64_t quota = size / 100 * percent;
	struct session *s;
	bool any = false;

	if (store_limbo_size(&b->store, tier) <= quota)
		return;
	pthread_mutex_lock(&b->sessions_lock);
	for (s = b->sessions; s; s = s->next) {
		if (session_held_size(s, &b->store, tier) <= quota ||
			!session_cut_off(s, w, ABI_FAULT_HOLDS))
			continue;
		log_warning(b->log, "session-cut-off", LOG_U64("session", s->id),
			LOG_I64("pid", s->pid), LOG_U64("uid", s->uid),
			LOG_STR("why", abi_fault_name(ABI_FAULT_HOLDS)));
		any = true;
	}
	formers_check_holds(&b->formers, tier, quota);
	pthread_mutex_unlock(&b->sessions_lock);
	if (any)
		broker_poke(b);
}

void broker_check_holds(struct broker *b, struct abi_worker *w)
{
	unsigned tier;

	for (tier = 0; tier < ABI_TIERS; tier++)
		check_holds_in(b, w, tier);
}
