/* SPDX-License-Identifier: Apache-2.0 */
/* docs.c - the example, the manual page and the guide say what the table of keys says. */
#include "tests/shmcache/config/support.h"

#include "shmcache/config/keys.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { DOCUMENT_SIZE = 1 << 17 };

static const char *docs; /* the folder, from the command line */

static void read_document(const char *name, char text[DOCUMENT_SIZE])
{
	char path[4096];
	size_t n;
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", docs, name);
	f = fopen(path, "r");
	if (!f)
		fail_msg("%s: missing", path);
	n = fread(text, 1, DOCUMENT_SIZE - 1, f);
	fclose(f);
	assert_in_range(n, 1, DOCUMENT_SIZE - 2);
	text[n] = '\0';
}

static void example_is_the_defaults(void **state)
{
	static struct config_errors errs;
	static struct config example;
	struct config defaults;
	char path[4096];

	(void)state;
	snprintf(path, sizeof(path), "%s/shmcached.conf", docs);
	config_init(&example);
	config_init(&defaults);
	assert_int_equal(config_load(&example, path, &errs), 0);
	assert_true(config_equal(&example, &defaults));
	for (unsigned i = 0; i < n_keys; i++)
		if (!example.set_at[i])
			fail_msg("%s.%s is missing", keys[i].section, keys[i].name);
}

static void example_is_what_the_table_prints(void **state)
{
	static char document[DOCUMENT_SIZE];
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	(void)state;
	assert_non_null(f);
	assert_int_equal(config_print_defaults(f), 0);
	fclose(f);
	read_document("shmcached.conf", document);
	assert_string_equal(document, text);
	free(text);
}

/* Takes the escapes out of a manual page and makes its lines one paragraph. */
static void flatten(char *text)
{
	char *to = text;

	for (; *text; text++)
		if (*text != '\\' || text[1] != '-')
			*to++ = *text == '\n' ? ' ' : *text;
	*to = '\0';
}

/* Finds text behind *at and moves *at behind it. */
static void expect_next(const char **at, const char *text, const char *where)
{
	const char *found = strstr(*at, text);

	if (!found)
		fail_msg("%s: not found, or not in its place: %s", where, text);
	*at = found + strlen(text);
}

static void manual_page_has_every_key(void **state)
{
	static char document[DOCUMENT_SIZE];
	char range[KEY_RANGE_SIZE], text[1024];
	const char *at = document;

	(void)state;
	read_document("man/shmcached.conf.5", document);
	flatten(document);
	for (const struct key *k = keys; k < keys + n_keys; k++) {
		if (k == keys || strcmp(k->section, k[-1].section)) {
			snprintf(text, sizeof(text), ".SS [%s] ", k->section);
			expect_next(&at, text, "man page");
		}
		key_range_print(k, range);
		snprintf(text, sizeof(text), ".TP .B %s =%s%s %s Allowed: %s. ", k->name,
			*k->value ? " " : "", k->value, k->help, range);
		expect_next(&at, text, "man page");
		if (!strcmp(k->section, "access") && !strcmp(k->name, "other"))
			expect_next(&at, ".BI uid. N", "man page");
	}
}

static void guide_has_every_key(void **state)
{
	static char document[DOCUMENT_SIZE];
	char range[KEY_RANGE_SIZE], text[1024];
	const char *at = document;

	(void)state;
	read_document("configuration.md", document);
	for (const struct key *k = keys; k < keys + n_keys; k++) {
		if (k == keys || strcmp(k->section, k[-1].section)) {
			snprintf(text, sizeof(text), "\n### [%s]\n", k->section);
			expect_next(&at, text, "guide");
		}
		key_range_print(k, range);
		snprintf(text, sizeof(text), "\n| `%s` | %s%s%s | %s | %s |", k->name,
			*k->value ? "`" : "(empty)", k->value, *k->value ? "`" : "", range,
			k->help);
		expect_next(&at, text, "guide");
	}
}

/* The keys that a reload changes are listed, in the table's order, and no others. */
static void guide_says_what_a_reload_changes(void **state)
{
	static const struct {
		enum config_change change;
		const char *begin, *end;
	} lists[] = {
		{CONFIG_CHANGE_AT_ONCE, "\n- At once: ", "."},
		{CONFIG_CHANGE_NEXT_SESSION, "\n- For sessions from then on: ",
			", and the rules of `[access]`."},
	};
	static char document[DOCUMENT_SIZE], text[4096];
	const char *at = document;
	size_t n;

	(void)state;
	read_document("configuration.md", document);
	for (unsigned i = 0; i < 2; i++) {
		n = (size_t)snprintf(text, sizeof(text), "%s", lists[i].begin);
		for (const struct key *k = keys; k < keys + n_keys; k++)
			if (k->change == lists[i].change)
				n += (size_t)snprintf(text + n, sizeof(text) - n, "%s`%s.%s`",
					text[n - 1] == ' ' ? "" : ", ", k->section, k->name);
		snprintf(text + n, sizeof(text) - n, "%s", lists[i].end);
		expect_next(&at, text, "guide");
	}
}

/* The complaints that the guide shows are those that the code makes. */
static void guide_shows_real_complaints(void **state)
{
	static const char file[] =
		"[cache]\nname = kv0\n[dram]\nsize = 8GB\n\n\n\n[broker]\nwokers = 2\n\n"
		"workers = 4\ncpus = 0-1\n";
	static char document[DOCUMENT_SIZE];
	static struct config_errors errs;
	static struct config c;
	char shown[CONFIG_ERROR_SIZE + 8];

	(void)state;
	read_document("configuration.md", document);
	assert_true(load_bytes(&c, file, sizeof(file) - 1, &errs) < 0);
	assert_int_equal(errs.n, 3);
	for (unsigned i = 0; i < errs.n; i++) {
		snprintf(shown, sizeof(shown), "\nkv0%s\n", errs.at[i].text + 1);
		if (!strstr(document, shown))
			fail_msg("guide: not found: %s", shown);
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(example_is_the_defaults),
		cmocka_unit_test(example_is_what_the_table_prints),
		cmocka_unit_test(manual_page_has_every_key),
		cmocka_unit_test(guide_has_every_key),
		cmocka_unit_test(guide_says_what_a_reload_changes),
		cmocka_unit_test(guide_shows_real_complaints),
	};

	if (argc != 2) {
		fprintf(stderr, "usage: %s DOCS\n", argv[0]);
		return 1;
	}
	docs = argv[1];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
