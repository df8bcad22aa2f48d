/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each kind of damage and what --check says of it, word for word: a sane cache is spoilt in one
 * place, and exactly the findings that follow from that may come.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "clients/inspect/check.h"
#include "tests/clients/inspect/damages.h"

static void say(const struct findings *f, char *text, size_t size)
{
	size_t i, n = 0;

	text[0] = '\0';
	for (i = 0; i < f->n && n < size; i++)
		n += (size_t)snprintf(text + n, size - n, "%s: %s\n", f->list[i].code,
			f->list[i].text);
}

static void run(const struct damage *d, char *text, size_t size)
{
	struct check_counts counts;
	struct findings f = {0};
	char why[256] = "";
	struct made m;

	made_open(&m);
	d->spoil(&m);
	assert_int_equal(made_look(&m, why, sizeof(why)), 0);
	assert_int_equal(check_run(&m.image, &f, &counts), 0);
	say(&f, text, size);
	findings_deinit(&f);
	made_close(&m);
}

static void test_damages(void **state)
{
	char text[8192];
	size_t i;
	int n_wrong = 0;

	(void)state;
	for (i = 0; damages[i].name; i++) {
		run(&damages[i], text, sizeof(text));
		if (strcmp(text, damages[i].findings)) {
			fprintf(stderr, "%s: it says\n%s\nand should say\n%s\n", damages[i].name,
				text,
				damages[i].findings);
			n_wrong++;
		}
	}
	assert_int_equal(n_wrong, 0);
}

/* The counts in the last line: all of it was looked at. */
static void test_counts(void **state)
{
	struct check_counts c;
	struct findings f = {0};
	char why[256];
	struct made m;

	(void)state;
	made_open(&m);
	assert_int_equal(made_look(&m, why, sizeof(why)), 0);
	assert_int_equal(check_run(&m.image, &f, &c), 0);
	assert_int_equal(f.n, 0);
	assert_int_equal(c.n_buckets, MADE_BUCKETS);
	assert_int_equal(c.n_entries, 14);
	assert_int_equal(c.n_marked, 1);
	assert_int_equal(c.n_sessions, 1);
	assert_int_equal(c.n_lanes, MADE_LANES);
	assert_int_equal(c.n_holds, 3);
	assert_int_equal(c.tier[ABI_TIER_CXL].n_entries, 10);
	made_close(&m);
}

/* A state that there is, is no damage, and has a name. */
static void test_states(void **state)
{
	struct check_counts c;
	struct findings f = {0};
	char why[256];
	struct made m;
	uint32_t i;

	(void)state;
	for (i = ABI_STATE_STARTING; i <= ABI_STATE_DRAINING; i++) {
		made_open(&m);
		shared_u32_store(&m.plane->state, i);
		assert_int_equal(made_look(&m, why, sizeof(why)), 0);
		assert_int_equal(check_run(&m.image, &f, &c), 0);
		assert_int_equal(f.n, 0);
		assert_string_not_equal(image_state_name(i), "?");
		made_close(&m);
	}
	assert_string_equal(image_state_name(i), "?");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_damages),
		cmocka_unit_test(test_counts),
		cmocka_unit_test(test_states),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
