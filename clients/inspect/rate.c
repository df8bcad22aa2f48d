/* SPDX-License-Identifier: Apache-2.0 */
/* rate.c: what happened between two looks: per second, and how long it took. */
#include "clients/inspect/rate.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "clients/inspect/lane.h"
#include "ipc/metric.h"

/*
 * The broker's histograms and counters only grow while it runs, so what happened since is the
 * difference of two copies. A number that went backward is one that somebody else writes, or
 * another broker's: it counts as none.
 */
static void take_session(const struct image *image, const struct image_session *s,
	struct sample_session *sample)
{
	unsigned i, n = lane_count(image, s);
	struct lane_parts p;
	struct lane lane;

	sample->id = s->id;
	for (i = 0; i < n; i++) {
		lane_look(image, s, i, &lane);
		lane_parts_find(s, i, &p);
		sample->n_requests += lane.published;
		sample->hits += lane.hits;
		sample->misses += lane.misses;
		if (p.request)
			histogram_gather(&sample->wait, &p.request->wait);
	}
}

int sample_take(const struct image *image, struct sample *sample)
{
	unsigned i;

	memset(sample, 0, sizeof(*sample));
	sample->session = calloc(image->n_sessions + 1, sizeof(*sample->session));
	if (!sample->session)
		return -ENOMEM;
	sample->at_ms = image->now_ms;
	sample->epoch = shared_u64_load(&image->plane->epoch);
	for (i = 0; i < ABI_N_COUNTERS; i++)
		sample->counter[i] = image_counter(image, (enum abi_counter)i);
	for (i = 0; i < ABI_N_OPERATIONS; i++) {
		sample->request[i] = metric_kind(image->plane, &metric_kinds[METRIC_REQUESTS], i);
		metric_operation_time(image->plane, i, &sample->time[i]);
	}
	sample->n_sessions = image->n_sessions;
	for (i = 0; i < image->n_sessions; i++)
		take_session(image, &image->session[i], &sample->session[i]);
	return 0;
}

void sample_deinit(struct sample *sample)
{
	free(sample->session);
	memset(sample, 0, sizeof(*sample));
}

static uint64_t grown(uint64_t before, uint64_t now)
{
	return now > before ? now - before : 0;
}

static void subtract(
	const struct histogram *before, const struct histogram *now, struct histogram *since)
{
	unsigned i;

	memset(since, 0, sizeof(*since));
	for (i = 0; i < ABI_HISTOGRAM_BUCKETS; i++) {
		since->bucket[i] = grown(before->bucket[i], now->bucket[i]);
		since->n += since->bucket[i];
	}
	since->sum_ns = grown(before->sum_ns, now->sum_ns);
	/* Of all times, but no quantile is above it. */
	since->max_ns = now->max_ns;
}

void rate_make(const struct sample *before, const struct sample *now, struct rates *r)
{
	struct histogram since;
	unsigned i;

	memset(r, 0, sizeof(*r));
	if (before->epoch != now->epoch || now->at_ms <= before->at_ms)
		return;
	r->seconds = (double)(now->at_ms - before->at_ms) / 1000;
#define PER_S(name) \
	((double)grown(before->counter[ABI_COUNTER_##name], now->counter[ABI_COUNTER_##name]) / \
		r->seconds)
	r->hits_per_s = PER_S(HITS);
	r->misses_per_s = PER_S(MISSES);
	r->evictions_per_s = PER_S(EVICTIONS);
	r->put_bytes_per_s = PER_S(PUT_BYTES);
	for (i = 0; i < ABI_N_OPERATIONS; i++) {
		subtract(&before->time[i], &now->time[i], &since);
		r->operation[i].per_s =
			(double)grown(before->request[i], now->request[i]) / r->seconds;
		r->operation[i].p50_ns = histogram_quantile(&since, 0.5);
		r->operation[i].p99_ns = histogram_quantile(&since, 0.99);
	}
}

void rate_session_make(const struct sample *before, const struct sample *now, unsigned i,
	struct rate_session *rate)
{
	const struct sample_session *s = &now->session[i], *old = NULL;
	static const struct sample_session none;
	struct histogram since;
	double seconds;
	unsigned j;

	memset(rate, 0, sizeof(*rate));
	if (before->epoch != now->epoch || now->at_ms <= before->at_ms)
		return;
	seconds = (double)(now->at_ms - before->at_ms) / 1000;
	for (j = 0; j < before->n_sessions && !old; j++)
		if (before->session[j].id == s->id)
			old = &before->session[j];
	if (!old)
		old = &none;
	rate->requests_per_s = (double)grown(old->n_requests, s->n_requests) / seconds;
	rate->reads_per_s = (double)grown(old->hits + old->misses, s->hits + s->misses) / seconds;
	subtract(&old->wait, &s->wait, &since);
	rate->p99_ns = histogram_quantile(&since, 0.99);
}
