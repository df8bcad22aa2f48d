/* SPDX-License-Identifier: Apache-2.0 */
/* tier.c: which tier a value goes to, and when it is worth a move. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "shmcache/tier.h"

/*
 * New values go to DRAM, where they are fastest to reach and where most of them are read first. Two
 * things speak for CXL at once: the client says so, or the value is so large that it would drive
 * out much else. When DRAM has no room, what is cold there moves down; CXL is where entries leave.
 *
 * A put waits for a demotion only if the mover has fallen behind, and then for a bounded one: what
 * is larger than DEMOTE_WAIT_MAX is stored below at once instead.
 *
 * The way up is narrow on purpose. CXL memory is read in place, so a promotion saves some hundred
 * nanoseconds a line later and costs two copies now. It is earned by repeated hits, bounded by a
 * rate (a token bucket that may go into debt, so that large values have their turn as well), and
 * the store refuses it where something warmer would have to make way.
 */
#define DEMOTE_WAIT_MAX (UINT64_C(64) << 20)
#define DEBT_MS_MAX 3600000 /* longer pauses than this are no longer told apart */

uint64_t tier_used(const struct tier *tier)
{
	struct block_stats st;

	block_stats_get(tier->blocks, &st);
	return st.used - tier->limbo_size;
}

/* --- placement -------------------------------------------------------------------------------- */

unsigned tier_choose(const struct tier tier[ABI_TIERS], const struct store_tiering *o, unsigned hint,
	uint64_t size, struct tier_choice out[TIER_CHOICES_MAX])
{
	bool fits_dram = size <= tier[ABI_TIER_DRAM].size;
	bool fits_cxl = size <= tier[ABI_TIER_CXL].size;
	bool is_below = hint == ABI_TIER_CXL ||
		(hint != ABI_TIER_DRAM && o->size_threshold && size >= o->size_threshold);
	unsigned n = 0;

	if (fits_dram && fits_cxl && !is_below)
		out[n++] = (struct tier_choice){ABI_TIER_DRAM,
			size <= DEMOTE_WAIT_MAX ? TIER_ROOM_DEMOTE : TIER_ROOM_FREE};
	if (fits_cxl)
		out[n++] = (struct tier_choice){ABI_TIER_CXL, TIER_ROOM_EVICT};
	if (fits_dram)
		out[n++] = (struct tier_choice){ABI_TIER_DRAM, TIER_ROOM_EVICT};
	return n;
}

/* --- when to move ----------------------------------------------------------------------------- */

int tiering_init(struct tiering *t, const struct store_tiering *options,
	const struct tier tier[ABI_TIERS], uint64_t n_cells_max)
{
	uint64_t dram_size = tier[ABI_TIER_DRAM].size;

	memset(t, 0, sizeof(*t));
	t->options = *options;
	if (!tier[ABI_TIER_CXL].region)
		return 0;
	t->demote_at = dram_size / 100 * options->demote_at;
	t->demote_to = dram_size / 100 * options->demote_to;
	t->tokens = (int64_t)options->promote_rate;
	t->hits = mmap(NULL, n_cells_max * sizeof(*t->hits), PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (t->hits == MAP_FAILED) {
		t->hits = NULL;
		return -ENOMEM;
	}
	t->n_cells_max = n_cells_max;
	return 0;
}

void tiering_deinit(struct tiering *t)
{
	if (t->hits)
		munmap(t->hits, t->n_cells_max * sizeof(*t->hits));
	memset(t, 0, sizeof(*t));
}

bool tiering_wants_demotion(struct tiering *t, const struct tier *dram)
{
	uint64_t used;

	if (!t->hits)
		return false;
	used = tier_used(dram);
	t->is_demoting = used > (t->is_demoting ? t->demote_to : t->demote_at);
	return t->is_demoting;
}

void tiering_forget(struct tiering *t, uint32_t cell)
{
	if (t->hits)
		t->hits[cell] = 0;
}

bool tiering_hit(struct tiering *t, uint32_t cell, uint32_t generation, bool *is_refused)
{
	unsigned at = (t->first + t->n_candidates) % TIERING_CANDIDATES;

	*is_refused = false;
	if (!t->hits || !t->options.promote_after)
		return false;
	/* One that waits for its turn stays above the number, and is not entered again. */
	if (t->hits[cell] < UINT16_MAX)
		t->hits[cell]++;
	if (t->hits[cell] != t->options.promote_after)
		return false;
	if (t->n_candidates == TIERING_CANDIDATES) {
		t->hits[cell] = 0;
		*is_refused = true;
		return false;
	}
	t->candidate[at] = (struct tiering_candidate){cell, generation};
	t->n_candidates++;
	return true;
}

bool tiering_next(struct tiering *t, struct tiering_candidate *out)
{
	if (!t->n_candidates)
		return false;
	*out = t->candidate[t->first];
	t->first = (t->first + 1) % TIERING_CANDIDATES;
	t->n_candidates--;
	/* Whatever becomes of it: it has to earn the next one anew. */
	t->hits[out->cell] = 0;
	return true;
}

bool tiering_may_promote(struct tiering *t, uint64_t now_ms)
{
	uint64_t rate = t->options.promote_rate, ms = now_ms - t->tokens_ms;

	if (!rate)
		return true;
	/* A second's worth at most. */
	if (ms) {
		t->tokens_ms = now_ms;
		if (ms > DEBT_MS_MAX)
			ms = DEBT_MS_MAX;
		t->tokens += (int64_t)(rate / 1000 * ms + rate % 1000 * ms / 1000);
		if (t->tokens > (int64_t)rate)
			t->tokens = (int64_t)rate;
	}
	return t->tokens > 0;
}

void tiering_pay(struct tiering *t, uint64_t size)
{
	if (t->options.promote_rate)
		t->tokens -= (int64_t)size;
}
