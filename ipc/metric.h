/* SPDX-License-Identifier: Apache-2.0 */
/* metric.h: the numbers in the plane, added up over the broker's threads. */
#ifndef IPC_METRIC_H
#define IPC_METRIC_H

#include "ipc/abi.h"
#include "ipc/histogram.h"

/*
 * Each thread of the broker has words of its own in the plane, so that no two write one; whoever
 * wants a number adds them up, over all of ABI_THREADS: others count, too, than those that serve.
 * Anybody who has mapped a plane may call these at any time. Nothing here is a snapshot of one
 * moment.
 */
uint64_t metric_counter(const struct abi_plane *plane, unsigned counter);

/* Of a struct abi_histogram at @off in struct abi_worker. */
void metric_time(const struct abi_plane *plane, size_t off, struct histogram *sum);

static inline void metric_operation_time(
	const struct abi_plane *plane, unsigned operation, struct histogram *sum)
{
	metric_time(plane, offsetof(struct abi_worker, operation_time) +
			operation * sizeof(struct abi_histogram), sum);
}

static inline void metric_stage_time(
	const struct abi_plane *plane, unsigned stage, struct histogram *sum)
{
	metric_time(plane, offsetof(struct abi_worker, stage_time) +
			stage * sizeof(struct abi_histogram), sum);
}

/* What is counted in kinds is one metric with a label; the kinds are numbered from @first on. */
struct metric_kinds {
	const char *name, *help, *label;
	unsigned first, n;
	const char *(*kind_name)(unsigned kind);
	size_t off; /* of an array of words in struct abi_worker */
};

enum {
	METRIC_REQUESTS, /* by enum abi_operation */
	METRIC_ANSWERS,	 /* by enum abi_status */
	METRIC_FAULTS,	 /* by enum abi_fault */
	METRIC_REFUSALS, /* by enum wire_refusal */
	METRIC_MISSES,	 /* by enum abi_miss */
	METRIC_FETCH_MISSES, /* by enum abi_fetch_miss */
	METRIC_N_KINDS,
};
extern const struct metric_kinds metric_kinds[METRIC_N_KINDS];

uint64_t metric_kind(
	const struct abi_plane *plane, const struct metric_kinds *kinds, unsigned kind);

#endif
