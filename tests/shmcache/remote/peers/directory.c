/* SPDX-License-Identifier: Apache-2.0 */
/* Unit of directory.c: what holders say arrives where it is asked for, whoever comes and goes. */
#include "shmcache/remote/peers/directory-table.h"
#include "tests/shmcache/remote/peers/directories.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct directories all;

static void test_told(void **state)
{
	unsigned key, before;

	(void)state;
	directories_start(&all, 4);
	for (key = 0; key < DIRECTORIES_KEYS; key += 2)
		directories_store(&all, key % 3, key);
	directories_store(&all, 3, 0);
	directories_pass(&all, 100);
	directories_check(&all);
	/* Three others, each asked once for all of its names. */
	before = all.node[3].n_asked;
	directories_ask(&all, 3, DIRECTORIES_KEYS);
	directories_deliver(&all);
	assert_int_equal(all.node[3].n_asked - before, 3);
	for (key = 0; key < DIRECTORIES_KEYS; key += 3)
		if (all.node[key % 3].has[key])
			directories_lose(&all, key % 3, key);
	directories_pass(&all, 100);
	directories_check(&all);
	directories_stop(&all);
}

/* A GONE of a record that has been replaced says nothing about the new one. */
static void test_generations(void **state)
{
	unsigned key;

	(void)state;
	directories_start(&all, 3);
	for (key = 0; key < 50; key++) {
		directories_store(&all, 0, key);
		directories_store(&all, 0, key);
		directory_gone(all.node[0].d, directories_name(key), 1);
	}
	directories_pass(&all, 100);
	directories_check(&all);
	directories_stop(&all);
}

/* Announcements wait for company, and no longer than they may. */
static void test_batches(void **state)
{
	struct directory_stats stats;
	unsigned key;

	(void)state;
	directories_start(&all, 2);
	all.now_ms += 1000;
	(void)directory_tick(all.node[0].d, all.now_ms);
	for (key = 0; key < DIRECTORIES_KEYS; key++)
		directories_store(&all, 0, key);
	assert_null(all.first);
	assert_in_range(directory_tick(all.node[0].d, all.now_ms), 1, DIRECTORIES_BATCH_MS);
	assert_null(all.first);
	all.now_ms += DIRECTORIES_BATCH_MS;
	assert_int_equal(directory_tick(all.node[0].d, all.now_ms), -1);
	assert_non_null(all.first);
	assert_null(all.first->next);
	directories_deliver(&all);
	directory_stats(all.node[0].d, &stats);
	assert_in_range(stats.n_announced, DIRECTORIES_KEYS / 3, DIRECTORIES_KEYS);
	directories_check(&all);
	directories_stop(&all);
}

static void test_members(void **state)
{
	unsigned key;

	(void)state;
	directories_start(&all, 3);
	for (key = 0; key < DIRECTORIES_KEYS; key++)
		directories_store(&all, key % 3, key);
	directories_pass(&all, 100);
	/* A shard, and a third of what there is, are gone. */
	directories_stop_node(&all, 1);
	directories_agree(&all);
	directories_pass(&all, 200);
	directories_check(&all);
	/* Two come, of which the one was there before and knows nothing. */
	directories_start_node(&all, 1);
	directories_start_node(&all, 3);
	directories_agree(&all);
	directories_pass(&all, 200);
	directories_check(&all);
	directories_stop(&all);
}

/* A link that is down, and up again: what it missed is told, what was void meanwhile is not. */
static void test_down(void **state)
{
	unsigned key;

	(void)state;
	directories_start(&all, 3);
	for (key = 0; key < 200; key++)
		directories_store(&all, 1, key);
	directories_pass(&all, 100);
	all.node[0].is_deaf = true;
	directory_down(all.node[1].d, directories_number(&all, 1, 0));
	for (key = 0; key < 100; key++)
		directories_lose(&all, 1, key);
	for (key = 200; key < 300; key++)
		directories_store(&all, 1, key);
	directories_pass(&all, 100);
	all.node[0].is_deaf = false;
	directory_again(all.node[1].d, directories_number(&all, 1, 0));
	directories_pass(&all, 200);
	directories_check(&all);
	directories_stop(&all);
}

/* Without a link that goes down: messages are not taken for a while. */
static void test_not_taken(void **state)
{
	unsigned key;

	(void)state;
	directories_start(&all, 3);
	all.node[2].is_deaf = true;
	for (key = 0; key < DIRECTORIES_KEYS; key++)
		directories_store(&all, 2, key);
	directories_pass(&all, 500);
	all.node[2].is_deaf = false;
	directories_pass(&all, 2500);
	directories_check(&all);
	directories_stop(&all);
}

/* Events were lost: what is gone is forgotten, what is there is told. And known all the time. */
static void test_lapped(void **state)
{
	unsigned key, i;

	(void)state;
	directories_start(&all, 3);
	for (key = 0; key < DIRECTORIES_KEYS; key++)
		directories_store(&all, 0, key);
	directories_pass(&all, 100);
	for (key = 0; key < DIRECTORIES_KEYS; key += 2)
		all.node[0].has[key] = false;
	directory_again(all.node[0].d, MEMBER_NONE);
	for (i = 0; i < 20; i++) {
		directories_pass(&all, 5);
		directories_ask(&all, 1, DIRECTORIES_KEYS);
		directories_deliver(&all);
		for (key = 1; key < DIRECTORIES_KEYS; key += 2)
			assert_true(directories_is_told(&all, key, 0));
	}
	directories_pass(&all, 100);
	directories_check(&all);
	directories_stop(&all);
}

/* What strangers, or numbers that are nobody's, say is not heard. */
static void test_strangers(void **state)
{
	struct directory_record record = {directories_name(1), 1, DIRECTORY_HELD};
	struct directory_stats stats;
	XXH128_hash_t name = directories_name(1);

	(void)state;
	directories_start(&all, 2);
	directory_hear(all.node[0].d, 200, &record, 1);
	directory_hear(all.node[0].d, MEMBER_NONE, &record, 1);
	directory_hear(all.node[0].d, DIRECTORY_SELF, &record, 1);
	directory_asked(all.node[0].d, 200, 1, &name, 1);
	directory_stats(all.node[0].d, &stats);
	assert_int_equal(stats.n_records, 0);
	assert_null(all.first);
	directories_stop(&all);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_told),
		cmocka_unit_test(test_generations),
		cmocka_unit_test(test_batches),
		cmocka_unit_test(test_members),
		cmocka_unit_test(test_down),
		cmocka_unit_test(test_not_taken),
		cmocka_unit_test(test_lapped),
		cmocka_unit_test(test_strangers),
	};

	return cmocka_run_group_tests_name("directory", tests, NULL, NULL);
}
