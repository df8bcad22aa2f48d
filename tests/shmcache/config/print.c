/* SPDX-License-Identifier: Apache-2.0 */
/* print.c - what is printed reads back as the same configuration. */
#include "tests/shmcache/config/support.h"

#include "shmcache/config/keys.h"

#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char *printed(const struct config *c)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	assert_non_null(f);
	assert_int_equal(config_print(c, f), 0);
	fclose(f);
	return text;
}

static void expect_round_trip(const struct config *c)
{
	static struct config again;
	char *text = printed(c), *text_again;

	load_good(&again, text);
	assert_true(config_equal(c, &again));
	text_again = printed(&again);
	assert_string_equal(text, text_again);
	free(text_again);
	free(text);
}

static void defaults_read_back(void **state)
{
	struct config c;

	(void)state;
	config_init(&c);
	expect_round_trip(&c);
}

static void form_is_as_promised(void **state)
{
	static struct config c;
	char *text;

	(void)state;
	load_good(&c, "[access]\ngid.5 = reader\nuser.root = none\n[dram]\nsize=2097153\n");
	text = printed(&c);
	assert_ptr_equal(strstr(text, "[cache]\nname = shmcache\npersist = on\nsocket =\n\n[dram]\n"
				      "size = 2MiB\nnode = -1\n"), text);
	assert_non_null(strstr(text, "\n\n[access]\nowner = writer\nother = none\ngid.5 = reader\n"
				     "user.root = none\n\n[remote]\nlisten =\n"));
	assert_non_null(strstr(text, "\n\n[metrics]\nlisten =\n\n[log]\nlevel = info\n"));
	free(text);
	expect_round_trip(&c);
}

/* A value of the key by some number; most are legal. */
static void write_value(const struct key *k, uint32_t random, char text[64])
{
	int64_t span = k->max - k->min + 1;
	unsigned n = 0;

	switch (k->type) {
	case KEY_NAME:
		snprintf(text, 64, "n%u-_Z", random);
		break;
	case KEY_PATH:
		snprintf(text, 64, "/run/;#[=]%u\xc3\xa9", random);
		break;
	case KEY_ADDRESS:
		snprintf(text, 64, random & 1 ? "127.0.0.%u:%u" : "[::%x]:%u", random % 256,
			random % 65535 + 1);
		break;
	case KEY_ENDPOINT:
		snprintf(text, 64, "10.0.0.%u:%u", random % 256, random % 65535 + 1);
		break;
	case KEY_MEMBERS:
		snprintf(text, 64, "n%u=[::%x]:7400, m=10.0.0.%u:7", random % 99, random % 65536,
			random % 256);
		break;
	case KEY_URLS: /* seldom: it contradicts members */
		text[0] = '\0';
		if (random % 8 == 0)
			snprintf(text, 64, "http://n%u:1, https://x", random);
		break;
	case KEY_BOOL:
		strcpy(text, random & 1 ? "yes" : "no");
		break;
	case KEY_CHOICE:
		while (k->choices[n])
			n++;
		strcpy(text, k->choices[random % n]);
		break;
	case KEY_CPUS:
		snprintf(text, 64, "%u-%u,%u,%u", random % 500, random % 500 + random % 7,
			random % 1000, random % 1001);
		break;
	default:
		if (k->power_of_two)
			snprintf(text, 64, "%" PRId64, k->min << (random % 6));
		else
			snprintf(text, 64, "%" PRId64 "%s",
				k->min + (int64_t)(random * UINT64_C(2654435761) % (uint64_t)span),
				k->type == KEY_DURATION ? "ns" : k->type == KEY_PERCENT ? "%" : "");
	}
}

static void random_configurations_read_back(void **state)
{
	static struct config_errors errs;
	unsigned n_tried = 0;
	uint32_t random = 7;
	struct config c;
	char key[64], value[64];

	(void)state;
	for (int i = 0; i < 1000; i++) {
		config_init(&c);
		for (const struct key *k = keys; k < keys + n_keys; k++) {
			random = random * 1664525u + 1013904223u;
			write_value(k, random >> 8, value);
			snprintf(key, sizeof(key), "%s.%s", k->section, k->name);
			if (config_set(&c, key, value, &errs) < 0)
				fail_msg("%s", errs.at[0].text);
		}
		for (unsigned rule = 0; rule < random >> 28; rule++) {
			snprintf(key, sizeof(key), "access.%s.%u", rule & 1 ? "uid" : "gid",
				random / (rule + 2));
			config_set(&c, key, config_role_name(rule % 4), &errs);
		}
		assert_int_equal(errs.n, 0);
		if (config_check(&c, &errs) == 0) {
			expect_round_trip(&c);
			n_tried++;
		}
		memset(&errs, 0, sizeof(errs));
	}
	assert_true(n_tried > 50);
}

static void any_difference_is_seen(void **state)
{
	static struct config_errors errs;
	struct config a, b;
	char key[64], value[64];

	(void)state;
	config_init(&a);
	for (const struct key *k = keys; k < keys + n_keys; k++) {
		snprintf(key, sizeof(key), "%s.%s", k->section, k->name);
		for (uint32_t i = 1; i < 20; i++) {
			char text[2][KEY_VALUE_SIZE];

			b = a;
			write_value(k, i, value);
			assert_int_equal(config_set(&b, key, value, &errs), 0);
			key_print(k, &a, text[0]);
			key_print(k, &b, text[1]);
			assert_int_equal(config_equal(&a, &b), !strcmp(text[0], text[1]));
			if (strcmp(text[0], text[1]))
				break;
			assert_int_not_equal(i, 19);
		}
	}
	b = a;
	assert_int_equal(config_set(&b, "access.uid.1", "reader", &errs), 0);
	assert_false(config_equal(&a, &b));
	a = b;
	assert_true(config_equal(&a, &b));
	assert_int_equal(config_set(&b, "access.uid.1", "writer", &errs), 0);
	assert_false(config_equal(&a, &b));
}

static void full_disk_is_told(void **state)
{
	FILE *f = fopen("/dev/full", "w");
	struct config c;

	(void)state;
	assert_non_null(f);
	config_init(&c);
	assert_int_equal(config_print(&c, f), -ENOSPC);
	assert_int_equal(config_print_defaults(f), -ENOSPC);
	fclose(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults_read_back),
		cmocka_unit_test(form_is_as_promised),
		cmocka_unit_test(random_configurations_read_back),
		cmocka_unit_test(any_difference_is_seen),
		cmocka_unit_test(full_disk_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
