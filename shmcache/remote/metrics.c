/* SPDX-License-Identifier: Apache-2.0 */
/* metrics.c: other brokers in the text format of Prometheus. */
#include <inttypes.h>

#include "shmcache/remote/metrics.h"

/*
 * Names of peers are of characters that need no escaping: the configuration and etcd's reader see
 * to it.
 */
enum what { UP, FETCHES, MISSES, FAILURES, SERVED, RECEIVED, SENT, LINKS, BREAKER, N_WHATS };

static const struct {
	const char *name, *type, *help;
} metrics[N_WHATS] = {
	[UP] = {"shmcache_peer_up", "gauge", "1 while there is a connection to the peer"},
	[FETCHES] = {"shmcache_peer_fetches_total", "counter", "values that the peer was asked for"},
	[MISSES] = {"shmcache_peer_misses_total", "counter", "of these, those that it did not have"},
	[FAILURES] = {"shmcache_peer_failures_total", "counter", "of these, those that failed"},
	[SERVED] = {"shmcache_peer_served_total", "counter", "values that were sent to the peer"},
	[RECEIVED] = {"shmcache_peer_received_bytes_total", "counter", "bytes of values from the peer"},
	[SENT] = {"shmcache_peer_sent_bytes_total", "counter", "bytes of values to the peer"},
	[LINKS] = {"shmcache_peer_links_total", "counter", "times that a connection to it came up"},
	[BREAKER] = {"shmcache_peer_breaker", "gauge", "0: it is asked, 1: left alone, 2: looked at again"},
};

static uint64_t value_of(const struct remote_health *h, enum what what)
{
	switch (what) {
	case UP:
		return h->is_up;
	case FETCHES:
		return h->n_fetches;
	case MISSES:
		return h->n_misses;
	case FAILURES:
		return h->n_failures;
	case SERVED:
		return h->n_served;
	case RECEIVED:
		return h->received_bytes;
	case SENT:
		return h->sent_bytes;
	case LINKS:
		return h->n_links;
	default:
		return h->breaker;
	}
}

static void head(FILE *out, const char *name, const char *type, const char *help)
{
	fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

void remote_metrics_write(FILE *out, const struct remote_health *health, unsigned n)
{
	static const char latency[] = "shmcache_peer_latency_seconds";
	unsigned what, i;

	if (!n)
		return;
	for (what = 0; what < N_WHATS; what++) {
		head(out, metrics[what].name, metrics[what].type, metrics[what].help);
		for (i = 0; i < n; i++)
			fprintf(out, "%s{peer=\"%s\"} %" PRIu64 "\n", metrics[what].name,
				health[i].name, value_of(&health[i], what));
	}
	head(out, latency, "gauge", "from a request to the head of its answer, smoothed; 0: none yet");
	for (i = 0; i < n; i++)
		fprintf(out, "%s{peer=\"%s\"} %.9f\n", latency, health[i].name,
			(double)health[i].latency_ns / 1e9);
}
