/* SPDX-License-Identifier: Apache-2.0 */
/* status.c: what the page shows. */
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include <urcu.h>

#include "ipc/metric.h"
#include "ipc/wire.h"
#include "shmcache/http/status.h"
#include "shmcache/version.h"

/*
 * All strings that are written are literals of ours or the cache's name, which has no character
 * that JSON would want escaped.
 */
static void write_time(FILE *out, const char *comma, const char *name, const struct histogram *h)
{
	fprintf(out, "%s\"%s\":{\"n\":%" PRIu64 ",\"p50_ns\":%" PRIu64 ",\"p99_ns\":%" PRIu64
		     ",\"max_ns\":%" PRIu64, comma, name, h->n, histogram_quantile(h, 0.5),
		histogram_quantile(h, 0.99), h->max_ns);
}

/*
 * From the buckets of two looks, and the numbers of requests, which are not sampled, the page makes
 * what happened in between. What is behind the last that is not 0 is left out.
 */
static void write_buckets(FILE *out, const struct histogram *h)
{
	unsigned n = ABI_HISTOGRAM_BUCKETS, i;

	while (n && !h->bucket[n - 1])
		n--;
	fputs(",\"buckets\":[", out);
	for (i = 0; i < n; i++)
		fprintf(out, "%s%" PRIu64, i ? "," : "", h->bucket[i]);
	fputs("]", out);
}

static void write_times(FILE *out, const struct abi_plane *plane)
{
	struct histogram h;
	unsigned i;

	fputs(",\"operations\":{", out);
	for (i = ABI_OP_NONE + 1; i < ABI_N_OPERATIONS; i++) {
		metric_operation_time(plane, i, &h);
		write_time(out, i > 1 ? "," : "", abi_operation_name(i), &h);
		write_buckets(out, &h);
		fprintf(out, ",\"requests\":%" PRIu64 "}",
			metric_kind(plane, &metric_kinds[METRIC_REQUESTS], i));
	}
	fputs("},\"stages\":{", out);
	for (i = 0; i < ABI_N_STAGES; i++) {
		metric_stage_time(plane, i, &h);
		write_time(out, i ? "," : "", abi_stage_name(i), &h);
		fputs("}", out);
	}
	fputs("}", out);
}

static void write_sessions(FILE *out, const struct abi_plane *plane)
{
	static const char *const roles[] = {"none", "reader", "stager", "writer"};
	const struct abi_session *s;
	const char *comma = "";
	uint32_t i, role;
	uint64_t id;

	fputs(",\"session_list\":[", out);
	for (i = 0; i < plane->n_sessions_max; i++) {
		s = &plane->session[i];
		/* partner: the release when the line was filled */
		id = shared_u64_load_acquire(&s->id);
		if (!id)
			continue;
		role = shared_u32_load(&s->role);
		fprintf(out, "%s{\"id\":%" PRIu64 ",\"pid\":%" PRIu32 ",\"uid\":%" PRIu32
			     ",\"role\":\"%s\",\"lanes\":%" PRIu32 ",\"worker\":%" PRIu32
			     ",\"attached_ms\":%" PRIu64 ",\"held_since_ms\":%" PRIu64 ",\"fault\":\"%s\"}", comma, id,
			shared_u32_load(&s->pid), shared_u32_load(&s->uid),
			roles[role < 4 ? role : 0], shared_u32_load(&s->n_lanes),
			shared_u32_load(&s->worker), shared_u64_load(&s->attached_ms),
			shared_u64_load(&s->held_since_ms),
			abi_fault_name(shared_u32_load(&s->broken)));
		comma = ",";
	}
	fputs("]", out);
}

