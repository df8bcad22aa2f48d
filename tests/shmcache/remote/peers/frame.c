/* SPDX-License-Identifier: Apache-2.0 */
/* frame.c: which frames may come from whom, and what is wrong with those that may not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "shmcache/remote/peers/frame.h"

static struct frame frame(enum frame_type type, uint8_t flags, uint32_t size)
{
	return (struct frame){FRAME_MAGIC, (uint8_t)type, flags, size, 1, 0};
}

/* By type: on the control lane from the requester, from the holder; on a data lane likewise. */
static const bool allowed[FRAME_N_TYPES][4] = {
	[FRAME_REFUSE] = {1, 1, 1, 1},
	[FRAME_PING] = {1, 0, 0, 0},
	[FRAME_PONG] = {0, 1, 0, 0},
	[FRAME_LOOKUP] = {1, 0, 0, 0},
	[FRAME_FOUND] = {0, 1, 0, 0},
	[FRAME_ANNOUNCE] = {1, 0, 0, 0},
	[FRAME_ERASE] = {1, 0, 0, 0},
	[FRAME_ERASED] = {0, 1, 0, 0},
	[FRAME_FETCH] = {0, 0, 1, 0},
	[FRAME_HEAD] = {0, 0, 0, 1},
	[FRAME_DATA] = {0, 0, 0, 1},
	[FRAME_END] = {0, 0, 0, 1},
	[FRAME_CREDIT] = {0, 0, 1, 0},
	[FRAME_CANCEL] = {0, 0, 1, 0},
};

static uint32_t good_size(unsigned type)
{
	switch (type) {
	case FRAME_HEAD:
		return sizeof(struct frame_value);
	case FRAME_LOOKUP:
	case FRAME_FOUND:
	case FRAME_ERASE:
	case FRAME_FETCH:
	case FRAME_DATA:
		return 1;
	default:
		return 0;
	}
}

static void test_who_may(void **state)
{
	unsigned type, i;

	(void)state;
	for (type = 0; type < 256; type++) {
		struct frame f = frame(type, 0, good_size(type));

		for (i = 0; i < 4; i++)
			assert_int_equal(!frame_check(&f, i & 1, i >= 2),
				type < FRAME_N_TYPES && allowed[type][i]);
	}
}

static void test_sizes(void **state)
{
	static const struct {
		enum frame_type type;
		enum frame_side side;
		bool is_data;
		uint32_t min, max;
	} cases[] = {
		{FRAME_PING, FRAME_FROM_REQUESTER, false, 0, 0},
		{FRAME_LOOKUP, FRAME_FROM_REQUESTER, false, 1, FRAME_BODY_MAX},
		{FRAME_FOUND, FRAME_FROM_HOLDER, false, 0, FRAME_BODY_MAX},
		{FRAME_ERASE, FRAME_FROM_REQUESTER, false, 1, ABI_KEY_SIZE_MAX},
		{FRAME_FETCH, FRAME_FROM_REQUESTER, true, 1, ABI_KEY_SIZE_MAX},
		{FRAME_DATA, FRAME_FROM_HOLDER, true, 1, FRAME_DATA_MAX},
		{FRAME_HEAD, FRAME_FROM_HOLDER, true, 40, 40},
		{FRAME_END, FRAME_FROM_HOLDER, true, 0, 0},
	};
	struct frame f;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		f = frame(cases[i].type, 0, cases[i].min);
		assert_null(frame_check(&f, cases[i].side, cases[i].is_data));
		f.size = cases[i].max;
		assert_null(frame_check(&f, cases[i].side, cases[i].is_data));
		f.size = cases[i].max + 1;
		assert_non_null(frame_check(&f, cases[i].side, cases[i].is_data));
		f.size = UINT32_MAX;
		assert_non_null(frame_check(&f, cases[i].side, cases[i].is_data));
		f.size = cases[i].min - 1;
		assert_non_null(frame_check(&f, cases[i].side, cases[i].is_data));
	}
}

