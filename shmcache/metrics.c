/* SPDX-License-Identifier: Apache-2.0 */
/* metrics.c: the text format of Prometheus. */
#include <inttypes.h>

#include "ipc/histogram.h"
#include "ipc/wire.h"
#include "shmcache/metrics.h"
#include "shmcache/version.h"

/*
 * Names and units are Prometheus' (seconds, bytes, _total). What comes in kinds is one metric with a
 * label. Histograms are told by powers of two, half of the buckets that there are: each bucket is a
 * line of its own at every scrape. Kinds that never occurred are told as 0, so that a rate has a first
 * point.
 */
static uint64_t sum(const struct abi_plane *plane, size_t off)
{
	uint64_t total = 0;
	unsigned i;

	for (i = 0; i < ABI_THREADS; i++)
		total += shared_u64_load((const void *)((const char *)&plane->worker[i] + off));
	return total;
}

static void head(FILE *out, const char *name, const char *type, const char *help)
{
	fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void write_plain(FILE *out, const struct abi_plane *plane)
{
	unsigned i;

	for (i = 0; i < ABI_N_COUNTERS; i++) {
		head(out, abi_counter_name(i), "counter", abi_counter_help(i));
		fprintf(out, "%s %" PRIu64 "\n", abi_counter_name(i),
			sum(plane, offsetof(struct abi_worker, counter) + 8 * i));
	}
	for (i = 0; i < ABI_N_GAUGES; i++) {
		head(out, abi_gauge_name(i), "gauge", abi_gauge_help(i));
		fprintf(out, "%s %" PRIu64 "\n", abi_gauge_name(i),
			shared_u64_load(&plane->gauge[i]));
	}
}

/* @n kinds from @first on, one line each. */
static void write_kinds(FILE *out, const struct abi_plane *plane, const char *name,
	const char *help, const char *label, size_t off, unsigned first, unsigned n,
	const char *(*name_of)(unsigned))
{
	unsigned i;

	head(out, name, "counter", help);
	for (i = first; i < n; i++)
		fprintf(out, "%s{%s=\"%s\"} %" PRIu64 "\n", name, label, name_of(i),
			sum(plane, off + 8 * i));
}

static void write_histogram(FILE *out, const struct abi_plane *plane, const char *name,
	const char *label, const char *kind, size_t off)
{
	struct histogram h = {0};
	uint64_t n = 0;
	unsigned i;

	for (i = 0; i < ABI_THREADS; i++)
		histogram_gather(&h, (const void *)((const char *)&plane->worker[i] + off));
	for (i = 0; i < ABI_HISTOGRAM_BUCKETS - 1; i++) {
		n += h.bucket[i];
		if (i % 2 == 0)
			fprintf(out, "%s_bucket{%s=\"%s\",le=\"%.9g\"} %" PRIu64 "\n", name, label,
				kind, (double)histogram_bucket_begin(i + 1) / 1e9, n);
	}
	fprintf(out, "%s_bucket{%s=\"%s\",le=\"+Inf\"} %" PRIu64 "\n", name, label, kind, h.n);
	fprintf(out, "%s_sum{%s=\"%s\"} %.9f\n", name, label, kind, (double)h.sum_ns / 1e9);
	fprintf(out, "%s_count{%s=\"%s\"} %" PRIu64 "\n", name, label, kind, h.n);
}

static void write_times(FILE *out, const struct abi_plane *plane)
{
	static const char operation[] = "shmcache_operation_duration_seconds";
	static const char stage[] = "shmcache_stage_duration_seconds";
	const size_t size = sizeof(struct abi_histogram);
	unsigned i;

	head(out, operation, "histogram", "from the taking of a request to its answer, sampled");
	for (i = ABI_OP_NONE + 1; i < ABI_N_OPERATIONS; i++)
		write_histogram(out, plane, operation, "operation", abi_operation_name(i),
			offsetof(struct abi_worker, operation_time) + i * size);
	head(out, stage, "histogram", "what workers do beside requests, or as a part of them");
	for (i = 0; i < ABI_N_STAGES; i++)
		write_histogram(out, plane, stage, "stage", abi_stage_name(i),
			offsetof(struct abi_worker, stage_time) + i * size);
}

static void write_broker(FILE *out, const struct abi_plane *plane)
{
	head(out, "shmcache_build_info", "gauge", "1, with what is served and by which version");
	fprintf(out, "shmcache_build_info{name=\"%.*s\",version=\"%s\"} 1\n",
		(int)sizeof(plane->name), plane->name, SHMCACHE_VERSION);
	head(out, "shmcache_epoch", "gauge", "how often a broker was started on this memory");
	fprintf(out, "shmcache_epoch %" PRIu64 "\n", shared_u64_load(&plane->epoch));
	head(out, "shmcache_workers", "gauge", "worker threads");
	fprintf(out, "shmcache_workers %" PRIu32 "\n", shared_u32_load(&plane->n_workers));
}

void metrics_write(FILE *out, const struct abi_plane *plane)
{
	write_broker(out, plane);
	write_plain(out, plane);
	write_kinds(out, plane, "shmcache_requests_total", "requests carried out", "operation",
		offsetof(struct abi_worker, request), ABI_OP_NONE + 1, ABI_N_OPERATIONS,
		abi_operation_name);
	write_kinds(out, plane, "shmcache_answers_total", "answers other than ok", "status",
		offsetof(struct abi_worker, answer), ABI_STATUS_OK + 1, ABI_N_STATUSES,
		abi_status_name);
	write_kinds(out, plane, "shmcache_faults_total", "sessions cut off", "fault",
		offsetof(struct abi_worker, fault), ABI_FAULT_NONE + 1, ABI_N_FAULTS,
		abi_fault_name);
	write_kinds(out, plane, "shmcache_refusals_total", "attach attempts refused", "reason",
		offsetof(struct abi_worker, refusal), WIRE_REFUSAL_NONE + 1, WIRE_N_REFUSALS,
		wire_refusal_name);
	write_kinds(out, plane, "shmcache_misses_by_reason_total",
		"reads that found nothing, or had no hold cell to look with", "reason",
		offsetof(struct abi_worker, miss), 0, ABI_N_MISSES, abi_miss_name);
	write_kinds(out, plane, "shmcache_fetch_misses_total", "fetches that brought nothing", "reason",
		offsetof(struct abi_worker, fetch_miss), ABI_FETCH_NONE + 1, ABI_N_FETCH_MISSES,
		abi_fetch_miss_name);
	write_times(out, plane);
}
