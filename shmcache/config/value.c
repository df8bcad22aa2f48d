/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One value: from text into its field, and back. Each type has one parser and one printer, and
 * they are inverse to each other: what is printed is canonical, so that two fields are equal
 * exactly when their texts are, and it fits one line of a file, because it is never longer than
 * the text that was read. Text that could not be written back unharmed (a blank in a path, where
 * a semicolon behind it begins a comment) is refused when it is read.
 */
#include "shmcache/config/keys.h"

#include "shmcache/config/units.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static void *field_of(const struct key *key, struct config *c)
{
	return (char *)c + key->offset;
}

static const void *field_of_const(const struct key *key, const struct config *c)
{
	return (const char *)c + key->offset;
}

/* The complaint about a value: what is wrong with it, and what may stand there. */
__attribute__((format(printf, 3, 4))) static int refuse(const struct key *key,
		char why[KEY_WHY_SIZE], const char *format, ...)
{
	char range[KEY_RANGE_SIZE], what[UNITS_WHY_SIZE];
	va_list args;

	key_range_print(key, range);
	va_start(args, format);
	vsnprintf(what, sizeof(what), format, args);
	va_end(args);
	snprintf(why, KEY_WHY_SIZE, "%s; allowed: %s", what, range);
	return -EINVAL;
}

static bool is_name_char(char ch)
{
	return (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || (ch >= '0' && ch <= '9') ||
		ch == '_' || ch == '-';
}

static int parse_name(const struct key *key, const char *text, void *field,
		char why[KEY_WHY_SIZE])
{
	size_t len = strlen(text);

	if (len > (size_t)key->max)
		return refuse(key, why, "is too long");
	for (size_t i = 0; i < len; i++)
		if (!is_name_char(text[i]))
			return refuse(key, why, "has a character that is not allowed");
	memcpy(field, text, len + 1);
	return 0;
}

static int parse_path(const struct key *key, const char *text, void *field,
		char why[KEY_WHY_SIZE])
{
	size_t len = strlen(text);

	if (len > (size_t)key->max)
		return refuse(key, why, "is too long");
	if (len && text[0] != '/')
		return refuse(key, why, "does not begin with /");
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)text[i] <= ' ' || text[i] == 0x7f)
			return refuse(key, why, "has a blank or a control character");
	memcpy(field, text, len + 1);
	return 0;
}

static int parse_endpoint(const struct key *key, const char *text, void *field,
		char why[KEY_WHY_SIZE])
{
	const char *wrong = endpoint_check(text);

	if (wrong && *text)
		return refuse(key, why, "%s", wrong);
	memcpy(field, text, strlen(text) + 1);
	return 0;
}

static int parse_address(const struct key *key, const char *text, void *field,
		char why[KEY_WHY_SIZE])
{
	if (!text[0] || text[0] == '/')
		return parse_path(key, text, field, why);
	return parse_endpoint(key, text, field, why);
}

static int parse_list(const struct key *key, const char *text, void *field,
		char why[KEY_WHY_SIZE])
{
	char list[CONFIG_LIST_MAX + 1];
	const char *wrong;

	if (strlen(text) > (size_t)key->max)
		return refuse(key, why, "is too long");
	wrong = key->type == KEY_MEMBERS ? members_parse(text, list) : urls_parse(text, list);
	if (wrong)
		return refuse(key, why, "%s", wrong);
	memcpy(field, list, strlen(list) + 1);
	return 0;
}

static void print_text(const struct key *key, const void *field, char text[KEY_VALUE_SIZE])
{
	(void)key;
	snprintf(text, KEY_VALUE_SIZE, "%s", (const char *)field);
}

