/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a value may be, as a sentence made from the row. The complaint about a bad value and the
 * comment in the example file say the same because they are the same.
 */
#include "shmcache/config/keys.h"

#include "shmcache/config/units.h"

#include <inttypes.h>
#include <string.h>

bool key_may_be_empty(const struct key *key)
{
	return key->zero &&
		(key->type == KEY_NAME || key->type == KEY_PATH || key->type == KEY_ADDRESS ||
			key->type == KEY_ENDPOINT || key->type == KEY_MEMBERS ||
			key->type == KEY_URLS || key->type == KEY_CPUS);
}

/* "a, b or c" */
static void print_choices(const struct key *key, char text[KEY_RANGE_SIZE])
{
	size_t len = 0;

	for (unsigned i = 0; key->choices[i]; i++) {
		const char *comma = i == 0 ? "" : key->choices[i + 1] ? ", " : " or ";

		len += (size_t)snprintf(text + len, KEY_RANGE_SIZE - len, "%s%s", comma,
			key->choices[i]);
	}
}

static void print_limits(const struct key *key, char text[KEY_RANGE_SIZE])
{
	char min[UNITS_TEXT_SIZE], max[UNITS_TEXT_SIZE];

	if (key->type == KEY_SIZE) {
		units_size_print(min, (uint64_t)key->min);
		units_size_print(max, (uint64_t)key->max);
	} else if (key->type == KEY_DURATION) {
		units_duration_print(min, (uint64_t)key->min);
		units_duration_print(max, (uint64_t)key->max);
	} else if (key->type == KEY_PERCENT) {
		units_percent_print(min, (uint64_t)key->min);
		units_percent_print(max, (uint64_t)key->max);
	} else {
		snprintf(min, sizeof(min), "%" PRId64, key->min);
		snprintf(max, sizeof(max), "%" PRId64, key->max);
	}
	snprintf(text, KEY_RANGE_SIZE, "%s%s to %s", key->power_of_two ? "a power of two, " : "",
		min, max);
}

void key_range_print(const struct key *key, char text[KEY_RANGE_SIZE])
{
	size_t len;

	switch (key->type) {
	case KEY_NAME:
		snprintf(text, KEY_RANGE_SIZE, "at most %" PRId64 " letters, digits, _ and -",
			key->max);
		break;
	case KEY_PATH:
		snprintf(text, KEY_RANGE_SIZE,
			"an absolute path without blanks, at most %" PRId64 " bytes", key->max);
		break;
	case KEY_ADDRESS:
		strcpy(text, "a port, an address and a port such as 127.0.0.1:9113 or [::1]:9113, "
			     "or an absolute path");
		break;
	case KEY_ENDPOINT:
		strcpy(text, "a port, or a numeric address and a port such as 10.0.0.1:7400 or "
			     "[fd00::1]:7400");
		break;
	case KEY_MEMBERS:
		snprintf(text, KEY_RANGE_SIZE, "NAME=ADDRESS:PORT with commas between, addresses "
			"numeric, at most %" PRId64 " bytes", key->max);
		break;
	case KEY_URLS:
		snprintf(text, KEY_RANGE_SIZE,
			"http:// or https:// URLs with commas between, at most %" PRId64 " bytes",
			key->max);
		break;
	case KEY_BOOL:
		strcpy(text, "on or off");
		break;
	case KEY_CHOICE:
		print_choices(key, text);
		break;
	case KEY_CPUS:
		snprintf(text, KEY_RANGE_SIZE, "a list such as 0-3,8, of CPUs below %d",
			CPU_SETSIZE);
		break;
	default:
		print_limits(key, text);
	}
	len = strlen(text);
	if (key->zero)
		snprintf(text + len, KEY_RANGE_SIZE - len, ", or %s: %s",
			key_may_be_empty(key) ? "empty" : "0", key->zero);
}
