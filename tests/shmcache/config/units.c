/* SPDX-License-Identifier: Apache-2.0 */
/* units.c - every unit, every near miss, every border. */
#include "shmcache/config/units.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define UNTOUCHED UINT64_C(0x5a5a5a5a)

typedef int parse_fn(const char *text, uint64_t *r_value, char why[UNITS_WHY_SIZE]);

static void accept(parse_fn *parse, const char *text, uint64_t expected)
{
	char why[UNITS_WHY_SIZE] = "";
	uint64_t value = UNTOUCHED;

	if (parse(text, &value, why) < 0)
		fail_msg("%s: %s", text, why);
	if (value != expected)
		fail_msg("%s: %llu", text, (unsigned long long)value);
}

static void refuse(parse_fn *parse, const char *text, const char *expected)
{
	char why[UNITS_WHY_SIZE] = "";
	uint64_t value = UNTOUCHED;

	if (parse(text, &value, why) != -EINVAL)
		fail_msg("%s: accepted", text);
	assert_string_equal(why, expected);
	assert_int_equal(value, UNTOUCHED);
}

static void sizes_are_powers_of_1024(void **state)
{
	(void)state;
	accept(units_size_parse, "0", 0);
	accept(units_size_parse, "0GiB", 0);
	accept(units_size_parse, "123", 123);
	accept(units_size_parse, "123B", 123);
	accept(units_size_parse, "64KiB", 65536);
	accept(units_size_parse, "512MiB", 536870912);
	accept(units_size_parse, "8GiB", UINT64_C(8589934592));
	accept(units_size_parse, "3TiB", UINT64_C(3298534883328));
	accept(units_size_parse, "18446744073709551615", UINT64_MAX);
	accept(units_size_parse, "16777215TiB", UINT64_C(16777215) << 40);
}

static void sizes_that_overflow_are_refused(void **state)
{
	(void)state;
	refuse(units_size_parse, "18446744073709551616", "is more than 64 bits hold");
	refuse(units_size_parse, "16777216TiB", "is more than 64 bits hold");
	refuse(units_size_parse, "99999999999999999999999", "is more than 64 bits hold");
}

static void unclear_sizes_are_refused_with_what_was_meant(void **state)
{
	static const char *const spellings[][2] = {
		{"8k", "8KiB"}, {"8K", "8KiB"}, {"8kB", "8KiB"}, {"8KB", "8KiB"}, {"8Ki", "8KiB"},
		{"8kib", "8KiB"}, {"8M", "8MiB"}, {"8MB", "8MiB"}, {"8mib", "8MiB"}, {"8G", "8GiB"},
		{"8g", "8GiB"}, {"1GB", "1GiB"}, {"8Gb", "8GiB"}, {"8Gi", "8GiB"}, {"8GIB", "8GiB"},
		{"8T", "8TiB"}, {"8tb", "8TiB"}, {"8b", "8B"}, {"8bytes", "8B"}, {"8 GB", "8GiB"},
	};
	char expected[UNITS_WHY_SIZE];

	(void)state;
	for (size_t i = 0; i < sizeof(spellings) / sizeof(spellings[0]); i++) {
		snprintf(expected, sizeof(expected),
			"has an unclear unit (units are powers of 1024 and spelt one way only); "
			"write %s", spellings[i][1]);
		refuse(units_size_parse, spellings[i][0], expected);
	}
	refuse(units_size_parse, "8 GiB", "has a blank before its unit; write 8GiB");
}

static void nonsense_sizes_are_refused(void **state)
{
	(void)state;
	refuse(units_size_parse, "", "does not begin with a number");
	refuse(units_size_parse, "GiB", "does not begin with a number");
	refuse(units_size_parse, "+1", "does not begin with a number");
	refuse(units_size_parse, " 1", "does not begin with a number");
	refuse(units_size_parse, "-1", "is negative");
	refuse(units_size_parse, "1.5GiB", "is not a whole number; use a smaller unit");
	refuse(units_size_parse, "1,5GiB", "is not a whole number; use a smaller unit");
	refuse(units_size_parse, "1PiB", "has the unknown unit PiB; use B, KiB, MiB, GiB or TiB");
	refuse(units_size_parse, "0x10", "has no known unit; use B, KiB, MiB, GiB or TiB");
	refuse(units_size_parse, "8GiB ", "has no known unit; use B, KiB, MiB, GiB or TiB");
	refuse(units_size_parse, "8GiB8", "has no known unit; use B, KiB, MiB, GiB or TiB");
	refuse(units_size_parse, "8 ", "has no known unit; use B, KiB, MiB, GiB or TiB");
	refuse(units_size_parse, "8\x1b[2J", "has no known unit; use B, KiB, MiB, GiB or TiB");
	refuse(units_size_parse, "1abcdefghijklmnopq",
		"has no known unit; use B, KiB, MiB, GiB or TiB");
}

static void durations_are_nanoseconds(void **state)
{
	(void)state;
	accept(units_duration_parse, "0", 0);
	accept(units_duration_parse, "0s", 0);
	accept(units_duration_parse, "7ns", 7);
	accept(units_duration_parse, "50us", 50000);
	accept(units_duration_parse, "10ms", 10000000);
	accept(units_duration_parse, "5s", UINT64_C(5000000000));
	accept(units_duration_parse, "2m", UINT64_C(120000000000));
	accept(units_duration_parse, "1h", UINT64_C(3600000000000));
	accept(units_duration_parse, "5124095h", UINT64_C(5124095) * 3600 * 1000000000);
	refuse(units_duration_parse, "5124096h", "is more than 64 bits hold");
}

