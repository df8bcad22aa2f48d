/* SPDX-License-Identifier: Apache-2.0 */
/* Unit of directory*.c: brokers of one process, whose messages go through a list, or get lost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "ipc/hash.h"
#include "shmcache/remote/peers/directory-table.h"
#include "shmcache/remote/peers/directory.h"

#define N_NODES 5
#define N_KEYS 400 /* that a node may have */
#define BATCH_MS 10

struct node {
	struct directory *d;
	struct membership *m;
	unsigned idx;
	bool is_there, is_deaf; /* deaf: its messages are not taken */
	bool has[N_KEYS];
	uint32_t generation[N_KEYS];
	unsigned n_asked; /* lookups that it sent */
};

static struct node node[N_NODES];
static uint64_t now_ms = 1000;
static bool is_mute; /* announcements are taken, and never arrive */

static XXH128_hash_t key_name(unsigned key)
{
	return XXH3_128bits(&key, sizeof(key));
}

static struct node *node_of(const struct node *at, uint16_t number)
{
	const struct member *member = membership_get(at->m, number);

	assert_non_null(member);
	return &node[member->name[1] - '0'];
}

static uint16_t number_of(const struct node *at, const struct node *other)
{
	char name[3] = {'n', (char)('0' + other->idx)};

	return membership_find(at->m, name);
}

/* --- messages --------------------------------------------------------------------------------- */

enum { ANNOUNCE, ASK, ANSWER };

struct message {
	struct message *next;
	int type;
	struct node *from, *to;
	uint64_t id;
	unsigned n;
	union {
		struct directory_record record[DIRECTORY_BATCH];
		XXH128_hash_t name[DIRECTORY_BATCH];
		struct directory_found found[DIRECTORY_BATCH];
	} u;
};

static struct message *first, **last = &first;

static bool post(struct node *from, uint16_t to, int type, uint64_t id, const void *what, size_t size,
	unsigned n)
{
	struct node *other = node_of(from, to);
	struct message *m;

	assert_in_range(n, 1, DIRECTORY_BATCH);
	if (from->is_deaf || !other->is_there || other->is_deaf)
		return false;
	if (is_mute && type == ANNOUNCE)
		return true;
	m = calloc(1, sizeof(*m));
	m->type = type;
	m->from = from;
	m->to = other;
	m->id = id;
	m->n = n;
	memcpy(&m->u, what, n * size);
	*last = m;
	last = &m->next;
	return true;
}

static bool post_announce(void *context, uint16_t to, const struct directory_record *r, unsigned n)
{
	return post(context, to, ANNOUNCE, 0, r, sizeof(*r), n);
}

static bool post_ask(void *context, uint16_t to, uint64_t id, const XXH128_hash_t *names, unsigned n)
{
	((struct node *)context)->n_asked++;
	return post(context, to, ASK, id, names, sizeof(*names), n);
}

static bool post_answer(void *context, uint16_t to, uint64_t id, const struct directory_found *f,
	unsigned n)
{
	return post(context, to, ANSWER, id, f, sizeof(*f), n);
}

/* Key @key of node @at; a node's cursor is the next key. */
static void post_walk(void *context, uint64_t *cursor, unsigned n)
{
	struct node *at = context;

	for (; n && *cursor < N_KEYS; n--, ++*cursor)
		if (at->has[*cursor])
			directory_held(at->d, key_name((unsigned)*cursor),
				at->generation[*cursor]);
	if (*cursor == N_KEYS)
		*cursor = 0;
}

static void deliver(struct message *m)
{
	uint16_t from;

	if (!m->to->is_there || !m->from->is_there)
		return;
	from = number_of(m->to, m->from);
	if (m->type == ANNOUNCE)
		directory_hear(m->to->d, from, m->u.record, m->n);
	else if (m->type == ASK)
		directory_asked(m->to->d, from, m->id, m->u.name, m->n);
	else
		directory_answered(m->to->d, from, m->id, m->u.found, m->n);
}

static void deliver_all(void)
{
	struct message *m;

	while ((m = first)) {
		first = m->next;
		if (!first)
			last = &first;
		deliver(m);
		free(m);
	}
}

/* @ms go by. */
static void pass(unsigned ms)
{
	uint64_t until = now_ms + ms;
	unsigned i;

	for (; now_ms < until; now_ms += 5) {
		for (i = 0; i < N_NODES; i++)
			if (node[i].is_there)
				(void)directory_tick(node[i].d, now_ms);
		deliver_all();
	}
}

/* --- nodes ------------------------------------------------------------------------------------ */

static void changed(void *context, struct membership *m, enum membership_event event, uint16_t number)
{
	struct node *at = context;

	(void)m;
	if (at->d)
		directory_changed(at->d, event, number);
}

