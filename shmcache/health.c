/* SPDX-License-Identifier: Apache-2.0 */
/* health.c: whether the broker does its work, what that takes, and where it is told. */
#include <errno.h>
#include <stdio.h>

#include "shmcache/broker.h"

/*
 * A worker that sleeps says so in need_wakeup, one that is awake looks at the clock at least every
 * few milliseconds, unless one request keeps it. Evicting millions of entries for one large value
 * takes seconds; ten of them without a look is a worker that will not come back.
 */
int broker_stuck_worker(const struct broker *b)
{
	uint64_t now_ms = store_now_ms(), beat_ms;
	unsigned i, n = shared_u32_load(&b->plane.shared->n_workers);

	for (i = 0; i < n; i++) {
		beat_ms = atomic_load_explicit(&b->worker[i].beat_ms, memory_order_relaxed);
		if (!shared_u32_load(&b->plane.shared->worker[i].need_wakeup) &&
			now_ms > beat_ms + BROKER_STUCK_MS)
			return (int)i;
	}
	return -1;
}

/*
 * Readers take and drop holds without a word to us, and the next reclaim round, which looks at all
 * of them, may be far: so they are counted for the gauge, and seen to stand, by this alone. Once a
 * second, as far as each lane says that it has used its cells.
 */
void broker_measure(struct broker *b)
{
	uint64_t now_ms = store_now_ms(), n;
	struct session *s;

	pthread_mutex_lock(&b->sessions_lock);
	n = formers_look_at_holds(&b->formers, now_ms);
	for (s = b->sessions; s; s = s->next)
		n += session_look_at_holds(s, now_ms);
	pthread_mutex_unlock(&b->sessions_lock);
	shared_u64_store(&b->plane.shared->gauge[ABI_GAUGE_HOLDS], n);
	store_measure_books(&b->store);
}

static const char *health(void *context)
{
	const struct broker *b = context;

	switch (shared_u32_load(&b->plane.shared->state)) {
	case ABI_STATE_SERVING:
		if (broker_stuck_worker(b) >= 0)
			return "a worker is stuck\n";
		return remote_is_stuck(b->remote, BROKER_STUCK_MS) ? "the remote thread is stuck\n"
								   : NULL;
	case ABI_STATE_DRAINING:
		return "draining\n";
	default:
		return "not serving\n";
	}
}

static void write_peers(void *context, FILE *out)
{
	const struct broker *b = context;

	remote_write_metrics(b->remote, out);
}

static void write_peers_status(void *context, FILE *out)
{
	const struct broker *b = context;

	remote_write_status(b->remote, out);
}

int broker_listen(struct broker *b, const char *listen, char *why, size_t why_size)
{
	struct http_source source = {
		.plane = b->plane.shared,
		.index = b->store.index.head,
		.health = health,
		.write_more = write_peers,
		.write_status = write_peers_status,
		.context = b,
	};
	struct http *http = NULL;
	int r = 0;

	if (listen[0])
		r = http_start(&http, listen, &source, why, why_size);
	if (r)
		return r;
	http_stop(b->http);
	b->http = http;
	if (http)
		log_info(b->log, "metrics", LOG_STR("listen", listen));
	return 0;
}
