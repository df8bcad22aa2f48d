/* SPDX-License-Identifier: Apache-2.0 */
/* replay-run.h - one trace against one policy at one size. */
#ifndef BENCH_REPLAY_RUN_H
#define BENCH_REPLAY_RUN_H

#include "bench/trace.h"

struct replay_options {
	const char *policy;
	uint64_t size; /* of the cache: entries, or bytes if by_bytes */
	bool by_bytes;
	bool hints;    /* hand group and position to the policy */
	uint64_t salt; /* of the keys' hash */
	/*
	 * Between the trace's reads so many percent of all reads are of keys that
	 * are read once, and come from elsewhere: each is put as unproven.
	 */
	unsigned one_off_percent;
	bool unproven; /* and what the trace misses comes from elsewhere, too */
	/* For two tiers; a policy of each. Percents of the upper one's size. */
	unsigned upper_percent; /* of the whole size */
	unsigned demote_at, demote_to;
	unsigned promote_after; /* hits; 0: never */
};

struct replay_result {
	uint64_t n_reads, n_hits; /* of the trace */
	uint64_t n_one_offs;      /* reads beside them */
	uint64_t n_bytes, n_bytes_hit;
	/*
	 * Hits before which all of the same group were hits too: of a prompt's
	 * blocks, those that it can use.  Those of a trace without groups: all.
	 */
	uint64_t n_usable;
	double ns_per_read;	/* the policy's calls and the loop around them */
	double books_per_entry; /* bytes, at the end */
	/* Of two tiers: hits in the lower one, and moves. */
	uint64_t n_hits_below, n_demotions, n_promotions, n_refused;
};

/*
 * One more read of the trace. @usable: of the one before it, true before the
 * first; then of this one.
 */
static inline void replay_count(
	struct replay_result *res, const struct trace_read *x, bool is_hit, bool *usable)
{
	*usable = is_hit && (!x->group || !x->position || *usable);
	res->n_bytes += x->size;
	res->n_hits += is_hit;
	res->n_usable += *usable;
	res->n_bytes_hit += is_hit ? x->size : 0;
}

/*
 * 0; -ENOENT no such policy; -ENOMEM.  By entries, each counts for
 * TRACE_BLOCK_SIZE whatever its size; by bytes, a key keeps the size it had
 * when it was put, and one larger than the cache is read past it.
 */
int replay_run(
	struct replay_result *out, const struct trace *t, const struct replay_options *o);

/* The same in two tiers that make up one cache of the size. */
int replay_run_tiers(
	struct replay_result *out, const struct trace *t, const struct replay_options *o);

/*
 * Belady's bound by entries: the most hits that any policy can have which may
 * decline to put what it missed.  -ENOMEM.
 */
int replay_belady(uint64_t *n_hits, const struct trace *t, uint64_t n_entries);

#endif