static void unclear_durations_are_refused(void **state)
{
	static const char *const spellings[][2] = {
		{"5S", "5s"}, {"5sec", "5s"}, {"5 seconds", "5s"}, {"5min", "5m"}, {"5M", "5m"},
		{"5minutes", "5m"}, {"5hours", "5h"}, {"5hr", "5h"}, {"5H", "5h"}, {"5msec", "5ms"},
		{"5Ms", "5ms"}, {"5usec", "5us"}, {"5\xc2\xb5s", "5us"}, {"5\xce\xbcs", "5us"},
		{"5nsec", "5ns"},
	};
	char expected[UNITS_WHY_SIZE];

	(void)state;
	for (size_t i = 0; i < sizeof(spellings) / sizeof(spellings[0]); i++) {
		snprintf(expected, sizeof(expected),
			"has an unclear unit (units are spelt one way only); write %s",
			spellings[i][1]);
		refuse(units_duration_parse, spellings[i][0], expected);
	}
	refuse(units_duration_parse, "50", "has no unit; use ns, us, ms, s, m or h");
	refuse(units_duration_parse, "5 s", "has a blank before its unit; write 5s");
	refuse(units_duration_parse, "5d", "has the unknown unit d; use ns, us, ms, s, m or h");
	refuse(units_duration_parse, "1h30m", "has no known unit; use ns, us, ms, s, m or h");
}

static void percents_and_numbers(void **state)
{
	(void)state;
	accept(units_percent_parse, "0", 0);
	accept(units_percent_parse, "25%", 25);
	refuse(units_percent_parse, "25", "has no unit; use %");
	refuse(units_percent_parse, "0.25", "is not a whole number; use a smaller unit");
	refuse(units_percent_parse, "25 %", "has a blank before its unit; write 25%");
	refuse(units_percent_parse, "25percent",
		"has an unclear unit (units are spelt one way only); write 25%");
	refuse(units_percent_parse, "25%%", "has no known unit; use %");
	accept(units_number_parse, "18446744073709551615", UINT64_MAX);
	accept(units_number_parse, "007", 7);
	refuse(units_number_parse, "7x", "is not a plain number");
	refuse(units_number_parse, "", "does not begin with a number");
}

typedef void print_fn(char text[UNITS_TEXT_SIZE], uint64_t value);

static void prints(print_fn *print, uint64_t value, const char *expected)
{
	char text[UNITS_TEXT_SIZE];

	print(text, value);
	assert_string_equal(text, expected);
}

static void printed_in_the_largest_exact_unit(void **state)
{
	(void)state;
	prints(units_size_print, 0, "0");
	prints(units_size_print, 1, "1B");
	prints(units_size_print, 1023, "1023B");
	prints(units_size_print, 1024, "1KiB");
	prints(units_size_print, 1025, "1025B");
	prints(units_size_print, 1536 * 1024, "1536KiB");
	prints(units_size_print, UINT64_C(5) << 40, "5TiB");
	prints(units_size_print, UINT64_C(2048) << 40, "2048TiB");
	prints(units_size_print, UINT64_MAX, "18446744073709551615B");
	prints(units_duration_print, 0, "0");
	prints(units_duration_print, 1, "1ns");
	prints(units_duration_print, 50000, "50us");
	prints(units_duration_print, UINT64_C(90000000000), "90s");
	prints(units_duration_print, UINT64_C(120000000000), "2m");
	prints(units_duration_print, UINT64_C(86400000000000), "24h");
	prints(units_percent_print, 25, "25%");
	prints(units_percent_print, 0, "0");
}

static void reads_back(parse_fn *parse, print_fn *print, uint64_t value)
{
	char text[UNITS_TEXT_SIZE];

	print(text, value);
	accept(parse, text, value);
}

static void what_is_printed_reads_back(void **state)
{
	uint64_t value = 1;

	(void)state;
	for (int i = 0; i < 20000; i++) {
		value = value * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
		reads_back(units_size_parse, units_size_print, value >> (i % 64));
		reads_back(units_size_parse, units_size_print, (value >> 40) << (i % 40));
		reads_back(units_duration_parse, units_duration_print, value >> (i % 64));
		reads_back(units_duration_parse, units_duration_print,
			(value >> 44) * UINT64_C(1000000000));
		reads_back(units_percent_parse, units_percent_print, value >> (i % 64));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes_are_powers_of_1024),
		cmocka_unit_test(sizes_that_overflow_are_refused),
		cmocka_unit_test(unclear_sizes_are_refused_with_what_was_meant),
		cmocka_unit_test(nonsense_sizes_are_refused),
		cmocka_unit_test(durations_are_nanoseconds),
		cmocka_unit_test(unclear_durations_are_refused),
		cmocka_unit_test(percents_and_numbers),
		cmocka_unit_test(printed_in_the_largest_exact_unit),
		cmocka_unit_test(what_is_printed_reads_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
