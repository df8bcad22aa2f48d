/* SPDX-License-Identifier: Apache-2.0 */
/* Unit of etcd-message.c: what etcd is told, and what it may say. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "shmcache/remote/peers/etcd-message.h"

#define DIRECTORY "/s/c/"
#define KEY_A "L3MvYy9tZW1iZXJzL2E="		 /* /s/c/members/a */
#define VALUE_A "eyJlbmRwb2ludCI6IjEwLjAuMC4xOjciLCJlcG9jaCI6IjE4NDQ2NzQ0MDczNzA5NTUxNjE1In0="

static void assert_said(char *text, const char *expected)
{
	assert_non_null(text);
	assert_string_equal(text, expected);
	free(text);
}

static void test_said(void **state)
{
	struct member a = {.name = "a", .endpoint = "10.0.0.1:7", .epoch = UINT64_MAX};

	(void)state;
	assert_said(etcd_say_grant(10), "{\"TTL\":\"10\"}");
	assert_said(etcd_say_lease(INT64_MAX), "{\"ID\":\"9223372036854775807\"}");
	assert_said(etcd_say_authenticate("me", "a\"b"), "{\"name\":\"me\",\"password\":\"a\\\"b\"}");
	assert_said(etcd_say_put(DIRECTORY, &a, 7),
		"{\"key\":\"" KEY_A "\",\"value\":\"" VALUE_A "\",\"lease\":\"7\"}");
	/* "/s/c/" up to "/s/c0". */
	assert_said(etcd_say_range(DIRECTORY, 4096), "{\"key\":\"L3MvYy8=\",\"range_end\":"
		"\"L3MvYzA=\",\"limit\":\"4096\"}");
}

/* As etcd 3.5 sends it: numbers as strings, keys and values in base64. */
static void test_heard(void **state)
{
	struct etcd_answer a;

	(void)state;
	assert_int_equal(etcd_hear("{\"header\":{\"cluster_id\":\"14841639068965178418\","
		"\"revision\":\"12\"},\"kvs\":[{\"key\":\"" KEY_A "\",\"value\":\"" VALUE_A "\","
		"\"mod_revision\":\"11\",\"lease\":\"7\"}],\"count\":\"1\"}", DIRECTORY, &a), 0);
	assert_int_equal(a.revision, 12);
	assert_true(a.cluster == UINT64_C(14841639068965178418));
	assert_int_equal(a.n, 1);
	assert_int_equal(a.n_wrong, 0);
	assert_string_equal(a.entry[0].member.name, "a");
	assert_string_equal(a.entry[0].member.endpoint, "10.0.0.1:7");
	assert_true(a.entry[0].member.epoch == UINT64_MAX);
	etcd_answer_free(&a);

	assert_int_equal(etcd_hear("{\"result\":{\"header\":{\"revision\":\"15\"},\"events\":["
		"{\"type\":\"DELETE\",\"kv\":{\"key\":\"" KEY_A "\",\"mod_revision\":\"14\"}},"
		"{\"kv\":{\"key\":\"" KEY_A "\",\"value\":\"" VALUE_A "\",\"mod_revision\":15}}]}}",
		DIRECTORY, &a), 0);
	assert_int_equal(a.n, 2);
	assert_true(a.entry[0].is_gone && !a.entry[1].is_gone);
	assert_int_equal(a.watch_revision, 15);
	etcd_answer_free(&a);

	assert_int_equal(etcd_hear("{\"result\":{\"ID\":\"7587\",\"TTL\":\"10\"}}", DIRECTORY, &a), 0);
	assert_int_equal(a.lease, 7587);
	assert_int_equal(a.ttl, 10);
	assert_int_equal(etcd_hear("{\"result\":{\"ID\":\"7587\"}}", DIRECTORY, &a), 0);
	assert_int_equal(a.ttl, 0);
	assert_int_equal(etcd_hear("{\"result\":{\"canceled\":true,\"compact_revision\":\"9\"}}",
		DIRECTORY, &a), 0);
	assert_true(a.is_canceled);
	assert_int_equal(a.compact_revision, 9);
	assert_string_equal(a.error, "");
	assert_int_equal(etcd_hear("{\"result\":{\"created\":true,\"canceled\":true,"
				   "\"cancel_reason\":\"permission denied\"}}", DIRECTORY, &a), 0);
	assert_true(a.is_canceled);
	assert_string_equal(a.error, "permission denied");
	assert_int_equal(etcd_hear("{\"error\":\"etcdserver: invalid auth token\",\"code\":16}",
		DIRECTORY, &a), 0);
	assert_string_equal(a.error, "etcdserver: invalid auth token");
	assert_int_equal(etcd_hear("{\"error\":{\"grpc_code\":1,\"message\":\"context canceled\"}}",
		DIRECTORY, &a), 0);
	assert_string_equal(a.error, "context canceled");
}

