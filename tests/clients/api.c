/* SPDX-License-Identifier: Apache-2.0 */
/* The calls that are not about values, and what a role may do, against a broker. */
#include "tests/clients/attached.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* --- attaching -------------------------------------------------------------------------------- */

static int attach_why(const char *name, struct shmc_attach_options options, char *why)
{
	struct shmc *cache = (void *)1;
	int r;

	options.why = why;
	options.why_size = 200;
	r = shmc_attach(&cache, name, &options);
	if (r)
		assert_ptr_equal(cache, (void *)1);
	return r;
}

static void an_attach_that_fails_says_why(void **state)
{
	static const char *const bad[] = {"", "a/b", "..", "a b", "a\xc3\xa9"};
	const struct shmc_attach_options none = {0};
	char why[200], name[80];
	size_t i;

	(void)state;
	memset(name, 'x', sizeof(name));
	name[49] = '\0';
	for (i = 0; i < 5; i++) {
		assert_int_equal(attach_why(bad[i], none, why), -EINVAL);
		assert_true(strlen(why) > 10);
	}
	assert_int_equal(attach_why(name, none, why), -EINVAL);
	assert_int_equal(attach_why("no-such-cache-anywhere", none, why), -ENOENT);
	assert_non_null(strstr(why, "no-such-cache-anywhere"));
	assert_int_equal(attach_why(attached_broker()->name, (struct shmc_attach_options){.role = 4}, why),
		-EINVAL);
	assert_int_equal(attach_why(attached_broker()->name,
		(struct shmc_attach_options){.timeout_ms = -2}, why), -EINVAL);
	assert_int_equal(shmc_attach(NULL, attached_broker()->name, NULL), -EINVAL);
	shmc_detach(NULL);
}

/* --- roles ------------------------------------------------------------------------------------ */

static void a_reader_only_reads(void **state)
{
	struct shmc *reader = *state, *writer = attached_as(SHMC_ROLE_WRITER);
	static uint8_t large[300000];
	struct shmc_reservation r;

	attached_put(writer, "key", "value");
	attached_assert_value(reader, "key", "value", 5);
	assert_int_equal(shmc_ping(reader, WAIT), 0);
	assert_int_equal(shmc_put(reader, "key", 3, "x", 1, NULL, WAIT), -EACCES);
	assert_int_equal(shmc_put(reader, "key", 3, large, sizeof(large), NULL, WAIT), -EACCES);
	assert_int_equal(shmc_delete(reader, "key", 3, WAIT), -EACCES);
	assert_int_equal(shmc_reserve(reader, "key", 3, 10, NULL, &r, WAIT), -EACCES);
	attached_assert_value(reader, "key", "value", 5);
	shmc_detach(writer);
}

static void a_stager_fills_no_blocks(void **state)
{
	struct shmc *cache = *state;
	struct shmc_reservation r;

	assert_int_equal(shmc_reserve(cache, "key", 3, 10, NULL, &r, WAIT), -EACCES);
	attached_put(cache, "key", "value");
	attached_assert_value(cache, "key", "value", 5);
}

/* --- numbers ---------------------------------------------------------------------------------- */

static void the_numbers_are_there(void **state)
{
	struct shmc *cache = *state;
	struct shmc_stat_value v[200];
	struct shmc_usage u;
	int n, i, n_counters = 0, n_kinds = 0;

	n = shmc_stats(cache, NULL, 0);
	assert_in_range(n, 20, 200);
	assert_int_equal(shmc_stats(cache, v, 200), n);
	for (i = 0; i < n; i++) {
		assert_int_equal(strncmp(v[i].name, "shmcache_", 9), 0);
		assert_true(strlen(v[i].help) > 3);
		n_counters += v[i].is_counter;
		n_kinds += v[i].kind != NULL;
		assert_true(!v[i].kind == !v[i].label);
		assert_true(!v[i].kind || v[i].is_counter);
		assert_int_equal(v[i].is_counter,
			!strcmp(v[i].name + strlen(v[i].name) - 6, "_total"));
	}
	assert_true(n_counters > 10 && n_counters < n);
	assert_true(n_kinds > 30 && n_kinds < n_counters);
	/* As many as there is room for. */
	memset(v, 0xff, sizeof(v));
	assert_int_equal(shmc_stats(cache, v, (size_t)n - 1), n);
	assert_non_null(v[n - 2].kind);
	assert_int_equal(v[n - 1].value, UINT64_MAX);
	attached_put(cache, "key", "value");
	assert_true(broker_run_stat(cache, "shmcache_puts_total") >= 1);

	assert_int_equal(shmc_usage(cache, &u), 0);
	assert_int_equal(u.dram.size, TIER);
	assert_int_equal(u.cxl.size, 0);
	assert_int_equal(u.broker_pid, attached_broker()->proc.pid);
	assert_int_equal(u.epoch, 1);
	assert_true(u.uptime_ms < 3600000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_attach_that_fails_says_why),
		ATTACHED_TEST(a_reader_only_reads, reader),
		ATTACHED_TEST(a_stager_fills_no_blocks, stager),
		ATTACHED_TEST(the_numbers_are_there, writer),
	};

	return cmocka_run_group_tests(tests, attached_group_setup, attached_group_teardown);
}
