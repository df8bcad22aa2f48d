/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the command line makes of text: escapes, hexadecimal, units, likeness, quantiles.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "clients/cli/histogram.h"
#include "clients/cli/text.h"
#include "clients/cli/units.h"

#define BYTES(s) (s), sizeof(s) - 1

static void escaped(const char *data, size_t size, const char *expected)
{
	char *out;
	size_t out_size;
	FILE *stream = open_memstream(&out, &out_size);

	assert_non_null(stream);
	text_print_escaped(stream, data, size);
	assert_int_equal(fclose(stream), 0);
	assert_string_equal(out, expected);
	free(out);
}

static void test_escape(void **state)
{
	(void)state;
	escaped(BYTES("plain/key-1"), "plain/key-1");
	escaped(BYTES("a\\b"), "a\\\\b");
	escaped(BYTES("a\nb\tc\rd"), "a\\nb\\tc\\rd");
	escaped(BYTES("a\0b"), "a\\x00b");
	escaped(BYTES("\x1b[2J\x7f"), "\\x1b[2J\\x7f");
	escaped(BYTES("gr\xc3\xbc\xc3\x9f"), "gr\xc3\xbc\xc3\x9f");
	/* CSI as one character of two bytes */
	escaped(BYTES("\xc2\x9b"), "\\xc2\\x9b");
	/* bytes that belong to no character, next to one that does */
	escaped(BYTES("\xff\xc3\xbc\xc3"), "\\xff\xc3\xbc\\xc3");
}

static void test_utf8(void **state)
{
	(void)state;
	assert_true(text_is_utf8(BYTES("")));
	assert_true(text_is_utf8(BYTES("a\0b")));
	assert_true(text_is_utf8(BYTES("\xc2\x80 \xdf\xbf \xe0\xa0\x80 \xef\xbf\xbf")));
	assert_true(text_is_utf8(BYTES("\xf0\x90\x80\x80 \xf4\x8f\xbf\xbf")));
	assert_false(text_is_utf8(BYTES("\x80")));
	assert_false(text_is_utf8(BYTES("\xc0\xaf")));	       /* overlong '/' */
	assert_false(text_is_utf8(BYTES("\xe0\x9f\xbf")));     /* overlong */
	assert_false(text_is_utf8(BYTES("\xf0\x8f\xbf\xbf"))); /* overlong */
	assert_false(text_is_utf8(BYTES("\xed\xa0\x80")));     /* surrogate */
	assert_false(text_is_utf8(BYTES("\xf4\x90\x80\x80"))); /* past U+10FFFF */
	assert_false(text_is_utf8(BYTES("\xf5\x80\x80\x80")));
	assert_false(text_is_utf8(BYTES("\xe2\x82"))); /* cut off */
	assert_false(text_is_utf8(BYTES("\xe2\x82z")));
}

static void test_hex(void **state)
{
	unsigned char out[4];
	char text[9];
	size_t size;

	(void)state;
	assert_int_equal(text_hex_parse("00fFa1", out, 4, &size), 0);
	assert_int_equal(size, 3);
	assert_memory_equal(out, "\x00\xff\xa1", 3);
	text_hex_format(out, 3, text);
	assert_string_equal(text, "00ffa1");
	assert_int_equal(text_hex_parse("", out, 4, &size), 0);
	assert_int_equal(size, 0);
	assert_int_equal(text_hex_parse("0", out, 4, &size), -EINVAL);
	assert_int_equal(text_hex_parse("0g", out, 4, &size), -EINVAL);
	assert_int_equal(text_hex_parse("0011223344", out, 4, &size), -ERANGE);
}

static void test_distance(void **state)
{
	(void)state;
	assert_int_equal(text_distance("flush", "flush"), 0);
	assert_int_equal(text_distance("fulsh", "flush"), 1); /* swapped */
	assert_int_equal(text_distance("flsh", "flush"), 1);
	assert_int_equal(text_distance("flushh", "flush"), 1);
	assert_int_equal(text_distance("blush", "flush"), 1);
	assert_int_equal(text_distance("", "get"), 3);
	assert_int_equal(text_distance("get", ""), 3);
	assert_true(text_distance("01234567890123456789012345678901", "get") == SIZE_MAX);
}

static void test_duration(void **state)
{
	uint64_t ms = 7;

	(void)state;
	assert_int_equal(units_duration_parse("250ms", &ms), 0);
	assert_int_equal(ms, 250);
	assert_int_equal(units_duration_parse("5s", &ms), 0);
	assert_int_equal(ms, 5000);
	assert_int_equal(units_duration_parse("10m", &ms), 0);
	assert_int_equal(ms, 600000);
	assert_int_equal(units_duration_parse("2h", &ms), 0);
	assert_int_equal(ms, 7200000);
	assert_int_equal(units_duration_parse("1d", &ms), 0);
	assert_int_equal(ms, 86400000);
	assert_int_equal(units_duration_parse("0", &ms), 0);
	assert_int_equal(ms, 0);
	ms = 7;
	assert_int_equal(units_duration_parse("60", &ms), -EINVAL);
	assert_int_equal(units_duration_parse("-5s", &ms), -EINVAL);
	assert_int_equal(units_duration_parse(" 5s", &ms), -EINVAL);
	assert_int_equal(units_duration_parse("5 s", &ms), -EINVAL);
	assert_int_equal(units_duration_parse("5sec", &ms), -EINVAL);
	assert_int_equal(units_duration_parse("s", &ms), -EINVAL);
	assert_int_equal(units_duration_parse("", &ms), -EINVAL);
	assert_int_equal(units_duration_parse("18446744073709551616ms", &ms), -ERANGE);
	assert_int_equal(units_duration_parse("18446744073709551615d", &ms), -ERANGE);
	assert_int_equal(ms, 7); /* written on success only */
}

