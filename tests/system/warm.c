/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A cache of many entries, killed and started again: how long until it serves, and is all there?
 *
 *	test-system-warm [ENTRIES [MIB]]
 *
 * or by $WARM_ENTRIES and $WARM_MIB; 50000 in 256 MiB unless told otherwise, 1000000 in 8192 MiB is
 * the promise. The time is printed and judged by who reads it; what is judged here is that at least
 * 999 of 1000 entries are served, and every one with the bytes that were put under its key.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "clients/shmcache.h"
#include "tests/system/common.h"

#define SIZE_MAX_VALUE 65536
#define BATCH 64

static struct system_broker broker;
static unsigned n_entries = 50000, n_mib = 256;

/* Four fifths of the tier, in sizes from a sixteenth of the mean up to twice that. */
static size_t size_of(unsigned i)
{
	uint64_t mean = ((uint64_t)n_mib << 20) / n_entries * 4 / 5;
	uint64_t size = mean / 16 + i * UINT64_C(2654435761) % (mean * 2 - mean / 8);

	return size > SIZE_MAX_VALUE ? SIZE_MAX_VALUE : size < 24 ? 24 : (size_t)size;
}

/* About every eighth key is too long for its record. */
static size_t key_of(unsigned i, char key[128])
{
	int n = snprintf(key, 128, i % 8 ? "entry-%u" : "an-entry-whose-key-goes-on-in-a-tail-%040u", i);

	return (size_t)n;
}

/* The bytes say which key's they are, and check themselves. */
static void fill(uint8_t *bytes, size_t size, unsigned i)
{
	system_fill(bytes, size, i + UINT64_C(7) * size);
}

static void put_all(struct shmc *cache)
{
	static uint8_t bytes[BATCH][SIZE_MAX_VALUE];
	static char key[BATCH][128];
	static struct shmc_request q[BATCH];
	unsigned i, n;

	for (i = 0; i < n_entries;) {
		for (n = 0; n < BATCH && i < n_entries; n++, i++) {
			fill(bytes[n], size_of(i), i);
			q[n] = (struct shmc_request){.operation = SHMC_OP_PUT, .key = key[n],
				.key_size = key_of(i, key[n]), .value = bytes[n],
				.value_size = size_of(i)};
		}
		assert_int_equal(shmc_execute(cache, q, n, 60000), 0);
		while (n)
			assert_int_equal(q[--n].result, 0);
	}
}

static unsigned look_at_all(struct shmc *cache)
{
	static uint8_t bytes[SIZE_MAX_VALUE];
	unsigned i, n = 0;
	char key[128];

	for (i = 0; i < n_entries; i++) {
		struct shmc_view view;
		int r = shmc_get(cache, key, key_of(i, key), &view);

		if (r == SHMC_MISS)
			continue;
		assert_int_equal(r, 0);
		fill(bytes, size_of(i), i);
		assert_int_equal(view.size, size_of(i));
		assert_memory_equal(view.data, bytes, view.size);
		shmc_release(cache, &view);
		n++;
	}
	return n;
}

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void test_warm(void **state)
{
	char size[32];
	struct shmc *cache;
	unsigned n_before, n_after;
	struct proc_usage usage;
	double begin, served;

	(void)state;
	snprintf(size, sizeof(size), "%uMiB", n_mib);
	system_start(&broker, size, true, "");
	assert_int_equal(shmc_attach(&cache, broker.run.name, NULL), 0);
	put_all(cache);
	n_before = look_at_all(cache);
	shmc_detach(cache);
	system_kill(&broker);
	begin = seconds();
	system_again(&broker);
	served = seconds() - begin;
	assert_int_equal(proc_usage(broker.run.proc.pid, &usage), 0);
	assert_int_equal(shmc_attach(&cache, broker.run.name, NULL), 0);
	n_after = look_at_all(cache);
	print_message("%u entries in %u MiB: %.3f s to SERVING (%.3f s of CPU), %u of %u served, each "
		      "right\n",
		n_entries, n_mib, served, (double)usage.cpu_ns / 1e9, n_after, n_before);
	assert_true(n_after >= n_before - n_before / 1000);
	assert_true(n_before >= n_entries - n_entries / 1000);
	shmc_detach(cache);
	system_stop(&broker);
}

static unsigned number(const char *text, const char *name, unsigned otherwise)
{
	text = text ? text : getenv(name);
	return text && atol(text) > 0 ? (unsigned)atol(text) : otherwise;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_warm)};

	n_entries = number(argc > 1 ? argv[1] : NULL, "WARM_ENTRIES", n_entries);
	n_mib = number(argc > 2 ? argv[2] : NULL, "WARM_MIB", n_mib);
	if (cleanup_guard())
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
