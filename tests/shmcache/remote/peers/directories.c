/* SPDX-License-Identifier: Apache-2.0 */
/* directories.c: see directories.h. */
#include "tests/shmcache/remote/peers/directories.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

XXH128_hash_t directories_name(unsigned key)
{
	return XXH3_128bits(&key, sizeof(key));
}

static struct node *node_of(const struct node *at, uint16_t number)
{
	const struct member *member = membership_get(at->m, number);

	assert_non_null(member);
	return &at->all->node[member->name[1] - '0'];
}

uint16_t directories_number(struct directories *all, unsigned at, unsigned i)
{
	char name[3] = {'n', (char)('0' + i)};

	return membership_find(all->node[at].m, name);
}

/* --- messages --------------------------------------------------------------------------------- */

static bool post(struct node *from, uint16_t to, int type, uint64_t id, const void *what,
	size_t size, unsigned n)
{
	struct node *other = node_of(from, to);
	struct message *m;

	assert_in_range(n, 1, DIRECTORY_BATCH);
	if (from->is_deaf || !other->is_there || other->is_deaf)
		return false;
	m = calloc(1, sizeof(*m));
	m->type = type;
	m->from = from;
	m->to = other;
	m->id = id;
	m->n = n;
	memcpy(&m->u, what, n * size);
	*from->all->last = m;
	from->all->last = &m->next;
	return true;
}

static bool post_announce(void *context, uint16_t to, const struct directory_record *r, unsigned n)
{
	return post(context, to, MESSAGE_ANNOUNCE, 0, r, sizeof(*r), n);
}

static bool post_ask(void *context, uint16_t to, uint64_t id, const XXH128_hash_t *names,
	unsigned n)
{
	((struct node *)context)->n_asked++;
	return post(context, to, MESSAGE_ASK, id, names, sizeof(*names), n);
}

static bool post_answer(void *context, uint16_t to, uint64_t id, const struct directory_found *f,
	unsigned n)
{
	return post(context, to, MESSAGE_ANSWER, id, f, sizeof(*f), n);
}

/* Key @key of node @at; a node's cursor is the next key. */
static void post_walk(void *context, uint64_t *cursor, unsigned n)
{
	struct node *at = context;

	for (; n && *cursor < DIRECTORIES_KEYS; n--, ++*cursor)
		if (at->has[*cursor])
			directory_held(at->d, directories_name((unsigned)*cursor),
				at->generation[*cursor]);
	if (*cursor == DIRECTORIES_KEYS)
		*cursor = 0;
}

static void deliver(struct message *m)
{
	uint16_t from;

	if (!m->to->is_there || !m->from->is_there)
		return;
	from = directories_number(m->to->all, m->to->idx, m->from->idx);
	if (m->type == MESSAGE_ANNOUNCE)
		directory_hear(m->to->d, from, m->u.record, m->n);
	else if (m->type == MESSAGE_ASK)
		directory_asked(m->to->d, from, m->id, m->u.name, m->n);
	else
		directory_answered(m->to->d, from, m->id, m->u.found, m->n);
}

void directories_deliver(struct directories *all)
{
	struct message *m;

	while ((m = all->first)) {
		all->first = m->next;
		if (!all->first)
			all->last = &all->first;
		deliver(m);
		free(m);
	}
}

struct message *directories_catch(struct directories *all)
{
	struct message *m = all->first;

	assert_non_null(m);
	assert_null(m->next);
	all->first = NULL;
	all->last = &all->first;
	return m;
}

void directories_pass(struct directories *all, unsigned ms)
{
	uint64_t until = all->now_ms + ms;
	unsigned i;

	for (; all->now_ms < until; all->now_ms += 5) {
		for (i = 0; i < DIRECTORIES_MAX; i++)
			if (all->node[i].is_there)
				(void)directory_tick(all->node[i].d, all->now_ms);
		directories_deliver(all);
	}
}

/* --- nodes ------------------------------------------------------------------------------------ */

static void changed(void *context, struct membership *m, enum membership_event event,
	uint16_t number)
{
	struct node *at = context;

	(void)m;
	if (at->d)
		directory_changed(at->d, event, number);
}