static void test_size(void **state)
{
	uint64_t size;

	(void)state;
	assert_int_equal(units_size_parse("4096", &size), 0);
	assert_int_equal(size, 4096);
	assert_int_equal(units_size_parse("64B", &size), 0);
	assert_int_equal(size, 64);
	assert_int_equal(units_size_parse("4KiB", &size), 0);
	assert_int_equal(size, 4096);
	assert_int_equal(units_size_parse("3GiB", &size), 0);
	assert_true(size == UINT64_C(3) << 30);
	assert_int_equal(units_size_parse("4K", &size), -EINVAL);
	assert_int_equal(units_size_parse("1.5GiB", &size), -EINVAL);
	assert_int_equal(units_size_parse("20000000TiB", &size), -ERANGE);
}

static void test_number(void **state)
{
	uint64_t number;

	(void)state;
	assert_int_equal(units_number_parse("255", 255, &number), 0);
	assert_int_equal(number, 255);
	assert_int_equal(units_number_parse("256", 255, &number), -ERANGE);
	assert_int_equal(units_number_parse("0x5eed", UINT64_MAX, &number), 0);
	assert_int_equal(number, 0x5eed);
	assert_int_equal(units_number_parse("08", 255, &number), 0);
	assert_int_equal(number, 8);
	assert_int_equal(units_number_parse("0x", 255, &number), -EINVAL);
	assert_int_equal(units_number_parse("5a", 255, &number), -EINVAL);
	assert_int_equal(units_number_parse("-1", UINT64_MAX, &number), -EINVAL);
	assert_int_equal(units_number_parse("18446744073709551615", UINT64_MAX, &number), 0);
	assert_true(number == UINT64_MAX);
	assert_int_equal(units_number_parse("18446744073709551616", UINT64_MAX, &number), -ERANGE);
}

static void test_format(void **state)
{
	char text[UNITS_TEXT_SIZE];

	(void)state;
	assert_string_equal(units_size_format(text, 0), "0 B");
	assert_string_equal(units_size_format(text, 1023), "1023 B");
	assert_string_equal(units_size_format(text, 1024), "1.0 KiB");
	assert_string_equal(units_size_format(text, 1536 * 1024), "1.5 MiB");
	/* rounds up to the next unit, and not to 1024.0 of this one */
	assert_string_equal(units_size_format(text, (1 << 20) - 1), "1.0 MiB");
	assert_string_equal(units_size_format(text, UINT64_MAX), "16.0 EiB");
	assert_string_equal(units_duration_format(text, 250), "250 ms");
	assert_string_equal(units_duration_format(text, 12345), "12.3 s");
	assert_string_equal(units_duration_format(text, 245000), "4m05s");
	assert_string_equal(units_duration_format(text, 11220000), "3h07m");
	assert_string_equal(units_duration_format(text, 187200000), "2d04h");
	assert_string_equal(units_ns_format(text, 999), "999 ns");
	assert_string_equal(units_ns_format(text, 4500), "4.5 us");
	assert_string_equal(units_ns_format(text, 1200000), "1.2 ms");
	assert_string_equal(units_ns_format(text, UINT64_C(3400000000)), "3.4 s");
}

/* Against the exact quantile of values over many magnitudes. */
static void test_histogram(void **state)
{
	static struct histogram h, other;
	static const double qs[] = { 0.01, 0.5, 0.9, 0.99, 1.0 };
	const uint64_t n = 100000;

	(void)state;
	assert_int_equal(histogram_quantile(&h, 0.5), 0);
	for (uint64_t i = 1; i <= n; i++)
		histogram_add(i % 2 ? &h : &other, i * i);
	histogram_merge(&h, &other);
	assert_int_equal(h.n, n);
	for (size_t i = 0; i < sizeof(qs) / sizeof(qs[0]); i++) {
		uint64_t rank = (uint64_t)(qs[i] * (double)n), exact = rank * rank;
		uint64_t got = histogram_quantile(&h, qs[i]);

		assert_true(got >= exact);
		assert_true(got <= exact + exact / 32 + 1);
	}
	assert_true(histogram_quantile(&h, 1.0) == n * n);
	histogram_add(&h, UINT64_MAX);
	assert_true(histogram_quantile(&h, 1.0) == UINT64_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_escape),
		cmocka_unit_test(test_utf8),
		cmocka_unit_test(test_hex),
		cmocka_unit_test(test_distance),
		cmocka_unit_test(test_duration),
		cmocka_unit_test(test_size),
		cmocka_unit_test(test_number),
		cmocka_unit_test(test_format),
		cmocka_unit_test(test_histogram),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
