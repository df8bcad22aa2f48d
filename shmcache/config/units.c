/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A configuration that says `8G` means eight of something, and whoever wrote it may be off by
 * seven per cent and never know. So a unit has exactly one spelling and one meaning; near misses
 * are refused with the spelling that was likely meant, because a refusal costs a second and a
 * wrong guess costs an outage. Fractions are refused too: 1.5GiB has an exact spelling, 1536MiB,
 * while 0.1GiB has none.
 */
#include "shmcache/config/units.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

struct unit {
	const char *name;
	uint64_t factor;
	const char *misspelt; /* what people write for it, each between blanks, lower case */
};

struct measure {
	const struct unit *units; /* ascending, by factor; the last has no name */
	const char *names;
	const char *bare;      /* what to say of a number without a unit; NULL: it is fine */
	const char *ambiguity; /* what is wrong with a misspelt unit */
};

#define KIB UINT64_C(1024)
#define SEC UINT64_C(1000000000)

static const struct unit size_units[] = {
	{"B", 1, " b byte bytes "},
	{"KiB", KIB, " k kb ki kib "},
	{"MiB", KIB * KIB, " m mb mi mib "},
	{"GiB", KIB * KIB * KIB, " g gb gi gib "},
	{"TiB", KIB * KIB * KIB * KIB, " t tb ti tib "},
	{NULL, 0, NULL},
};

static const struct unit duration_units[] = {
	{"ns", 1, " nsec nsecs nanoseconds "},
	{"us", SEC / 1000000, " usec usecs microseconds \xc2\xb5s \xce\xbcs "},
	{"ms", SEC / 1000, " msec msecs millis milliseconds "},
	{"s", SEC, " sec secs second seconds "},
	{"m", 60 * SEC, " min mins minute minutes "},
	{"h", 3600 * SEC, " hr hrs hour hours "},
	{NULL, 0, NULL},
};

static const struct unit percent_units[] = {
	{"%", 1, " percent pct "},
	{NULL, 0, NULL},
};

static const struct measure size_measure = {
	.units = size_units,
	.names = "B, KiB, MiB, GiB or TiB",
	.ambiguity = "units are powers of 1024 and spelt one way only",
};

static const struct measure duration_measure = {
	.units = duration_units,
	.names = "ns, us, ms, s, m or h",
	.bare = "has no unit",
	.ambiguity = "units are spelt one way only",
};

static const struct measure percent_measure = {
	.units = percent_units,
	.names = "%",
	.bare = "has no unit",
	.ambiguity = "units are spelt one way only",
};

__attribute__((format(printf, 2, 3))) static int refuse(char why[UNITS_WHY_SIZE],
		const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(why, UNITS_WHY_SIZE, format, args);
	va_end(args);
	return -EINVAL;
}

/* The digits at the head of text; *r_rest is what follows them. */
static int parse_digits(const char *text, uint64_t *r_number, const char **r_rest,
		char why[UNITS_WHY_SIZE])
{
	uint64_t number = 0;
	const char *p = text;

	for (; *p >= '0' && *p <= '9'; p++)
		if (__builtin_mul_overflow(number, 10, &number) ||
				__builtin_add_overflow(number, (uint64_t)(*p - '0'), &number))
			return refuse(why, "is more than 64 bits hold");
	if (p == text && *p == '-')
		return refuse(why, "is negative");
	if (p == text)
		return refuse(why, "does not begin with a number");
	if (*p == '.' || *p == ',')
		return refuse(why, "is not a whole number; use a smaller unit");
	*r_number = number;
	*r_rest = p;
	return 0;
}

static bool is_misspelt(const struct unit *unit, const char *text)
{
	char word[24];
	int n = snprintf(word, sizeof(word), " %s ", text);

	return n > 2 && (size_t)n < sizeof(word) && strcasestr(unit->misspelt, word);
}

/* Says what to write instead of a unit that does not exist. */
static int refuse_unit(const struct measure *m, uint64_t number, const char *text,
		char why[UNITS_WHY_SIZE])
{
	const char *word = text + strspn(text, " \t");
	size_t n_letters = 0;

	for (const struct unit *u = m->units; u->name; u++) {
		if (word != text && !strcmp(u->name, word))
			return refuse(why, "has a blank before its unit; write %" PRIu64 "%s",
				number, u->name);
		if (!strcasecmp(u->name, word) || is_misspelt(u, word))
			return refuse(why, "has an unclear unit (%s); write %" PRIu64 "%s",
				m->ambiguity, number, u->name);
	}
	while (isalpha((unsigned char)word[n_letters]))
		n_letters++;
	if (n_letters == 0 || word[n_letters] || n_letters > 16)
		return refuse(why, "has no known unit; use %s", m->names);
	return refuse(why, "has the unknown unit %s; use %s", word, m->names);
}

static int parse(const struct measure *m, const char *text, uint64_t *r_value,
		char why[UNITS_WHY_SIZE])
{
	const char *rest = NULL;
	uint64_t number = 0;
	int r = parse_digits(text, &number, &rest, why);

	if (r < 0)
		return r;
	if (*rest == '\0') {
		if (m->bare && number)
			return refuse(why, "%s; use %s", m->bare, m->names);
		*r_value = number;
		return 0;
	}
	for (const struct unit *u = m->units; u->name; u++) {
		if (strcmp(u->name, rest))
			continue;
		if (__builtin_mul_overflow(number, u->factor, &number))
			return refuse(why, "is more than 64 bits hold");
		*r_value = number;
		return 0;
	}
	return refuse_unit(m, number, rest, why);
}

int units_size_parse(const char *text, uint64_t *r_size, char why[UNITS_WHY_SIZE])
{
	return parse(&size_measure, text, r_size, why);
}

int units_duration_parse(const char *text, uint64_t *r_ns, char why[UNITS_WHY_SIZE])
{
	return parse(&duration_measure, text, r_ns, why);
}

int units_percent_parse(const char *text, uint64_t *r_percent, char why[UNITS_WHY_SIZE])
{
	return parse(&percent_measure, text, r_percent, why);
}

int units_number_parse(const char *text, uint64_t *r_number, char why[UNITS_WHY_SIZE])
{
	const char *rest = NULL;
	uint64_t number = 0;
	int r = parse_digits(text, &number, &rest, why);

	if (r < 0)
		return r;
	if (*rest)
		return refuse(why, "is not a plain number");
	*r_number = number;
	return 0;
}

static void print(const struct unit *units, char text[UNITS_TEXT_SIZE], uint64_t value)
{
	const struct unit *u = units;

	while (value && u[1].name && value % u[1].factor == 0)
		u++;
	snprintf(text, UNITS_TEXT_SIZE, "%" PRIu64 "%s", value / u->factor, value ? u->name : "");
}

void units_size_print(char text[UNITS_TEXT_SIZE], uint64_t size)
{
	print(size_units, text, size);
}

void units_duration_print(char text[UNITS_TEXT_SIZE], uint64_t ns)
{
	print(duration_units, text, ns);
}

void units_percent_print(char text[UNITS_TEXT_SIZE], uint64_t percent)
{
	print(percent_units, text, percent);
}
