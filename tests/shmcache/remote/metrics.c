/* SPDX-License-Identifier: Apache-2.0 */
/* metrics.c: each figure of each peer is told, under its own name. */
#include "shmcache/remote/metrics.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char *written(const struct remote_health *health, unsigned n)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	assert_non_null(f);
	remote_metrics_write(f, health, n);
	fclose(f);
	return text;
}

static void each_figure_is_told(void **state)
{
	static const char *const lines[] = {
		"shmcache_peer_up{peer=\"a\"} 1\nshmcache_peer_up{peer=\"b\"} 0\n",
		"# TYPE shmcache_peer_fetches_total counter\nshmcache_peer_fetches_total{peer=\"a\"} 11\n",
		"shmcache_peer_failures_total{peer=\"a\"} 12\n",
		"shmcache_peer_misses_total{peer=\"a\"} 13\n",
		"shmcache_peer_served_total{peer=\"a\"} 14\n",
		"shmcache_peer_received_bytes_total{peer=\"a\"} 15\n",
		"shmcache_peer_sent_bytes_total{peer=\"a\"} 16\n",
		"shmcache_peer_links_total{peer=\"a\"} 18\n",
		"shmcache_peer_breaker{peer=\"a\"} 2\nshmcache_peer_breaker{peer=\"b\"} 0\n",
		"shmcache_peer_latency_seconds{peer=\"a\"} 0.001500000\n",
	};
	const struct remote_health health[2] = {
		{.name = "a", .holder = 3, .is_up = true, .n_fetches = 11, .n_failures = 12,
			.n_misses = 13, .n_served = 14, .received_bytes = 15, .sent_bytes = 16,
			.latency_ns = 1500000, .n_links = 18, .breaker = 2},
		{.name = "b"},
	};
	char *text = written(health, 2);

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		if (!strstr(text, lines[i]))
			fail_msg("not told: %s", lines[i]);
	free(text);
	text = written(health, 0);
	assert_string_equal(text, "");
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(each_figure_is_told)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
