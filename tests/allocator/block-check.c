/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Unit of allocator/block-check.c: every lie in the books is found.
 *
 * The other units lean on block_check() after each step, which is worth nothing
 * if it is blind. So each field is spoiled here behind the allocator's back, one
 * at a time, and the check has to object, with a sentence, and to be content
 * again once the field is put right.
 */
#include "allocator/block-private.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

/* Free, used, free, used, used, free; one spare node; ids by position. */
struct books {
	struct block_allocator *a;
	uint32_t ids[6];
	uint32_t spare;
};

static int books_setup(void **state)
{
	static struct books b;
	uint32_t blocks[7], i;

	assert_int_equal(block_allocator_new(&b.a, 65536), 0);
	for (i = 0; i < 7; i++)
		assert_int_equal(block_alloc(b.a, 6400, 0, 40 + i, &blocks[i]), 0);
	block_free(b.a, blocks[0]);
	block_free(b.a, blocks[2]);
	block_free(b.a, blocks[6]);	/* joins with the rest */
	block_free(b.a, blocks[5]);	/* and this; that leaves spare nodes */
	assert_int_not_equal(b.a->spare, 0);
	b.spare = b.a->spare;
	b.ids[0] = block_first(b.a);
	for (i = 1; i < 6; i++)
		b.ids[i] = block_next(b.a, b.ids[i - 1]);
	assert_int_equal(block_next(b.a, b.ids[5]), 0);
	assert_int_equal(block_check(b.a, NULL, 0), 0);
	*state = &b;
	return 0;
}

static int books_teardown(void **state)
{
	struct books *b = *state;

	block_allocator_free(b->a);
	return 0;
}

/* The check has to object to each of the lies in place of the word's truth. */
static void lies_are_found(const struct block_allocator *a, uint32_t *word,
		const uint32_t *lies, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		uint32_t truth = *word, lie = lies[i];
		char why[256] = "";

		if (lie == truth)
			continue;
		*word = lie;
		if (block_check(a, why, sizeof(why)) != -EUCLEAN)
			fail_msg("%u in place of %u is believed", lie, truth);
		assert_int_not_equal(strlen(why), 0);
		*word = truth;
		assert_int_equal(block_check(a, NULL, 0), 0);
	}
}

#define LIES(a, word, ...)                                                        \
	lies_are_found(a, word, (const uint32_t[]){ __VA_ARGS__ },            \
		sizeof((const uint32_t[]){ __VA_ARGS__ }) / sizeof(uint32_t))

static void test_neighbours(void **state)
{
	struct books *b = *state;
	struct block_node *nodes = b->a->nodes;
	int i;

	for (i = 0; i < 6; i++) {
		struct block_node *n = &nodes[b->ids[i]];

		LIES(b->a, &n->prev, 0, b->ids[i], b->ids[5], UINT32_MAX);
		LIES(b->a, &n->next, 0, b->ids[i], b->ids[0], b->a->n_nodes, b->spare,
			UINT32_MAX);
		LIES(b->a, &n->off, 1023, 1024, UINT32_MAX);
	}
	LIES(b->a, &nodes[b->ids[0]].off, 1);
	LIES(b->a, &nodes[b->ids[2]].off, 0, 1, nodes[b->ids[1]].off);
	LIES(b->a, &b->a->last, 0, b->ids[0], b->ids[4]);
}

static void test_states(void **state)
{
	struct books *b = *state;
	struct block_node *nodes = b->a->nodes;
	int i;

	for (i = 0; i < 6; i++) {
		struct block_node *n = &nodes[b->ids[i]];

		LIES(b->a, &n->mark, 0, b->ids[0], b->ids[3], MARK_SPARE, MARK_USED);
		if (!node_is_used(n))
			LIES(b->a, &n->list_prev, 0, b->ids[1], b->ids[5], UINT32_MAX);
		else
			LIES(b->a, &n->owner, 0);
	}
}

static void test_lists(void **state)
{
	struct books *b = *state;
	unsigned int class;

	for (class = 0; class < CLASS_COUNT; class++)
		LIES(b->a, &b->a->heads[class], 0, b->ids[0], b->ids[1], b->ids[5], b->spare,
			UINT32_MAX);
	for (class = 0; class < CLASS_COUNT; class++) {
		uint32_t *bits = &b->a->sl_bits[class / SL_COUNT];

		LIES(b->a, bits, *bits ^ 1u << class % SL_COUNT);
	}
	for (class = 0; class < FL_COUNT; class++)
		LIES(b->a, &b->a->fl_bits, b->a->fl_bits ^ 1u << class);
}

static void test_totals(void **state)
{
	struct books *b = *state;
	struct block_allocator *a = b->a;

	uint64_t *const totals[] = { &a->n_used, &a->n_free, &a->used_units };
	size_t i;

	for (i = 0; i < sizeof(totals) / sizeof(totals[0]); i++) {
		uint64_t truth = *totals[i];

		*totals[i] = truth + 1;
		assert_int_equal(block_check(a, NULL, 0), -EUCLEAN);
		*totals[i] = truth - 1;
		assert_int_equal(block_check(a, NULL, 0), -EUCLEAN);
		*totals[i] = truth;
		assert_int_equal(block_check(a, NULL, 0), 0);
	}
}

static void test_spare(void **state)
{
	struct books *b = *state;
	struct block_allocator *a = b->a;

	LIES(a, &a->spare, 0, b->ids[0], b->ids[1], a->n_nodes, UINT32_MAX);
	LIES(a, &a->nodes[b->spare].mark, 0, MARK_USED);
	LIES(a, &a->nodes[b->spare].next, b->spare, b->ids[1], UINT32_MAX);
	LIES(a, &a->n_nodes, a->n_nodes + 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_neighbours, books_setup, books_teardown),
		cmocka_unit_test_setup_teardown(test_states, books_setup, books_teardown),
		cmocka_unit_test_setup_teardown(test_lists, books_setup, books_teardown),
		cmocka_unit_test_setup_teardown(test_totals, books_setup, books_teardown),
		cmocka_unit_test_setup_teardown(test_spare, books_setup, books_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
