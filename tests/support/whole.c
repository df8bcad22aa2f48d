/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The books of a live broker, held against what can be seen.
 *
 * store_check() holds everything against everything, but from within. From outside there
 * are the gauges, and the index, which anybody may walk. A block that leaks, a
 * reservation that nobody owns any more or a session that is never let go shows as bytes
 * in use that no entry accounts for.
 *
 * Gauges are written behind the work, so one that is right may be one that is old. Hence
 * the probe: an entry of our own, which they have to count before they are believed, and
 * must no more count after.
 */
#include "tests/support/whole.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define GRAIN 64 /* BLOCK_GRAIN: sizes are rounded up to it */
#define PROBE "whole/probe"

struct seen {
	uint64_t n[3], size[3]; /* by enum shmc_tier */
};

static int entry_visit(void *context, const struct shmc_entry *entry)
{
	struct seen *seen = context;
	unsigned tier = entry->tier < 3 ? entry->tier : 0;

	seen->n[tier]++;
	seen->size[tier] += (entry->value_size + GRAIN - 1) / GRAIN * GRAIN;
	return 0;
}

static int all_see(struct shmc *cache, struct seen *seen)
{
	uint64_t cursor = 0;
	int r;

	memset(seen, 0, sizeof(*seen));
	do
		r = shmc_scan(cache, &cursor, NULL, 0, 0, entry_visit, seen);
	while (!r && cursor);
	return r;
}

struct finding {
	char *why;
	size_t size;
};

static bool is_equal(struct finding *f, const char *what, uint64_t is, uint64_t should)
{
	if (is != should)
		snprintf(f->why, f->size, "%s: %llu, and it should be %llu", what,
			(unsigned long long)is, (unsigned long long)should);
	return is == should;
}

static bool is_quiet(
	struct finding *f, const struct shmc_usage *u, const struct whole_expect *expect)
{
	return is_equal(f, "sessions", u->n_sessions, expect->n_sessions) &&
	       is_equal(f, "reserved bytes", u->reserved_size, expect->reserved_size) &&
	       is_equal(f, "pinned bytes", u->pinned_size, expect->pinned_size);
}

static bool is_accounted_for(struct finding *f, const struct shmc_usage *u,
	const struct whole_expect *expect, const struct seen *seen)
{
	/* Reservations are made in DRAM unless somebody says otherwise. */
	uint64_t dram = seen->size[SHMC_TIER_DRAM] + expect->reserved_size;

	return is_equal(f, "entries, by the index", seen->n[1] + seen->n[2], u->n_entries) &&
	       is_equal(f, "bytes in limbo", u->limbo_size, 0) &&
	       is_equal(f, "bytes in use in DRAM", u->dram.used, dram) &&
	       is_equal(f, "entries in DRAM", u->dram.n_entries, seen->n[SHMC_TIER_DRAM]) &&
	       is_equal(f, "bytes in use in CXL", u->cxl.used, seen->size[SHMC_TIER_CXL]) &&
	       is_equal(f, "entries in CXL", u->cxl.n_entries, seen->n[SHMC_TIER_CXL]);
}

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* Until all agrees, with the probe (@probes is 1) or without (0). */
static int agree_wait(struct shmc *cache, const struct whole_expect *expect,
	uint64_t n_others, uint64_t probes, uint64_t deadline_ms, struct finding *f)
{
	struct shmc_usage usage;
	struct seen seen;
	int r;

	for (;;) {
		r = shmc_usage(cache, &usage);
		if (!r)
			r = all_see(cache, &seen);
		if (r)
			return r;
		if (is_quiet(f, &usage, expect) &&
			is_equal(f, "entries", usage.n_entries, n_others + probes) &&
			is_accounted_for(f, &usage, expect, &seen))
			return 0;
		if (now_ms() > deadline_ms)
			return -EUCLEAN;
		nanosleep(&(struct timespec){.tv_nsec = 500000}, NULL);
	}
}

static int probe_check(struct shmc *cache, uint64_t value, struct finding *f)
{
	uint64_t is = 0;
	int r = shmc_read(cache, PROBE, strlen(PROBE), &is, sizeof(is), NULL);

	if (!r && !is_equal(f, "the value that was put", is, value))
		r = -EUCLEAN;
	if (r > 0) {
		snprintf(f->why, f->size, "what was put is not there: %s", shmc_strerror(r));
		r = -EUCLEAN;
	}
	return r;
}

int whole_look(
	struct shmc *cache, const struct whole_expect *expect, char *why, size_t why_size)
{
	struct finding f = {why, why_size};
	struct shmc_usage usage;
	int r = shmc_usage(cache, &usage);

	if (r)
		return r;
	return is_quiet(&f, &usage, expect) ? 0 : -EUCLEAN;
}

int whole_wait(struct shmc *cache, const struct whole_expect *expect, int timeout_ms,
	char *why, size_t why_size)
{
	uint64_t deadline_ms = now_ms() + (uint64_t)timeout_ms;
	struct finding f = {why, why_size};
	struct seen others;
	int r;

	why[0] = '\0';
	/* What the dead have asked for may be carried out as long as their sessions last. */
	while ((r = whole_look(cache, expect, why, why_size)) == -EUCLEAN &&
		now_ms() < deadline_ms)
		nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
	if (!r)
		r = all_see(cache, &others);
	if (!r)
		r = shmc_put(cache, PROBE, strlen(PROBE), &deadline_ms, sizeof(deadline_ms), NULL,
			timeout_ms);
	if (!r)
		r = probe_check(cache, deadline_ms, &f);
	if (!r)
		r = agree_wait(cache, expect, others.n[1] + others.n[2], 1, deadline_ms, &f);
	if (!r)
		r = shmc_delete(cache, PROBE, strlen(PROBE), timeout_ms);
	if (!r)
		r = agree_wait(cache, expect, others.n[1] + others.n[2], 0, deadline_ms, &f);
	if (r && !why[0])
		snprintf(why, why_size, "the round trip: %s", shmc_strerror(r));
	return r > 0 ? -EUCLEAN : r;
}
