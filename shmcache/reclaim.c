/* SPDX-License-Identifier: Apache-2.0 */
/* reclaim.c: when a retired record and its block may be used again. */
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <urcu.h>

#include "shmcache/store.h"

/*
 * The one question here: can anybody still read this? Readers are of two kinds, and each has its
 * own answer.
 *
 * The broker's threads read in liburcu sections: synchronize_rcu() waits for those that began
 * before the record was unpublished.
 *
 * A client announces what it is about to read in a hold cell of its own, then looks at the slot
 * again (clients/lib: "the one-sided read"):
 *
 *	reader				broker
 *	R1  hold := word		B1  slot := other (unpublish, under the lock)
 *	    -- fence --			    -- membarrier --
 *	R2  load slot; if it is		B2  load all hold cells; free what none of
 *	    still word, read on		    them names
 *
 * It must not be that R2 sees the word and B2 misses the hold. The fence keeps R1 before R2, the
 * membarrier keeps B1 before B2; then of the two loads at least one sees the other side's store
 * (Dekker). On the reader's side the fence is either a real one or, for processes registered for
 * MEMBARRIER_CMD_GLOBAL_EXPEDITED, a compiler barrier: the membarrier makes every running thread of
 * such a process pass a full fence between B1 and B2. A thread that was in the middle of R1..R2 has
 * then either stored its hold visibly, or will load the slot after B1. tests/model/hold-reclaim.pml
 * fails when either is taken out.
 *
 * A hold names a cell. It keeps the cell whatever was published there when it was taken: a hold
 * that was taken on an older generation and is about to be given up merely delays. A record that is
 * not retired is never freed here, so a hold that is set after B2 can only be on published records.
 *
 * After hazard pointers (Michael, IEEE TPDS 2004); the asymmetric fence after liburcu's
 * sys_membarrier flavour. One round serves all that was in limbo when it began.
 */
static bool barrier_in_clients(const struct store *s)
{
	if (s->has_membarrier)
		return syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL_EXPEDITED, 0, 0) == 0;
	/* An old kernel: the plane said fence_needed before anybody attached, so readers fence. */
	shared_fence();
	return true;
}

bool store_can_membarrier(void)
{
	long got = syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0);

	return got > 0 && (got & MEMBARRIER_CMD_GLOBAL_EXPEDITED);
}

/*
 * Free the first @n of limbo but for the held. The rest moves up, at the end: others retire
 * meanwhile, behind all that. Returns how many were kept.
 */
static uint64_t free_unheld(struct store *s, uint64_t n, enum store_keep keep)
{
	const struct store_move *move;
	const struct store_loan *loan;
	uint64_t i, kept = 0, held_size = 0;
	uint32_t cell;
	bool is_held;

	/* What is being copied to the other tier, or lent, is held as if by a client. */
	for (move = s->moves; move; move = move->next)
		index_mark_held(&s->index, move->from, s->round);
	for (loan = s->loans; loan; loan = loan->next)
		index_mark_held(&s->index, loan->cell, s->round);
	for (i = 0; i < n; i++) {
		if (i && i % (4 * STORE_HOLD_MAX) == 0)
			store_yield_locked(s);
		cell = s->limbo.cell[i];
		is_held = index_is_held(&s->index, cell, s->round);
		if (is_held)
			held_size += store_block_size(s, cell);
		if (is_held || store_is_kept_locked(s, cell, keep)) {
			s->limbo.cell[kept++] = cell;
			continue;
		}
		store_tier_of(s, cell)->limbo_size -= store_block_size(s, cell);
		store_free_locked(s, cell);
	}
	for (i = n; i < s->limbo.n; i++)
		s->limbo.cell[kept + i - n] = s->limbo.cell[i];
	__atomic_store_n(&s->limbo.n, s->limbo.n - (n - kept), __ATOMIC_RELAXED);
	s->held_size = held_size;
	return kept;
}

void store_keep(struct store *s, enum store_keep keep)
{
	pthread_mutex_lock(&s->lock);
	s->keep = keep;
	/* The mover leaves everything where it is while all is kept. */
	pthread_cond_signal(&s->move_wanted);
	pthread_mutex_unlock(&s->lock);
}

bool store_is_kept_locked(const struct store *s, uint32_t cell, enum store_keep keep)
{
	const struct abi_record *r = &s->index.cell[cell];

	uint32_t n_new = s->index.generation - s->former_generation;

	/* Ours are those that were made since. An entry of old may be of any generation before. */
	if (keep == STORE_KEEP_NOTHING || r->generation - s->former_generation - 1 < n_new)
		return false;
	return keep == STORE_KEEP_ALL || (shared_u64_load(&r->expire_ms) & ABI_RECORD_OPEN);
}

bool store_has_limbo(const struct store *s)
{
	return __atomic_load_n(&s->limbo.n, __ATOMIC_RELAXED) != 0;
}

uint64_t store_limbo_size(struct store *s, unsigned tier)
{
	uint64_t size;

	pthread_mutex_lock(&s->lock);
	size = s->tier[tier].limbo_size;
	pthread_mutex_unlock(&s->lock);
	return size;
}

void store_reclaim(struct store *s, struct abi_worker *w)
{
	uint64_t n, kept, begin_ns, scan_ns, n_marks;
	enum store_keep keep;
	bool is_proved;

	pthread_mutex_lock(&s->reclaim_lock);
	pthread_mutex_lock(&s->lock);
	n = s->limbo.n;
	/* Now: a table that is taken over during the round may miss its scan. */
	keep = s->keep;
	/*
	 * 0 is no round: that is what cells are born with. Without a scan the last one's marks
	 * stand.
	 */
	if (n)
		s->round = s->round == UINT8_MAX ? 1 : (uint8_t)(s->round + 1);
	pthread_mutex_unlock(&s->lock);
	if (!n) {
		pthread_mutex_unlock(&s->reclaim_lock);
		return;
	}

	begin_ns = store_now_ns();
	synchronize_rcu();
	/* A grace period is just that; liburcu as it is installed does not tell the sanitizer. */
	shared_happens_after(&s->limbo);
	is_proved = barrier_in_clients(s);
	store_time(w, ABI_STAGE_GRACE, begin_ns);
	if (is_proved) {
		n_marks = s->index.n_marks;
		scan_ns = store_now_ns();
		s->sessions.scan_holds(s->sessions.context, &s->index, s->round);
		store_time(w, ABI_STAGE_SCAN, scan_ns);
		pthread_mutex_lock(&s->lock);
		s->n_held = s->index.n_marks - n_marks;
		kept = free_unheld(s, n, keep);
		pthread_mutex_unlock(&s->lock);
	} else {
		/* Out of memory in the kernel: nothing was proved, so nothing is freed. */
		kept = n;
	}
	pthread_mutex_unlock(&s->reclaim_lock);

	store_time(w, ABI_STAGE_RECLAIM, begin_ns);
	store_count(w, ABI_COUNTER_RECLAIM_ROUNDS, 1);
	store_count(w, ABI_COUNTER_RECLAIMED, n - kept);
	store_count(w, ABI_COUNTER_RECLAIM_KEPT, kept);
}

void store_reclaim_unlocked(struct store *s, struct abi_worker *w)
{
	pthread_mutex_unlock(&s->lock);
	store_reclaim(s, w);
	pthread_mutex_lock(&s->lock);
}
