/* SPDX-License-Identifier: Apache-2.0 */
/* membership.c: the table of members, and telling of what has changed in it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ipc/hash.h"
#include "ipc/wire.h"
#include "shmcache/remote/peers/membership.h"

/*
 * A list that a source sends is compared with the table by name, so that a member who is in both
 * keeps its number: a re-list after etcd was away, which brings the same members again, is no
 * change at all, and nobody's shard moves.
 *
 * Who left is told before who joined, so that a number is free in everybody's books before it is
 * given to another.
 */
struct membership {
	struct member *entry; /* MEMBERS_MAX */
	bool *is_used;
	uint16_t *all; /* numbers in use, ascending */
	unsigned n;
	uint64_t version;
	uint64_t self_hash;
	membership_changed_fn *changed;
	void *context;
	char self[CONFIG_NAME_MAX + 1];
};

uint64_t member_hash(const char *name)
{
	return hash_bytes(0, name, strlen(name));
}

int membership_new(struct membership **out, const char *self, membership_changed_fn *changed,
	void *context)
{
	struct membership *m;

	if (!wire_name_is_valid(self))
		return -EINVAL;
	m = calloc(1, sizeof(*m));
	if (!m)
		return -ENOMEM;
	m->entry = calloc(MEMBERS_MAX, sizeof(*m->entry));
	m->is_used = calloc(MEMBERS_MAX, sizeof(*m->is_used));
	m->all = calloc(MEMBERS_MAX, sizeof(*m->all));
	if (!m->entry || !m->is_used || !m->all) {
		membership_free(m);
		return -ENOMEM;
	}
	strcpy(m->self, self);
	m->self_hash = member_hash(self);
	m->changed = changed;
	m->context = context;
	*out = m;
	return 0;
}

void membership_free(struct membership *m)
{
	if (!m)
		return;
	free(m->entry);
	free(m->is_used);
	free(m->all);
	free(m);
}

/* --- looking ---------------------------------------------------------------------------------- */

const struct member *membership_get(const struct membership *m, uint16_t number)
{
	return number < MEMBERS_MAX && m->is_used[number] ? &m->entry[number] : NULL;
}

uint16_t membership_find(const struct membership *m, const char *name)
{
	unsigned i;

	for (i = 0; i < m->n; i++)
		if (!strcmp(m->entry[m->all[i]].name, name))
			return m->all[i];
	return MEMBER_NONE;
}

const uint16_t *membership_all(const struct membership *m, unsigned *n)
{
	*n = m->n;
	return m->all;
}

uint64_t membership_version(const struct membership *m)
{
	return m->version;
}

const char *membership_self(const struct membership *m)
{
	return m->self;
}

uint64_t membership_self_hash(const struct membership *m)
{
	return m->self_hash;
}

uint16_t membership_find_hash(const struct membership *m, uint64_t hash)
{
	unsigned i;

	for (i = 0; i < m->n; i++)
		if (m->entry[m->all[i]].hash == hash)
			return m->all[i];
	return MEMBER_NONE;
}

/* It may come from etcd, where whoever has a password can write: terminated, to begin with. */
bool membership_is_right(const struct member *member)
{
	struct sockaddr_storage address;

	return memchr(member->name, 0, sizeof(member->name)) &&
		memchr(member->endpoint, 0, sizeof(member->endpoint)) &&
		wire_name_is_valid(member->name) &&
		!config_endpoint(member->endpoint, &address, NULL);
}

/* --- changing --------------------------------------------------------------------------------- */

static void tell(struct membership *m, enum membership_event event, uint16_t number)
{
	if (m->changed)
		m->changed(m->context, m, event, number);
}

static void list_again(struct membership *m)
{
	uint16_t i;

	m->n = 0;
	for (i = 0; i < MEMBERS_MAX; i++)
		if (m->is_used[i])
			m->all[m->n++] = i;
	m->version++;
}

