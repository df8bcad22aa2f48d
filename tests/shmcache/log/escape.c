/* SPDX-License-Identifier: Apache-2.0 */
/* escape.c - whatever the bytes are, what comes out is one line of printable ASCII. */
#include "shmcache/log/escape.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void check(const char *bytes, size_t len, size_t size, const char *expected)
{
	char *out = malloc(size); /* on the heap, where a sanitizer sees one byte too many */

	assert_non_null(out);
	assert_int_equal(escape_bytes(out, size, bytes, len), strlen(expected));
	assert_string_equal(out, expected);
	free(out);
}

static void spells_out_what_is_not_printable(void **state)
{
	(void)state;
	check("plain-1.0/x", 11, 64, "plain-1.0/x");
	check("a\nb\tc", 5, 64, "a\\nb\\tc");
	check("say \"hi\" \\o/", 12, 64, "say \\\"hi\\\" \\\\o/");
	check("\x1b[2J\0\r\x7f\xc3\xa9", 9, 64, "\\x1b[2J\\x00\\x0d\\x7f\\xc3\\xa9");
	check("", 0, 4, "");
}

static void cuts_at_a_whole_character(void **state)
{
	(void)state;
	check("abcdefgh", 8, 9, "abcdefgh");
	check("abcdefgh", 8, 8, "abcd...");
	check("ab\x01\x02", 4, 9, "ab...");
	check("ab\x01\x02", 4, 10, "ab\\x01...");
	check("ab\x01\x02", 4, 11, "ab\\x01\\x02");
	check("\x01\x02", 2, 4, "...");
}

static void all_bytes_in_all_sizes_stay_printable(void **state)
{
	char bytes[256], out[2048];

	(void)state;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (char)i;
	for (size_t size = 4; size < sizeof(out); size++) {
		size_t n = escape_bytes(out, size, bytes, sizeof(bytes));

		assert_true(n < size);
		assert_int_equal(strlen(out), n);
		for (size_t i = 0; i < n; i++)
			assert_in_range((unsigned char)out[i], 0x20, 0x7e);
	}
}

static void knows_what_needs_quotes(void **state)
{
	(void)state;
	assert_false(escape_needs_quotes("kv0", 3));
	assert_false(escape_needs_quotes("/dev/shm/kv0.sock", 17));
	assert_true(escape_needs_quotes("", 0));
	assert_true(escape_needs_quotes("a b", 3));
	assert_true(escape_needs_quotes("a=b", 3));
	assert_true(escape_needs_quotes("a\"b", 3));
	assert_true(escape_needs_quotes("a\\b", 3));
	assert_true(escape_needs_quotes("a\nb", 3));
	assert_true(escape_needs_quotes("a\0b", 3));
	assert_true(escape_needs_quotes("\xff", 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(spells_out_what_is_not_printable),
		cmocka_unit_test(cuts_at_a_whole_character),
		cmocka_unit_test(all_bytes_in_all_sizes_stay_printable),
		cmocka_unit_test(knows_what_needs_quotes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