static int parse_bool(const struct key *key, const char *text, void *field,
		char why[KEY_WHY_SIZE])
{
	static const char *const yes[] = {"on", "yes", "true"};
	static const char *const no[] = {"off", "no", "false"};

	for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++) {
		if (!strcmp(text, yes[i]) || !strcmp(text, no[i])) {
			*(bool *)field = !strcmp(text, yes[i]);
			return 0;
		}
	}
	return refuse(key, why, "is neither on nor off");
}

static void print_bool(const struct key *key, const void *field, char text[KEY_VALUE_SIZE])
{
	(void)key;
	strcpy(text, *(const bool *)field ? "on" : "off");
}

static int parse_choice(const struct key *key, const char *text, void *field,
		char why[KEY_WHY_SIZE])
{
	for (unsigned i = 0; key->choices[i]; i++) {
		if (!strcmp(text, key->choices[i])) {
			memcpy(field, &i, sizeof(i));
			return 0;
		}
	}
	return refuse(key, why, "is no choice here");
}

static void print_choice(const struct key *key, const void *field, char text[KEY_VALUE_SIZE])
{
	unsigned i;

	memcpy(&i, field, sizeof(i));
	strcpy(text, key->choices[i]);
}

/* Rounds a number as its key wants it and checks its limits. */
static int number_fit(const struct key *key, uint64_t *number, char why[KEY_WHY_SIZE])
{
	if (*number == 0 && key->zero)
		return 0;
	if (*number > (uint64_t)key->max)
		return refuse(key, why, "is too large");
	if (*number < (uint64_t)key->min)
		return refuse(key, why, "is too small");
	if (key->power_of_two && (*number & (*number - 1)))
		return refuse(key, why, "is not a power of two");
	if (key->multiple)
		*number -= *number % key->multiple;
	return 0;
}

typedef int parse_fn(const char *text, uint64_t *number, char why[UNITS_WHY_SIZE]);

/* A number of some unit, as its key wants it. */
static int parse_number(const struct key *key, parse_fn *parse, const char *text,
		uint64_t *number, char why[KEY_WHY_SIZE])
{
	char what[UNITS_WHY_SIZE];

	if (parse(text, number, what) < 0)
		return refuse(key, why, "%s", what);
	return number_fit(key, number, why);
}

static int parse_unsigned(const struct key *key, const char *text, void *field,
		char why[KEY_WHY_SIZE])
{
	parse_fn *parse = key->type == KEY_PERCENT ? units_percent_parse : units_number_parse;
	uint64_t number = 0;
	int r = parse_number(key, parse, text, &number, why);

	if (!r)
		*(unsigned *)field = (unsigned)number;
	return r;
}

static void print_unsigned(const struct key *key, const void *field, char text[KEY_VALUE_SIZE])
{
	if (key->type == KEY_PERCENT)
		units_percent_print(text, *(const unsigned *)field);
	else
		sprintf(text, "%u", *(const unsigned *)field);
}

static int parse_int(const struct key *key, const char *text, void *field,
		char why[KEY_WHY_SIZE])
{
	bool is_negative = text[0] == '-';
	char what[UNITS_WHY_SIZE];
	uint64_t number = 0;
	int64_t value;

	if (units_number_parse(text + is_negative, &number, what) < 0)
		return refuse(key, why, "%s", what);
	if (number > INT32_MAX)
		return refuse(key, why, "is out of range");
	value = is_negative ? -(int64_t)number : (int64_t)number;
	if (value < key->min || value > key->max)
		return refuse(key, why, "is out of range");
	*(int *)field = (int)value;
	return 0;
}

static void print_int(const struct key *key, const void *field, char text[KEY_VALUE_SIZE])
{
	(void)key;
	sprintf(text, "%d", *(const int *)field);
}

static int parse_measure(const struct key *key, const char *text, void *field,
		char why[KEY_WHY_SIZE])
{
	parse_fn *parse = key->type == KEY_SIZE ? units_size_parse : units_duration_parse;
	uint64_t number = 0;
	int r = parse_number(key, parse, text, &number, why);

	if (!r)
		*(uint64_t *)field = number;
	return r;
}