/* What is no member is left out, whatever it is, and the others are there. */
static void test_wrong(void **state)
{
	static const char *const wrong[] = {
		"null", "7", "{}", "{\"key\":7}", "{\"key\":\"????\",\"value\":\"" VALUE_A "\"}",
		"{\"key\":\"L290aGVyL2E=\",\"value\":\"" VALUE_A "\"}", /* /other/a */
		"{\"key\":\"L3MvYy9tZW1iZXJzL2EvYg==\",\"value\":\"" VALUE_A "\"}", /* a/b */
		"{\"key\":\"" KEY_A "\"}", "{\"key\":\"" KEY_A "\",\"value\":\"e30=\"}", /* {} */
		"{\"key\":\"" KEY_A "\",\"value\":\"bm9uc2Vuc2U=\"}",
		"{\"key\":\"" KEY_A "\",\"value\":\"eyJlbmRwb2ludCI6Im5vd2hlcmUifQ==\"}",
	};
	struct etcd_answer a;
	char text[1024];
	unsigned i;

	(void)state;
	for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		snprintf(text, sizeof(text), "{\"kvs\":[%s,{\"key\":\"" KEY_A "\",\"value\":\"" VALUE_A
			"\"}]}", wrong[i]);
		assert_int_equal(etcd_hear(text, DIRECTORY, &a), 0);
		assert_int_equal(a.n_wrong, 1);
		assert_int_equal(a.n, 1);
		etcd_answer_free(&a);
	}
	assert_int_equal(etcd_hear("", DIRECTORY, &a), -EBADMSG);
	assert_int_equal(etcd_hear("<html>", DIRECTORY, &a), -EBADMSG);
	assert_int_equal(etcd_hear("[1]", DIRECTORY, &a), -EBADMSG);
	assert_int_equal(etcd_hear("{\"kvs\":7,\"header\":[],\"result\":null}", DIRECTORY, &a), 0);
	etcd_answer_free(&a);
}

/* Settings are beside the members; whether one is right is decided elsewhere. */
static void test_settings(void **state)
{
	struct etcd_answer a;

	(void)state;
	/* In /s/c/settings/: lanes is "5\n", a.b "on"; lanes/x; and one of no name. */
	assert_int_equal(etcd_hear("{\"kvs\":["
		"{\"key\":\"L3MvYy9zZXR0aW5ncy9sYW5lcw==\",\"value\":\"NQo=\"},"
		"{\"key\":\"L3MvYy9zZXR0aW5ncy9hLmI=\",\"value\":\"b24=\"},"
		"{\"key\":\"L3MvYy9zZXR0aW5ncy9sYW5lcy94\",\"value\":\"b24=\"},"
		"{\"key\":\"L3MvYy9zZXR0aW5ncy8=\",\"value\":\"b24=\"},"
		"{\"key\":\"" KEY_A "\",\"value\":\"" VALUE_A "\"}]}", DIRECTORY, &a), 0);
	assert_int_equal(a.n, 3);
	assert_int_equal(a.n_wrong, 2);
	assert_int_equal(a.entry[0].kind, ETCD_SETTING);
	assert_string_equal(a.entry[0].setting.name, "lanes");
	assert_string_equal(a.entry[0].setting.value, "5");
	assert_string_equal(a.entry[1].setting.name, "a.b");
	assert_string_equal(a.entry[1].setting.value, "on");
	assert_int_equal(a.entry[2].kind, ETCD_MEMBER);
	etcd_answer_free(&a);

	assert_int_equal(etcd_hear("{\"result\":{\"events\":[{\"type\":\"DELETE\",\"kv\":"
		"{\"key\":\"L3MvYy9zZXR0aW5ncy9sYW5lcw==\"}},{\"kv\":"
		"{\"key\":\"L3MvYy9zZXR0aW5ncy9sYW5lcw==\"}}]}}", DIRECTORY, &a), 0);
	assert_int_equal(a.n, 2);
	assert_true(a.entry[0].is_gone && !a.entry[1].is_gone);
	assert_string_equal(a.entry[1].setting.value, "");
	etcd_answer_free(&a);
}

/* A value that is longer than any member's is measured, and not copied. */
static void test_long(void **state)
{
	static char text[1 << 20];
	struct etcd_answer a;
	size_t n;

	(void)state;
	n = (size_t)sprintf(text, "{\"kvs\":[{\"key\":\"");
	memset(text + n, 'A', 300000);
	n += 300000;
	n += (size_t)sprintf(text + n, "\"},{\"key\":\"" KEY_A "\",\"value\":\"");
	memset(text + n, 'A', 300000);
	n += 300000;
	sprintf(text + n, "\"}]}");
	assert_int_equal(etcd_hear(text, DIRECTORY, &a), 0);
	assert_int_equal(a.n, 0);
	assert_int_equal(a.n_wrong, 2);
	etcd_answer_free(&a);

	n = (size_t)sprintf(text, "{\"kvs\":[{\"key\":\"L3MvYy9zZXR0aW5ncy9sYW5lcw==\","
				  "\"value\":\"");
	memset(text + n, 'A', 300000);
	n += 300000;
	sprintf(text + n, "\"}]}");
	assert_int_equal(etcd_hear(text, DIRECTORY, &a), 0);
	assert_int_equal(a.n, 1);
	assert_string_equal(a.entry[0].setting.value, ETCD_VALUE_LONG);
	etcd_answer_free(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_said),
		cmocka_unit_test(test_heard),
		cmocka_unit_test(test_wrong),
		cmocka_unit_test(test_settings),
		cmocka_unit_test(test_long),
	};

	return cmocka_run_group_tests_name("etcd-message", tests, NULL, NULL);
}