void status_write(FILE *out, const struct abi_plane *plane)
{
	uint64_t now_ms, start_ms = shared_u64_load(&plane->start_ms);
	struct timespec t;
	unsigned i;

	clock_gettime(CLOCK_MONOTONIC, &t);
	now_ms = (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
	fprintf(out, "{\"name\":\"%.*s\",\"version\":\"%s\",\"pid\":%" PRIu32 ",\"epoch\":%" PRIu64
		     ",\"state\":%" PRIu32 ",\"now_ms\":%" PRIu64 ",\"uptime_ms\":%" PRIu64,
		(int)sizeof(plane->name), plane->name, SHMCACHE_VERSION,
		shared_u32_load(&plane->broker_pid), shared_u64_load(&plane->epoch),
		shared_u32_load(&plane->state), now_ms, now_ms > start_ms ? now_ms - start_ms : 0);
	for (i = 0; i < ABI_N_COUNTERS; i++)
		fprintf(out, ",\"%s\":%" PRIu64, abi_counter_name(i),
			metric_counter(plane, i));
	for (i = 0; i < ABI_N_GAUGES; i++)
		fprintf(out, ",\"%s\":%" PRIu64, abi_gauge_name(i),
			shared_u64_load(&plane->gauge[i]));
	write_times(out, plane);
	write_sessions(out, plane);
}

/* --- the map ---------------------------------------------------------------------------------- */

#define BUCKETS_LOOKED_AT 65536
#define BUCKETS_AT_ONCE 256 /* in one read section, so that reclaim never waits for us */
#define CHAIN_MAX 32

struct map {
	const struct lookup *index;
	uint64_t size[ABI_TIERS];
	uint64_t used[ABI_TIERS][STATUS_PARTS];
};

static void add_bytes(struct map *m, unsigned tier, uint64_t off, uint64_t size)
{
	uint64_t part = (m->size[tier] + STATUS_PARTS - 1) / STATUS_PARTS, end = off + size, n;

	for (; off < end; off += n) {
		n = part - off % part;
		if (n > end - off)
			n = end - off;
		m->used[tier][off / part] += n;
	}
}

/* In a read section of liburcu: what a slot names is not reclaimed before its end. */
static void add_bucket_rcu(struct map *m, const struct abi_bucket *bucket)
{
	const struct abi_record *r;
	uint64_t word, off, size;
	unsigned i, n;

	for (n = 0; bucket && n < CHAIN_MAX; n++, bucket = lookup_next(m->index, bucket)) {
		for (i = 0; i < ABI_BUCKET_SLOTS; i++) {
			/* partner: the release in the broker's publish */
			word = shared_u64_load_acquire(&bucket->slot[i]);
			if (!word)
				continue;
			r = &m->index->cell[abi_word_cell(word)];
			off = r->value_off;
			size = (r->value_size + ABI_VALUE_ALIGN - 1) & ~(uint64_t)(ABI_VALUE_ALIGN - 1);
			if (r->tier < ABI_TIERS && off <= m->size[r->tier] &&
				size <= m->size[r->tier] - off)
				add_bytes(m, r->tier, off, size);
		}
	}
}

static void write_tier(FILE *out, const struct map *m, unsigned tier, double share)
{
	uint64_t part = (m->size[tier] + STATUS_PARTS - 1) / STATUS_PARTS;
	unsigned i, n;

	for (i = 0; i < STATUS_PARTS; i++) {
		n = (unsigned)((double)m->used[tier][i] * 1000 / share / (double)part);
		fprintf(out, "%s%u", i ? "," : "", n > 1000 ? 1000 : n);
	}
}

void status_write_map(FILE *out, const struct abi_plane *plane, const struct lookup *index)
{
	uint64_t n_buckets = lookup_n_buckets(index), n, i;
	struct map m = {.index = index};

	m.size[ABI_TIER_DRAM] = shared_u64_load(&plane->gauge[ABI_GAUGE_DRAM_BYTES]);
	m.size[ABI_TIER_CXL] = shared_u64_load(&plane->gauge[ABI_GAUGE_CXL_BYTES]);
	n = n_buckets < BUCKETS_LOOKED_AT ? n_buckets : BUCKETS_LOOKED_AT;
	for (i = 0; i < n; i++) {
		if (i % BUCKETS_AT_ONCE == 0)
			rcu_read_lock();
		add_bucket_rcu(&m, &index->bucket[i]);
		if (i % BUCKETS_AT_ONCE == BUCKETS_AT_ONCE - 1 || i == n - 1)
			rcu_read_unlock();
	}
	fputs("{\"dram\":[", out);
	if (m.size[ABI_TIER_DRAM])
		write_tier(out, &m, ABI_TIER_DRAM, (double)n / (double)n_buckets);
	fputs("],\"cxl\":[", out);
	if (m.size[ABI_TIER_CXL])
		write_tier(out, &m, ABI_TIER_CXL, (double)n / (double)n_buckets);
	fputs("]}\n", out);
}