/* Everybody there sees everybody there. */
static void agree(void)
{
	struct member list[N_NODES];
	unsigned n = 0, i;

	memset(list, 0, sizeof(list));
	for (i = 0; i < N_NODES; i++) {
		if (!node[i].is_there)
			continue;
		snprintf(list[n].name, sizeof(list[n].name), "n%u", i);
		strcpy(list[n++].endpoint, "127.0.0.1:1");
	}
	for (i = 0; i < N_NODES; i++)
		if (node[i].is_there)
			assert_int_equal(membership_set(node[i].m, list, n), 0);
}

static void node_start(unsigned i)
{
	static const struct directory_post posts = {post_announce, post_ask, post_answer, post_walk};
	struct directory_options options = {.post = &posts, .context = &node[i],
		.size_max = 1 << 20, .batch_ms = BATCH_MS, .walk_n = 100};
	char name[8];

	memset(&node[i], 0, sizeof(node[i]));
	node[i].idx = i;
	snprintf(name, sizeof(name), "n%u", i);
	assert_int_equal(membership_new(&node[i].m, name, changed, &node[i]), 0);
	options.members = node[i].m;
	assert_int_equal(directory_new(&node[i].d, &options), 0);
	node[i].is_there = true;
}

static void node_stop(unsigned i)
{
	node[i].is_there = false;
	directory_free(node[i].d);
	membership_free(node[i].m);
	node[i].d = NULL;
}

static void start_all(unsigned n)
{
	unsigned i;

	is_mute = false;
	for (i = 0; i < n; i++)
		node_start(i);
	agree();
	pass(100);
}

static void stop_all(void)
{
	unsigned i;

	for (i = 0; i < N_NODES; i++)
		if (node[i].is_there)
			node_stop(i);
	deliver_all();
}

static void store(unsigned i, unsigned key)
{
	node[i].has[key] = true;
	directory_held(node[i].d, key_name(key), ++node[i].generation[key]);
}

static void lose(unsigned i, unsigned key)
{
	node[i].has[key] = false;
	directory_gone(node[i].d, key_name(key), node[i].generation[key]);
}

/* --- queries ---------------------------------------------------------------------------------- */

struct question {
	struct directory_query q;
	struct node *at;
	XXH128_hash_t name[N_KEYS];
	unsigned n_done[N_KEYS], n_holders[N_KEYS];
	bool is_known[N_KEYS];
	unsigned holder[N_KEYS][DIRECTORY_HOLDERS]; /* places in node[] */
};

static struct question question;

static void answered(struct directory_query *q, unsigned i, const uint16_t *holders, unsigned n,
	bool is_known)
{
	struct question *asked = (struct question *)q;
	unsigned j;

	asked->n_done[i]++;
	asked->n_holders[i] = n;
	asked->is_known[i] = is_known;
	for (j = 0; j < n; j++)
		asked->holder[i][j] = node_of(asked->at, holders[j])->idx;
}

/* Who has keys 0 to @n? */
static void ask(unsigned i, unsigned n)
{
	unsigned key;

	memset(&question, 0, sizeof(question));
	for (key = 0; key < n; key++)
		question.name[key] = key_name(key);
	question.at = &node[i];
	question.q = (struct directory_query){.names = question.name, .n = n,
		.deadline_ms = now_ms + 50, .done = answered};
	directory_locate(node[i].d, &question.q);
}

static bool says(unsigned key, unsigned i)
{
	unsigned j;

	for (j = 0; j < question.n_holders[key]; j++)
		if (question.holder[key][j] == i)
			return true;
	return false;
}

/* What every node is told is what there is. */
static void assert_right(void)
{
	unsigned i, j, key;

	for (i = 0; i < N_NODES; i++) {
		if (!node[i].is_there)
			continue;
		ask(i, N_KEYS);
		deliver_all();
		for (key = 0; key < N_KEYS; key++) {
			assert_int_equal(question.n_done[key], 1);
			assert_true(question.is_known[key]);
			for (j = 0; j < N_NODES; j++)
				if (j != i && says(key, j) != (node[j].is_there && node[j].has[key]))
					fail_msg("node %u on key %u: node %u has it? %d", i, key, j,
						says(key, j));
		}
	}
}

/* --- tests ------------------------------------------------------------------------------------ */

static void test_told(void **state)
{
	unsigned key, before;

	(void)state;
	start_all(4);
	for (key = 0; key < N_KEYS; key += 2)
		store(key % 3, key);
	store(3, 0);
	pass(100);
	assert_right();
	/* Three others, each asked once for all of its names. */
	before = node[3].n_asked;
	ask(3, N_KEYS);
	deliver_all();
	assert_int_equal(node[3].n_asked - before, 3);
	for (key = 0; key < N_KEYS; key += 3)
		if (node[key % 3].has[key])
			lose(key % 3, key);
	pass(100);
	assert_right();
	stop_all();
}