static void test_forms(void **state)
{
	struct frame f = frame(FRAME_PING, 0, 0);

	(void)state;
	f.magic ^= 1;
	assert_non_null(frame_check(&f, FRAME_FROM_REQUESTER, false));
	f = frame(FRAME_PING, 1, 0);
	assert_non_null(frame_check(&f, FRAME_FROM_REQUESTER, false));
	/* A head tells of a value when there is one. */
	f = frame(FRAME_HEAD, FRAME_MISS, 0);
	assert_null(frame_check(&f, FRAME_FROM_HOLDER, true));
	f = frame(FRAME_HEAD, FRAME_MISS, sizeof(struct frame_value));
	assert_non_null(frame_check(&f, FRAME_FROM_HOLDER, true));
	f = frame(FRAME_HEAD, FRAME_OK, 0);
	assert_non_null(frame_check(&f, FRAME_FROM_HOLDER, true));
	f = frame(FRAME_END, FRAME_N_STATUSES, 0);
	assert_non_null(frame_check(&f, FRAME_FROM_HOLDER, true));
}

static void test_first(void **state)
{
	struct frame f = frame(FRAME_HELLO, 0, sizeof(struct frame_hello));

	(void)state;
	assert_null(frame_check_first(&f, FRAME_HELLO));
	assert_non_null(frame_check_first(&f, FRAME_GREET));
	f.size--;
	assert_non_null(frame_check_first(&f, FRAME_HELLO));
	/* Who is called may refuse, who calls has nothing to refuse yet. */
	f = frame(FRAME_REFUSE, FRAME_REFUSE_VERSION, 10);
	assert_null(frame_check_first(&f, FRAME_GREET));
	assert_null(frame_check_first(&f, FRAME_WELCOME));
	assert_non_null(frame_check_first(&f, FRAME_HELLO));
	f = frame(FRAME_FETCH, 0, 10);
	assert_non_null(frame_check_first(&f, FRAME_HELLO));
}

/* --- bodies ---------------------------------------------------------------------------------- */

static const char *check(enum frame_type type, uint8_t flags, uint64_t n, const void *body,
	size_t size)
{
	struct frame f = frame(type, flags, (uint32_t)size);

	f.argument = n;
	return frame_check_body(&f, body);
}

static void test_items(void **state)
{
	uint8_t body[4096];
	size_t n = 0;

	(void)state;
	n += frame_put_item(body + n, sizeof(body) - n, "one", 3);
	n += frame_put_item(body + n, sizeof(body) - n, "0123456789abcdef", 16);
	assert_int_equal(n, 2 + 3 + 2 + 16);
	assert_null(check(FRAME_LOOKUP, FRAME_LOOKUP_KEYS, 2, body, n));
	assert_non_null(check(FRAME_LOOKUP, FRAME_LOOKUP_KEYS, 1, body, n));
	assert_non_null(check(FRAME_LOOKUP, FRAME_LOOKUP_KEYS, 3, body, n));
	assert_non_null(check(FRAME_LOOKUP, FRAME_LOOKUP_KEYS, 2, body, n - 1));
	assert_non_null(check(FRAME_LOOKUP, FRAME_LOOKUP_KEYS, 1, body, n - 1));
	/* Names are all of one size. */
	assert_non_null(check(FRAME_LOOKUP, FRAME_LOOKUP_NAMES, 2, body, n));
	assert_null(check(FRAME_LOOKUP, FRAME_LOOKUP_NAMES, 1, body + 5, 18));
	/* Empty and too long keys. */
	assert_non_null(check(FRAME_LOOKUP, FRAME_LOOKUP_KEYS, 1, "\0\0", 2));
	memset(body, 'k', sizeof(body));
	memcpy(body, &(uint16_t){ABI_KEY_SIZE_MAX}, 2);
	assert_null(check(FRAME_LOOKUP, FRAME_LOOKUP_KEYS, 1, body, 2 + ABI_KEY_SIZE_MAX));
	memcpy(body, &(uint16_t){ABI_KEY_SIZE_MAX + 1}, 2);
	assert_non_null(check(FRAME_LOOKUP, FRAME_LOOKUP_KEYS, 1, body, 3 + ABI_KEY_SIZE_MAX));
	assert_int_equal(frame_put_item(body, 4, "one", 3), 0);
}

static void test_too_many_items(void **state)
{
	static uint8_t body[FRAME_BODY_MAX];
	size_t n = 0;
	unsigned i;

	(void)state;
	for (i = 0; i < FRAME_ITEMS_MAX; i++)
		n += frame_put_item(body + n, sizeof(body) - n, "k", 1);
	assert_null(check(FRAME_LOOKUP, 0, i, body, n));
	n += frame_put_item(body + n, sizeof(body) - n, "k", 1);
	assert_non_null(check(FRAME_LOOKUP, 0, i + 1, body, n));
}

