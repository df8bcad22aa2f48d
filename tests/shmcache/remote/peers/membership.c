/* SPDX-License-Identifier: Apache-2.0 */
/* Unit of membership.c: what is told of a view that changes. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "shmcache/remote/peers/membership.h"

/* All that was told: +name, -name, ~name, and a dot at the end of each change. */
static char told[4096];

static void changed(void *context, struct membership *m, enum membership_event event, uint16_t number)
{
	static const char sign[] = {'+', '-', '~', '.'};
	const struct member *member = membership_get(m, number);
	size_t n = strlen(told);

	assert_ptr_equal(context, told);
	assert_int_equal(member == NULL, event == MEMBERSHIP_DONE);
	snprintf(told + n, sizeof(told) - n, "%c%s", sign[event], member ? member->name : "");
}

static void assert_told(const char *expected)
{
	assert_string_equal(told, expected);
	told[0] = '\0';
}

static struct membership *view(void)
{
	struct membership *m;

	told[0] = '\0';
	assert_int_equal(membership_new(&m, "self", changed, told), 0);
	return m;
}

static struct member member(const char *name, const char *endpoint, uint64_t epoch)
{
	struct member made = {.epoch = epoch};

	snprintf(made.name, sizeof(made.name), "%s", name);
	snprintf(made.endpoint, sizeof(made.endpoint), "%s", endpoint);
	return made;
}

static void test_list(void **state)
{
	struct membership *m = view();
	const uint16_t *all;
	unsigned n;

	(void)state;
	assert_int_equal(membership_set_list(m, "a=10.0.0.1:1,self=10.0.0.2:2,b=[fd00::1]:3"), 0);
	assert_told("+a+b.");
	all = membership_all(m, &n);
	assert_int_equal(n, 2);
	assert_string_equal(membership_get(m, all[0])->name, "a");
	assert_string_equal(membership_get(m, all[1])->endpoint, "[fd00::1]:3");
	assert_int_equal(membership_find(m, "self"), MEMBER_NONE);
	assert_int_equal(membership_find_hash(m, member_hash("b")), all[1]);
	assert_int_equal(membership_find_hash(m, member_hash("self")), MEMBER_NONE);
	membership_free(m);
}

/* The same view again is no change; who stays keeps his number, who left makes place before. */
static void test_changes(void **state)
{
	struct member first[] = {member("a", "10.0.0.1:1", 1), member("b", "10.0.0.1:2", 1)};
	struct member second[] = {member("c", "10.0.0.1:3", 1), member("b", "10.0.0.1:2", 2)};
	struct membership *m = view();
	uint64_t version;
	uint16_t a, b;

	(void)state;
	membership_set(m, first, 2);
	assert_told("+a+b.");
	a = membership_find(m, "a");
	b = membership_find(m, "b");
	version = membership_version(m);
	membership_set(m, first, 2);
	assert_told("");
	assert_int_equal(membership_version(m), version);
	membership_set(m, second, 2);
	assert_told("-a+c~b.");
	assert_int_equal(membership_find(m, "b"), b);
	assert_int_equal(membership_find(m, "c"), a);
	assert_true(membership_version(m) != version);
	assert_int_equal(membership_drop(m, "a"), -ENOENT);
	assert_int_equal(membership_drop(m, "b"), 0);
	assert_int_equal(membership_add(m, &first[0]), 0);
	assert_told("-b.+a.");
	membership_set(m, NULL, 0);
	assert_told("-a-c.");
	membership_free(m);
}

/* What can't be a member is left out, and the others are there. */
static void test_wrong(void **state)
{
	struct member list[] = {member("", "10.0.0.1:1", 0), member("a/b", "10.0.0.1:1", 0),
		member("ok", "10.0.0.1:1", 0), member("ok", "10.0.0.1:2", 0),
		member("far", "nowhere", 0), member("far", "10.0.0.1:99999", 0),
		member("x", "10.0.0.1:1", 0), member("self", "10.0.0.1:1", 0)};
	struct membership *m = view();

	(void)state;
	memset(list[6].name, 'x', sizeof(list[6].name));
	assert_int_equal(membership_set(m, list, 8), 6);
	assert_told("+ok.");
	assert_string_equal(membership_get(m, membership_find(m, "ok"))->endpoint, "10.0.0.1:1");
	assert_int_equal(membership_add(m, &list[1]), -EINVAL);
	assert_int_equal(membership_add(m, &list[7]), 0);
	assert_told("");
	membership_free(m);
	assert_int_equal(membership_new(&m, "not a name", changed, told), -EINVAL);
}

static void test_full(void **state)
{
	struct member *list = calloc(MEMBERS_MAX + 2, sizeof(*list)), one;
	struct membership *m;
	char name[16];
	unsigned i, n;

	(void)state;
	assert_int_equal(membership_new(&m, "self", NULL, NULL), 0);
	for (i = 0; i < MEMBERS_MAX + 2; i++) {
		snprintf(name, sizeof(name), "m%u", i);
		list[i] = member(name, "10.0.0.1:1", 0);
	}
	assert_int_equal(membership_set(m, list, MEMBERS_MAX + 2), 2);
	(void)membership_all(m, &n);
	assert_int_equal(n, MEMBERS_MAX);
	one = member("more", "10.0.0.1:1", 0);
	assert_int_equal(membership_add(m, &one), -ENOSPC);
	assert_int_equal(membership_drop(m, "m7"), 0);
	assert_int_equal(membership_add(m, &one), 0);
	assert_null(membership_get(m, MEMBERS_MAX));
	assert_null(membership_get(m, MEMBER_NONE));
	membership_free(m);
	free(list);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_list),
		cmocka_unit_test(test_changes),
		cmocka_unit_test(test_wrong),
		cmocka_unit_test(test_full),
	};

	return cmocka_run_group_tests_name("membership", tests, NULL, NULL);
}