static void print_measure(const struct key *key, const void *field, char text[KEY_VALUE_SIZE])
{
	uint64_t number = *(const uint64_t *)field;

	if (key->type == KEY_SIZE)
		units_size_print(text, number);
	else
		units_duration_print(text, number);
}

/* One CPU number at *text; moves *text behind it. */
static bool scan_cpu(const char **text, unsigned *r_cpu)
{
	unsigned cpu = 0;
	const char *p = *text;

	for (; *p >= '0' && *p <= '9' && cpu < CPU_SETSIZE; p++)
		cpu = cpu * 10 + (unsigned)(*p - '0');
	if (p == *text || cpu >= CPU_SETSIZE)
		return false;
	*text = p;
	*r_cpu = cpu;
	return true;
}

static int parse_cpus(const struct key *key, const char *text, void *field,
		char why[KEY_WHY_SIZE])
{
	unsigned first = 0, last = 0;
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	for (const char *p = text; *p; p += *p == ',') {
		if (!scan_cpu(&p, &first))
			return refuse(key, why, "is no list of CPUs");
		last = first;
		if (*p == '-') {
			p++;
			if (!scan_cpu(&p, &last) || last < first)
				return refuse(key, why, "has a range that is none");
		}
		if (*p && (*p != ',' || !p[1]))
			return refuse(key, why, "is no list of CPUs");
		for (unsigned cpu = first; cpu <= last; cpu++)
			CPU_SET(cpu, &cpus);
	}
	memcpy(field, &cpus, sizeof(cpus));
	return 0;
}

static void print_cpus(const struct key *key, const void *field, char text[KEY_VALUE_SIZE])
{
	const cpu_set_t *cpus = field;
	size_t len = 0;

	(void)key;
	text[0] = '\0';
	for (unsigned first = 0, end; first < CPU_SETSIZE && len < KEY_VALUE_SIZE; first = end + 1) {
		for (end = first; end < CPU_SETSIZE && CPU_ISSET(end, cpus); end++)
			;
		if (end == first)
			continue;
		len += (size_t)snprintf(text + len, KEY_VALUE_SIZE - len, "%s%u", len ? "," : "",
			first);
		if (end - first > 1 && len < KEY_VALUE_SIZE)
			len += (size_t)snprintf(text + len, KEY_VALUE_SIZE - len, "-%u", end - 1);
	}
}

static const struct {
	int (*parse)(const struct key *key, const char *text, void *field, char *why);
	void (*print)(const struct key *key, const void *field, char *text);
} types[] = {
	[KEY_NAME] = {parse_name, print_text},
	[KEY_PATH] = {parse_path, print_text},
	[KEY_ADDRESS] = {parse_address, print_text},
	[KEY_ENDPOINT] = {parse_endpoint, print_text},
	[KEY_MEMBERS] = {parse_list, print_text},
	[KEY_URLS] = {parse_list, print_text},
	[KEY_BOOL] = {parse_bool, print_bool},
	[KEY_CHOICE] = {parse_choice, print_choice},
	[KEY_COUNT] = {parse_unsigned, print_unsigned},
	[KEY_INT] = {parse_int, print_int},
	[KEY_SIZE] = {parse_measure, print_measure},
	[KEY_DURATION] = {parse_measure, print_measure},
	[KEY_PERCENT] = {parse_unsigned, print_unsigned},
	[KEY_CPUS] = {parse_cpus, print_cpus},
};

int key_parse(const struct key *key, const char *text, struct config *c, char why[KEY_WHY_SIZE])
{
	if (!*text && !key_may_be_empty(key))
		return refuse(key, why, "is empty");
	return types[key->type].parse(key, text, field_of(key, c), why);
}

void key_print(const struct key *key, const struct config *c, char text[KEY_VALUE_SIZE])
{
	types[key->type].print(key, field_of_const(key, c), text);
}