/* A GONE of a record that has been replaced says nothing about the new one. */
static void test_generations(void **state)
{
	unsigned key;

	(void)state;
	start_all(3);
	for (key = 0; key < 50; key++) {
		store(0, key);
		store(0, key);
		directory_gone(node[0].d, key_name(key), 1);
	}
	pass(100);
	assert_right();
	stop_all();
}

/* Announcements wait for company, and no longer than they may. */
static void test_batches(void **state)
{
	struct directory_stats stats;
	unsigned key;

	(void)state;
	start_all(2);
	now_ms += 1000;
	(void)directory_tick(node[0].d, now_ms);
	for (key = 0; key < N_KEYS; key++)
		store(0, key);
	assert_null(first);
	assert_in_range(directory_tick(node[0].d, now_ms), 1, BATCH_MS);
	assert_null(first);
	now_ms += BATCH_MS;
	assert_int_equal(directory_tick(node[0].d, now_ms), -1);
	assert_non_null(first);
	assert_null(first->next);
	deliver_all();
	directory_stats(node[0].d, &stats);
	assert_in_range(stats.n_announced, N_KEYS / 3, N_KEYS);
	assert_right();
	stop_all();
}

static void test_members(void **state)
{
	unsigned key;

	(void)state;
	start_all(3);
	for (key = 0; key < N_KEYS; key++)
		store(key % 3, key);
	pass(100);
	/* A shard, and a third of what there is, are gone. */
	node_stop(1);
	agree();
	pass(200);
	assert_right();
	/* Two come, of which the one was there before and knows nothing. */
	node_start(1);
	node_start(3);
	agree();
	pass(200);
	assert_right();
	stop_all();
}

/* A link that is down, and up again: what it missed is told, what was void meanwhile is not. */
static void test_down(void **state)
{
	unsigned key;

	(void)state;
	start_all(3);
	for (key = 0; key < 200; key++)
		store(1, key);
	pass(100);
	node[0].is_deaf = true;
	directory_down(node[1].d, number_of(&node[1], &node[0]));
	for (key = 0; key < 100; key++)
		lose(1, key);
	for (key = 200; key < 300; key++)
		store(1, key);
	pass(100);
	node[0].is_deaf = false;
	directory_again(node[1].d, number_of(&node[1], &node[0]));
	pass(200);
	assert_right();
	stop_all();
}

/* Without a link that goes down: messages are not taken for a while. */
static void test_not_taken(void **state)
{
	unsigned key;

	(void)state;
	start_all(3);
	node[2].is_deaf = true;
	for (key = 0; key < N_KEYS; key++)
		store(2, key);
	pass(500);
	node[2].is_deaf = false;
	pass(2500);
	assert_right();
	stop_all();
}

/* Events were lost: what is gone is forgotten, what is there is told. And known all the time. */
static void test_lapped(void **state)
{
	unsigned key, i;

	(void)state;
	start_all(3);
	for (key = 0; key < N_KEYS; key++)
		store(0, key);
	pass(100);
	for (key = 0; key < N_KEYS; key += 2)
		node[0].has[key] = false;
	directory_again(node[0].d, MEMBER_NONE);
	for (i = 0; i < 20; i++) {
		pass(5);
		ask(1, N_KEYS);
		deliver_all();
		for (key = 1; key < N_KEYS; key += 2)
			assert_true(says(key, 0));
	}
	pass(100);
	assert_right();
	stop_all();
}

/* No answer, a wrong one, one from another, one too late: done once, and not known. */
static void test_unanswered(void **state)
{
	struct directory_found found[N_KEYS] = {{0}};
	unsigned key, n_unknown = 0;
	struct message *m;

	(void)state;
	start_all(2);
	ask(0, 100);
	assert_non_null(first);
	m = first;
	first = NULL;
	last = &first;
	directory_answered(node[0].d, 77, m->id, found, m->n);
	directory_answered(node[0].d, number_of(&node[0], &node[1]), m->id + 1, found, m->n);
	pass(45);
	for (key = 0; key < 100; key++)
		n_unknown += !question.n_done[key];
	assert_int_equal(n_unknown, m->n);
	pass(20);
	for (key = 0; key < 100; key++)
		assert_int_equal(question.n_done[key], 1);
	directory_answered(node[0].d, number_of(&node[0], &node[1]), m->id, found, m->n);
	for (key = 0; key < 100; key++)
		assert_int_equal(question.n_done[key], 1);
	free(m);
	/* Fewer than were asked for. */
	ask(0, 100);
	m = first;
	first = NULL;
	last = &first;
	directory_answered(node[0].d, number_of(&node[0], &node[1]), m->id, found, m->n - 1);
	for (key = n_unknown = 0; key < 100; key++) {
		assert_int_equal(question.n_done[key], 1);
		n_unknown += !question.is_known[key];
	}
	assert_int_equal(n_unknown, m->n);
	free(m);
	/* Forgotten, and the link down at once. */
	ask(0, 100);
	directory_forget(node[0].d, &question.q);
	memset(question.n_done, 0, sizeof(question.n_done));
	deliver_all();
	ask(0, 100);
	directory_down(node[0].d, number_of(&node[0], &node[1]));
	for (key = 0; key < 100; key++)
		assert_int_equal(question.n_done[key], 1);
	stop_all();
}