static void test_holders(void **state)
{
	struct frame_holders two = {2, {7, 8}}, none = {0}, back;
	struct frame_cursor c;
	struct frame head;
	uint8_t body[64];
	size_t n = 0;

	(void)state;
	n += frame_put_holders(body + n, sizeof(body) - n, &two);
	n += frame_put_holders(body + n, sizeof(body) - n, &none);
	assert_int_equal(n, 18);
	assert_null(check(FRAME_FOUND, 0, 2, body, n));
	assert_non_null(check(FRAME_FOUND, 0, 2, body, n - 1));
	assert_non_null(check(FRAME_FOUND, 0, 1, body, n));
	assert_null(check(FRAME_FOUND, 0, 0, body, 0));
	assert_non_null(check(FRAME_FOUND, 0, 1, body, 0));
	head = frame(FRAME_FOUND, 0, (uint32_t)n);
	c = frame_cursor(&head, body);
	assert_true(frame_next_holders(&c, &back));
	assert_int_equal(back.n, 2);
	assert_int_equal(back.id[1], 8);
	assert_true(frame_next_holders(&c, &back));
	assert_int_equal(back.n, 0);
	assert_false(frame_next_holders(&c, &back));
	memset(body, 0, sizeof(body));
	body[0] = FRAME_HOLDERS_MAX + 1;
	assert_non_null(check(FRAME_FOUND, 0, 1, body, sizeof(body)));
	assert_int_equal(frame_put_holders(body, 16, &two), 0);
}

static void test_notices(void **state)
{
	struct frame_notice notice[2] = {{.kind = 0}, {.kind = FRAME_N_NOTICES - 1}};

	(void)state;
	assert_null(check(FRAME_ANNOUNCE, 0, 0, notice, sizeof(notice)));
	assert_null(check(FRAME_ANNOUNCE, 0, 0, notice, 0));
	assert_non_null(check(FRAME_ANNOUNCE, 0, 0, notice, sizeof(notice) - 1));
	notice[1].kind = FRAME_N_NOTICES;
	assert_non_null(check(FRAME_ANNOUNCE, 0, 0, notice, sizeof(notice)));
}

static void test_value(void **state)
{
	struct frame_value value = {.size = 1, .flags = FRAME_WITH_HINTS};

	(void)state;
	assert_null(check(FRAME_HEAD, FRAME_OK, 0, &value, sizeof(value)));
	assert_null(check(FRAME_HEAD, FRAME_MISS, 0, &value, 0));
	value.size = 0;
	assert_non_null(check(FRAME_HEAD, FRAME_OK, 0, &value, sizeof(value)));
	value.size = (uint64_t)INT64_MAX + 1;
	assert_non_null(check(FRAME_HEAD, FRAME_OK, 0, &value, sizeof(value)));
	value = (struct frame_value){.size = 1, .flags = 2};
	assert_non_null(check(FRAME_HEAD, FRAME_OK, 0, &value, sizeof(value)));
}

static void test_names(void **state)
{
	char name[FRAME_NAME_SIZE] = "kv-0.rack_1";

	(void)state;
	assert_true(frame_name_is_valid(name));
	name[40] = 'x';
	assert_false(frame_name_is_valid(name));
	memset(name, 0, sizeof(name));
	assert_false(frame_name_is_valid(name));
	memset(name, 'n', sizeof(name) - 1);
	assert_true(frame_name_is_valid(name));
	name[FRAME_NAME_SIZE - 1] = 'n';
	assert_false(frame_name_is_valid(name));
	memset(name, 0, sizeof(name));
	name[0] = '/';
	assert_false(frame_name_is_valid(name));
	assert_int_not_equal(frame_member_id("a"), frame_member_id("b"));
	assert_string_equal(frame_type_name(FRAME_FETCH), "fetch");
	assert_string_equal(frame_type_name(0), "unknown");
	assert_string_equal(frame_status_name(FRAME_MISS), "miss");
	assert_string_equal(frame_status_name(99), "unknown");
	assert_string_equal(frame_refusal_name(FRAME_REFUSE_REPLAY), "replay");
	assert_string_equal(frame_refusal_name(99), "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_who_may),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_forms),
		cmocka_unit_test(test_first),
		cmocka_unit_test(test_items),
		cmocka_unit_test(test_too_many_items),
		cmocka_unit_test(test_holders),
		cmocka_unit_test(test_notices),
		cmocka_unit_test(test_value),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
