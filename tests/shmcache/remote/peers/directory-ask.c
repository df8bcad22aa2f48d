/* SPDX-License-Identifier: Apache-2.0 */
/* Unit of directory-ask.c: lookups that nobody answers, or somebody else, or wrongly. */
#include "tests/shmcache/remote/peers/directories.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct directories all;

/* No answer, a wrong one, one from another, one too late: done once, and not known. */
static void test_unanswered(void **state)
{
	struct directory_found found[DIRECTORIES_KEYS] = {{0}};
	unsigned key, n_unknown = 0;
	struct message *m;

	(void)state;
	directories_start(&all, 2);
	directories_ask(&all, 0, 100);
	m = directories_catch(&all);
	directory_answered(all.node[0].d, 77, m->id, found, m->n);
	directory_answered(all.node[0].d, directories_number(&all, 0, 1), m->id + 1, found, m->n);
	directories_pass(&all, 45);
	for (key = 0; key < 100; key++)
		n_unknown += !all.question.n_done[key];
	assert_int_equal(n_unknown, m->n);
	directories_pass(&all, 20);
	for (key = 0; key < 100; key++)
		assert_int_equal(all.question.n_done[key], 1);
	directory_answered(all.node[0].d, directories_number(&all, 0, 1), m->id, found, m->n);
	for (key = 0; key < 100; key++)
		assert_int_equal(all.question.n_done[key], 1);
	free(m);
	/* Fewer than were asked for. */
	directories_ask(&all, 0, 100);
	m = directories_catch(&all);
	directory_answered(all.node[0].d, directories_number(&all, 0, 1), m->id, found, m->n - 1);
	for (key = n_unknown = 0; key < 100; key++) {
		assert_int_equal(all.question.n_done[key], 1);
		n_unknown += !all.question.is_known[key];
	}
	assert_int_equal(n_unknown, m->n);
	free(m);
	/* Forgotten, and the link down at once. */
	directories_ask(&all, 0, 100);
	directory_forget(all.node[0].d, &all.question.q);
	memset(all.question.n_done, 0, sizeof(all.question.n_done));
	directories_deliver(&all);
	directories_ask(&all, 0, 100);
	directory_down(all.node[0].d, directories_number(&all, 0, 1));
	for (key = 0; key < 100; key++)
		assert_int_equal(all.question.n_done[key], 1);
	directories_stop(&all);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_unanswered),
	};

	return cmocka_run_group_tests_name("directory-ask", tests, NULL, NULL);
}
