/* SPDX-License-Identifier: Apache-2.0 */
/* metric.c: sums over the broker's threads. */
#include "ipc/metric.h"
#include "ipc/wire.h"

/* Kind 0 is none where it says so: a slot never written, an answer that is OK, no fault. */
#define FROM(one, end) .first = (one), .n = (end) - (one)
const struct metric_kinds metric_kinds[METRIC_N_KINDS] = {
	[METRIC_REQUESTS] = {"shmcache_requests_total", "requests carried out", "operation",
		FROM(ABI_OP_NONE + 1, ABI_N_OPERATIONS), abi_operation_name,
		offsetof(struct abi_worker, request)},
	[METRIC_ANSWERS] = {"shmcache_answers_total", "answers other than ok", "status",
		FROM(ABI_STATUS_OK + 1, ABI_N_STATUSES), abi_status_name,
		offsetof(struct abi_worker, answer)},
	[METRIC_FAULTS] = {"shmcache_faults_total", "sessions cut off", "fault",
		FROM(ABI_FAULT_NONE + 1, ABI_N_FAULTS), abi_fault_name,
		offsetof(struct abi_worker, fault)},
	[METRIC_REFUSALS] = {"shmcache_refusals_total", "attach attempts refused", "reason",
		FROM(WIRE_REFUSAL_NONE + 1, WIRE_N_REFUSALS), wire_refusal_name,
		offsetof(struct abi_worker, refusal)},
	[METRIC_MISSES] = {"shmcache_misses_by_reason_total",
		"reads that found nothing, or had no hold cell to look with", "reason",
		FROM(0, ABI_N_MISSES), abi_miss_name, offsetof(struct abi_worker, miss)},
	[METRIC_FETCH_MISSES] = {"shmcache_fetch_misses_total", "fetches that brought nothing",
		"reason", FROM(ABI_FETCH_NONE + 1, ABI_N_FETCH_MISSES), abi_fetch_miss_name,
		offsetof(struct abi_worker, fetch_miss)},
};

static uint64_t sum(const struct abi_plane *plane, size_t off)
{
	uint64_t total = 0;
	unsigned i;

	for (i = 0; i < ABI_THREADS; i++)
		total += shared_u64_load((const void *)((const char *)&plane->worker[i] + off));
	return total;
}

uint64_t metric_counter(const struct abi_plane *plane, unsigned counter)
{
	return sum(plane, offsetof(struct abi_worker, counter) + 8 * counter);
}

uint64_t metric_kind(
	const struct abi_plane *plane, const struct metric_kinds *kinds, unsigned kind)
{
	return sum(plane, kinds->off + 8 * kind);
}

void metric_time(const struct abi_plane *plane, size_t off, struct histogram *total)
{
	unsigned i;

	*total = (struct histogram){0};
	for (i = 0; i < ABI_THREADS; i++)
		histogram_gather(total, (const void *)((const char *)&plane->worker[i] + off));
}
