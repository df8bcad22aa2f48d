/* SPDX-License-Identifier: Apache-2.0 */
/* check.h: does what is in memory contradict itself? */
#ifndef CLIENTS_INSPECT_CHECK_H
#define CLIENTS_INSPECT_CHECK_H

#include "clients/inspect/findings.h"
#include "clients/inspect/image.h"

/* What was looked at, for the one line that says that all is well. */
struct check_counts {
	uint64_t n_buckets, n_entries, n_cells; /* cells: records and tails that are named */
	uint64_t n_marked;			/* open or retired */
	struct {
		uint64_t n_entries, size, largest_gap; /* size: of the blocks of all records */
	} tier[ABI_TIERS];
	uint64_t n_sessions, n_lanes, n_holds;
};

/*
 * Check all that can be seen. Of a live image that somebody works on, only what stands at several
 * looks is a finding. 0 or -ENOMEM.
 */
int check_run(struct image *image, struct findings *findings, struct check_counts *counts);

/* --- the parts: one look each ----------------------------------------------------------------- */

void check_plane(const struct image *image, struct findings *f);
/* 0 or -ENOMEM, both. */
int check_sessions(const struct image *image, struct findings *f, struct check_counts *counts);
int check_index(const struct image *image, struct findings *f, struct check_counts *counts);
/*
 * Counters against each other, against gauges and against the @n_entries that were seen since
 * @before was taken. To be called last.
 */
struct check_activity {
	uint64_t epoch;
	uint64_t counter[ABI_N_COUNTERS];
	bool all_asleep;
};
void check_activity_take(const struct image *image, struct check_activity *a);
void check_balance(const struct image *image, const struct check_activity *before,
	const struct check_counts *counts, struct findings *f);

#endif
