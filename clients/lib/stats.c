/* SPDX-License-Identifier: Apache-2.0 */
/* stats.c: the broker's numbers, as they stand in the plane. */
#include "clients/lib/read.h"
#include "ipc/metric.h"

static void plain_value(const struct abi_plane *plane, unsigned i, struct shmc_stat_value *v)
{
	unsigned gauge = i - ABI_N_COUNTERS;

	if (i < ABI_N_COUNTERS)
		*v = (struct shmc_stat_value){.name = abi_counter_name(i),
			.help = abi_counter_help(i), .is_counter = true,
			.value = metric_counter(plane, i)};
	else
		*v = (struct shmc_stat_value){.name = abi_gauge_name(gauge),
			.help = abi_gauge_help(gauge),
			.value = shared_u64_load(&plane->gauge[gauge])};
}

static void kind_value(const struct abi_plane *plane, const struct metric_kinds *kinds,
	unsigned kind, struct shmc_stat_value *v)
{
	*v = (struct shmc_stat_value){.name = kinds->name, .help = kinds->help, .is_counter = true,
		.label = kinds->label, .kind = kinds->kind_name(kind),
		.value = metric_kind(plane, kinds, kind)};
}

/* As many values as there is room for; returns how many there are. */
static size_t all_values(const struct abi_plane *plane, struct shmc_stat_value *values, size_t max)
{
	const struct metric_kinds *kinds;
	size_t n = 0;
	unsigned i;

	for (i = 0; i < ABI_N_COUNTERS + ABI_N_GAUGES; i++, n++)
		if (n < max)
			plain_value(plane, i, &values[n]);
	for (kinds = metric_kinds; kinds < metric_kinds + METRIC_N_KINDS; kinds++)
		for (i = kinds->first; i < kinds->first + kinds->n; i++, n++)
			if (n < max)
				kind_value(plane, kinds, i, &values[n]);
	return n;
}

int shmc_stats(struct shmc *cache, struct shmc_stat_value *values, size_t max)
{
	struct session *session;
	int r;

	if (max && !values)
		return -EINVAL;
	r = handle_session_get(cache, HANDLE_READ, DEADLINE_NOW, &session);
	if (r)
		return r;
	r = (int)all_values(session->plane, values, max);
	handle_session_unget(session);
	return r;
}

static void usage_fill(const struct abi_plane *plane, struct shmc_usage *u)
{
	const struct shared_u64 *g = plane->gauge;
	uint64_t now_ms = deadline_clock() / 1000000;
	uint64_t start_ms = shared_u64_load(&plane->start_ms);

	*u = (struct shmc_usage){
		.dram = {
			.size = shared_u64_load(&g[ABI_GAUGE_DRAM_BYTES]),
			.used = shared_u64_load(&g[ABI_GAUGE_DRAM_USED_BYTES]),
			.largest_free = shared_u64_load(&g[ABI_GAUGE_DRAM_LARGEST_FREE_BYTES]),
			.n_entries = shared_u64_load(&g[ABI_GAUGE_DRAM_ENTRIES]),
			.n_hits = metric_counter(plane, ABI_COUNTER_DRAM_HITS),
		},
		.cxl = {
			.size = shared_u64_load(&g[ABI_GAUGE_CXL_BYTES]),
			.used = shared_u64_load(&g[ABI_GAUGE_CXL_USED_BYTES]),
			.largest_free = shared_u64_load(&g[ABI_GAUGE_CXL_LARGEST_FREE_BYTES]),
			.n_entries = shared_u64_load(&g[ABI_GAUGE_CXL_ENTRIES]),
			.n_hits = metric_counter(plane, ABI_COUNTER_CXL_HITS),
		},
		.n_entries = shared_u64_load(&g[ABI_GAUGE_ENTRIES]),
		.index_size = shared_u64_load(&g[ABI_GAUGE_INDEX_BYTES]),
		.books_size = shared_u64_load(&g[ABI_GAUGE_BOOKS_BYTES]),
		.pinned_size = shared_u64_load(&g[ABI_GAUGE_PINNED_BYTES]),
		.reserved_size = shared_u64_load(&g[ABI_GAUGE_RESERVED_BYTES]),
		.limbo_size = shared_u64_load(&g[ABI_GAUGE_LIMBO_BYTES]),
		.n_sessions = shared_u64_load(&g[ABI_GAUGE_SESSIONS_NOW]),
		.uptime_ms = now_ms > start_ms ? now_ms - start_ms : 0,
		.epoch = shared_u64_load(&plane->epoch),
		.broker_pid = (int)shared_u32_load(&plane->broker_pid),
	};
}

int shmc_usage(struct shmc *cache, struct shmc_usage *usage)
{
	struct session *session;
	int r;

	if (!usage)
		return -EINVAL;
	r = handle_session_get(cache, HANDLE_READ, DEADLINE_NOW, &session);
	if (r)
		return r;
	usage_fill(session->plane, usage);
	handle_session_unget(session);
	return 0;
}