void directories_agree(struct directories *all)
{
	struct member list[DIRECTORIES_MAX];
	unsigned n = 0, i;

	memset(list, 0, sizeof(list));
	for (i = 0; i < DIRECTORIES_MAX; i++) {
		if (!all->node[i].is_there)
			continue;
		snprintf(list[n].name, sizeof(list[n].name), "n%u", i);
		strcpy(list[n++].endpoint, "127.0.0.1:1");
	}
	for (i = 0; i < DIRECTORIES_MAX; i++)
		if (all->node[i].is_there)
			assert_int_equal(membership_set(all->node[i].m, list, n), 0);
}

void directories_start_node(struct directories *all, unsigned i)
{
	static const struct directory_post posts = {post_announce, post_ask, post_answer, post_walk};
	struct node *at = &all->node[i];
	struct directory_options options = {.post = &posts, .context = at,
		.size_max = 1 << 20, .batch_ms = DIRECTORIES_BATCH_MS, .walk_n = 100};
	char name[8];

	memset(at, 0, sizeof(*at));
	at->all = all;
	at->idx = i;
	snprintf(name, sizeof(name), "n%u", i);
	assert_int_equal(membership_new(&at->m, name, changed, at), 0);
	options.members = at->m;
	assert_int_equal(directory_new(&at->d, &options), 0);
	at->is_there = true;
}

void directories_stop_node(struct directories *all, unsigned i)
{
	all->node[i].is_there = false;
	directory_free(all->node[i].d);
	membership_free(all->node[i].m);
	all->node[i].d = NULL;
}

void directories_start(struct directories *all, unsigned n)
{
	unsigned i;

	memset(all, 0, sizeof(*all));
	all->last = &all->first;
	all->now_ms = 1000;
	for (i = 0; i < n; i++)
		directories_start_node(all, i);
	directories_agree(all);
	directories_pass(all, 100);
}

void directories_stop(struct directories *all)
{
	unsigned i;

	for (i = 0; i < DIRECTORIES_MAX; i++)
		if (all->node[i].is_there)
			directories_stop_node(all, i);
	directories_deliver(all);
}

void directories_store(struct directories *all, unsigned i, unsigned key)
{
	all->node[i].has[key] = true;
	directory_held(all->node[i].d, directories_name(key), ++all->node[i].generation[key]);
}

void directories_lose(struct directories *all, unsigned i, unsigned key)
{
	all->node[i].has[key] = false;
	directory_gone(all->node[i].d, directories_name(key), all->node[i].generation[key]);
}

/* --- queries ---------------------------------------------------------------------------------- */

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

void directories_ask(struct directories *all, unsigned i, unsigned n)
{
	unsigned key;

	memset(&all->question, 0, sizeof(all->question));
	for (key = 0; key < n; key++)
		all->question.name[key] = directories_name(key);
	all->question.at = &all->node[i];
	all->question.q = (struct directory_query){.names = all->question.name, .n = n,
		.deadline_ms = all->now_ms + 50, .done = answered};
	directory_locate(all->node[i].d, &all->question.q);
}

bool directories_is_told(const struct directories *all, unsigned key, unsigned holder)
{
	unsigned j;

	for (j = 0; j < all->question.n_holders[key]; j++)
		if (all->question.holder[key][j] == holder)
			return true;
	return false;
}

void directories_check(struct directories *all)
{
	struct node *other;
	unsigned i, j, key;

	for (i = 0; i < DIRECTORIES_MAX; i++) {
		if (!all->node[i].is_there)
			continue;
		directories_ask(all, i, DIRECTORIES_KEYS);
		directories_deliver(all);
		for (key = 0; key < DIRECTORIES_KEYS; key++) {
			assert_int_equal(all->question.n_done[key], 1);
			assert_true(all->question.is_known[key]);
			for (j = 0; j < DIRECTORIES_MAX; j++) {
				other = &all->node[j];
				if (j == i || directories_is_told(all, key, j) ==
						(other->is_there && other->has[key]))
					continue;
				fail_msg("node %u on key %u: node %u has it? %d", i, key, j,
					directories_is_told(all, key, j));
			}
		}
	}
}
