/* SPDX-License-Identifier: Apache-2.0 */
/*
 * units.c: numbers, sizes and times as people write them.
 *
 * strtoull() takes "-1" for 2^64-1, " 7" for 7 and "08" for 0 with rest "8". None of these
 * is what a person meant, so digits are read here, and every step of the arithmetic is
 * checked: 20000000TiB is too large and not something small.
 */
#include "clients/cli/units.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct unit {
	const char *name;
	uint64_t factor;
};

static const struct unit duration_units[] = {
	{ "ms", 1 },
	{ "s", 1000 },
	{ "m", 60 * 1000 },
	{ "h", 60 * 60 * 1000 },
	{ "d", 24 * 60 * 60 * 1000 },
	{ NULL, 0 },
};

static const struct unit size_units[] = {
	{ "", 1 },
	{ "B", 1 },
	{ "KiB", UINT64_C(1) << 10 },
	{ "MiB", UINT64_C(1) << 20 },
	{ "GiB", UINT64_C(1) << 30 },
	{ "TiB", UINT64_C(1) << 40 },
	{ NULL, 0 },
};

static int digit_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return 16;
}

/* Read digits at *s, leave *s behind them. */
static int digits_parse(const char **s, unsigned base, uint64_t *number)
{
	const char *p = *s;
	uint64_t n = 0;

	for (; (unsigned)digit_value(*p) < base; p++)
		if (__builtin_mul_overflow(n, base, &n) ||
			__builtin_add_overflow(n, digit_value(*p), &n))
			return -ERANGE;
	if (p == *s)
		return -EINVAL;
	*s = p;
	*number = n;
	return 0;
}

int units_number_parse(const char *s, uint64_t max, uint64_t *number)
{
	unsigned base = 10;
	uint64_t n;
	int r;

	if (s[0] == '0' && (s[1] == 'x' || s[1] == 'X')) {
		base = 16;
		s += 2;
	}
	r = digits_parse(&s, base, &n);
	if (r)
		return r;
	if (*s)
		return -EINVAL;
	if (n > max)
		return -ERANGE;
	*number = n;
	return 0;
}

static int scaled_parse(const char *s, const struct unit *units, uint64_t *number)
{
	uint64_t n;
	int r = digits_parse(&s, 10, &n);

	if (r)
		return r;
	for (; units->name; units++) {
		if (strcmp(s, units->name))
			continue;
		if (__builtin_mul_overflow(n, units->factor, &n))
			return -ERANGE;
		*number = n;
		return 0;
	}
	return -EINVAL;
}

int units_duration_parse(const char *s, uint64_t *ms)
{
	if (!strcmp(s, "0")) {
		*ms = 0;
		return 0;
	}
	return scaled_parse(s, duration_units, ms);
}

int units_size_parse(const char *s, uint64_t *size)
{
	return scaled_parse(s, size_units, size);
}

const char *units_size_format(char text[UNITS_TEXT_SIZE], uint64_t size)
{
	static const char *const names[] = { "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	double scaled = (double)size;
	int i = 0;

	if (size < 1024) {
		snprintf(text, UNITS_TEXT_SIZE, "%u B", (unsigned)size);
		return text;
	}
	/* 1023.95 would be printed as 1024.0 of the smaller unit */
	for (scaled /= 1024; scaled >= 1023.95 && i < 5; i++)
		scaled /= 1024;
	snprintf(text, UNITS_TEXT_SIZE, "%.1f %s", scaled, names[i]);
	return text;
}

const char *units_duration_format(char text[UNITS_TEXT_SIZE], uint64_t ms)
{
	unsigned long long s = ms / 1000;

	if (ms < 1000)
		snprintf(text, UNITS_TEXT_SIZE, "%u ms", (unsigned)ms);
	else if (s < 60)
		snprintf(text, UNITS_TEXT_SIZE, "%llu.%u s", s, (unsigned)(ms % 1000 / 100));
	else if (s < 60 * 60)
		snprintf(text, UNITS_TEXT_SIZE, "%llum%02llus", s / 60, s % 60);
	else if (s < 24 * 60 * 60)
		snprintf(text, UNITS_TEXT_SIZE, "%lluh%02llum", s / 3600, s / 60 % 60);
	else
		snprintf(text, UNITS_TEXT_SIZE, "%llud%02lluh", s / 86400, s / 3600 % 24);
	return text;
}

const char *units_ns_format(char text[UNITS_TEXT_SIZE], uint64_t ns)
{
	if (ns < 1000)
		snprintf(text, UNITS_TEXT_SIZE, "%u ns", (unsigned)ns);
	else if (ns < 1000 * 1000)
		snprintf(text, UNITS_TEXT_SIZE, "%.1f us", (double)ns / 1e3);
	else if (ns < 1000 * 1000 * 1000)
		snprintf(text, UNITS_TEXT_SIZE, "%.1f ms", (double)ns / 1e6);
	else
		snprintf(text, UNITS_TEXT_SIZE, "%.1f s", (double)ns / 1e9);
	return text;
}