/* What strangers, or numbers that are nobody's, say is not heard. */
static void test_strangers(void **state)
{
	struct directory_record record = {key_name(1), 1, DIRECTORY_HELD};
	struct directory_stats stats;
	XXH128_hash_t name = key_name(1);

	(void)state;
	start_all(2);
	directory_hear(node[0].d, 200, &record, 1);
	directory_hear(node[0].d, MEMBER_NONE, &record, 1);
	directory_hear(node[0].d, DIRECTORY_SELF, &record, 1);
	directory_asked(node[0].d, 200, 1, &name, 1);
	directory_stats(node[0].d, &stats);
	assert_int_equal(stats.n_records, 0);
	assert_null(first);
	stop_all();
}

/* --- the table -------------------------------------------------------------------------------- */

#define TABLE_KEYS 3000
#define TABLE_HOLDERS 3

/* Against a plain array, by chance. */
static void test_table(void **state)
{
	static struct { uint32_t generation; bool is_there; } truth[TABLE_KEYS][TABLE_HOLDERS];
	uint16_t holders[8];
	struct directory_table t;
	unsigned i, key, holder, n, n_true;

	(void)state;
	printf("seed 7\n");
	srand(7);
	assert_int_equal(directory_table_init(&t, 1 << 20), 0);
	for (i = 0; i < 200000; i++) {
		key = (unsigned)rand() % TABLE_KEYS;
		holder = (unsigned)rand() % TABLE_HOLDERS;
		switch (rand() % 4) {
		case 0:
			directory_table_drop(&t, key_name(key), (uint16_t)holder,
				truth[key][holder].generation);
			truth[key][holder].is_there = false;
			break;
		case 1:
			if (rand() % 1000)
				break;
			directory_table_void(&t, (uint16_t)holder);
			for (key = 0; key < TABLE_KEYS; key++)
				truth[key][holder].is_there = false;
			break;
		default:
			directory_table_note(&t, key_name(key), (uint16_t)holder,
				++truth[key][holder].generation);
			truth[key][holder].is_there = true;
		}
		key = (unsigned)rand() % TABLE_KEYS;
		n = directory_table_find(&t, key_name(key), holders, 8);
		for (n_true = holder = 0; holder < TABLE_HOLDERS; holder++)
			n_true += truth[key][holder].is_there;
		assert_int_equal(n, n_true);
		while (n--)
			assert_true(truth[key][holders[n]].is_there);
	}
	assert_true(directory_table_size(&t) <= 1 << 20);
	directory_table_deinit(&t);
}

/* Full: the oldest make way, the newest are there, and it grows no more. */
static void test_table_full(void **state)
{
	struct directory_table t;
	unsigned i, n, n_max = (64U << 10) / 36;
	uint16_t holder;

	(void)state;
	assert_int_equal(directory_table_init(&t, (64 << 10) - 1), -22);
	assert_int_equal(directory_table_init(&t, 64 << 10), 0);
	for (i = 0; i < 20 * n_max; i++)
		directory_table_note(&t, key_name(i), 5, 1);
	assert_true(directory_table_size(&t) <= 64 << 10);
	for (n = 0, i = 20 * n_max - n_max / 2; i < 20 * n_max; i++)
		n += directory_table_find(&t, key_name(i), &holder, 1);
	assert_int_equal(n, n_max / 2);
	for (n = 0, i = 0; i < 10 * n_max; i++)
		n += directory_table_find(&t, key_name(i), &holder, 1);
	assert_int_equal(n, 0);
	directory_table_deinit(&t);
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
		cmocka_unit_test(test_unanswered),
		cmocka_unit_test(test_strangers),
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_table_full),
	};

	return cmocka_run_group_tests_name("directory", tests, NULL, NULL);
}