static void leave(struct membership *m, uint16_t number)
{
	tell(m, MEMBERSHIP_LEFT, number);
	m->is_used[number] = false;
	list_again(m);
}

static bool is_same(const struct member *a, const struct member *b)
{
	return !strcmp(a->endpoint, b->endpoint) && a->epoch == b->epoch;
}

/* 1: something changed; 0; -ENOSPC. */
static int enter(struct membership *m, const struct member *member)
{
	uint16_t number = membership_find(m, member->name);
	bool is_new = number == MEMBER_NONE;

	if (!is_new && is_same(&m->entry[number], member))
		return 0;
	if (is_new)
		for (number = 0; number < MEMBERS_MAX && m->is_used[number]; number++)
			;
	if (number == MEMBERS_MAX)
		return -ENOSPC;
	m->entry[number] = *member;
	m->entry[number].hash = member_hash(member->name);
	m->is_used[number] = true;
	list_again(m);
	tell(m, is_new ? MEMBERSHIP_JOINED : MEMBERSHIP_MOVED, number);
	return 1;
}

/* The first of a name counts; -1: none there. */
static int find_listed(const struct member *members, unsigned n, const char *name)
{
	unsigned i;

	for (i = 0; i < n; i++)
		if (!strcmp(members[i].name, name))
			return (int)i;
	return -1;
}

/* Those who are not in the list any more. Returns whether there were any. */
static bool leave_absent(struct membership *m, const struct member *members, unsigned n)
{
	bool has_changed = false;
	unsigned i = m->n;
	uint16_t number;

	/* From the end, as the list shrinks under us. */
	while (i--) {
		number = m->all[i];
		if (find_listed(members, n, m->entry[number].name) >= 0)
			continue;
		leave(m, number);
		has_changed = true;
	}
	return has_changed;
}

unsigned membership_set(struct membership *m, const struct member *members, unsigned n)
{
	struct member *right = calloc(n ? n : 1, sizeof(*right));
	unsigned i, n_right = 0, n_out = 0;
	bool has_changed;
	int r;

	/* No memory for the new view: the last one is kept. */
	if (!right)
		return n;
	for (i = 0; i < n; i++) {
		if (membership_is_right(&members[i]) && !strcmp(members[i].name, m->self))
			continue;
		if (membership_is_right(&members[i]) &&
			find_listed(right, n_right, members[i].name) < 0)
			right[n_right++] = members[i];
		else
			n_out++;
	}
	has_changed = leave_absent(m, right, n_right);
	for (i = 0; i < n_right; i++) {
		r = enter(m, &right[i]);
		has_changed |= r > 0;
		n_out += r < 0;
	}
	free(right);
	if (has_changed)
		tell(m, MEMBERSHIP_DONE, MEMBER_NONE);
	return n_out;
}

unsigned membership_set_list(struct membership *m, const char *list)
{
	struct member *members = calloc(MEMBERS_MAX, sizeof(*members));
	struct config_member listed;
	unsigned n = 0, n_out = 0;

	while (members && config_member_next(&list, &listed)) {
		if (n == MEMBERS_MAX) {
			n_out++;
			continue;
		}
		strcpy(members[n].name, listed.name);
		strcpy(members[n++].endpoint, listed.endpoint);
	}
	if (members)
		n_out += membership_set(m, members, n);
	free(members);
	return n_out;
}

int membership_add(struct membership *m, const struct member *member)
{
	int r;

	if (!membership_is_right(member))
		return -EINVAL;
	if (!strcmp(member->name, m->self))
		return 0;
	r = enter(m, member);
	if (r > 0)
		tell(m, MEMBERSHIP_DONE, MEMBER_NONE);
	return r < 0 ? r : 0;
}

int membership_drop(struct membership *m, const char *name)
{
	uint16_t number = membership_find(m, name);

	if (number == MEMBER_NONE)
		return -ENOENT;
	leave(m, number);
	tell(m, MEMBERSHIP_DONE, MEMBER_NONE);
	return 0;
}
