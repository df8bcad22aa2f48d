/* SPDX-License-Identifier: Apache-2.0 */
/* membership.h: which brokers there are: one view, whoever it comes from. */
#ifndef SHMCACHE_REMOTE_PEERS_MEMBERSHIP_H
#define SHMCACHE_REMOTE_PEERS_MEMBERSHIP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shmcache/config/config.h"

/*
 * The view is private data of the remote thread: no locks, and nothing here blocks. A source fills
 * it: the list in the configuration, once, or etcd, again and again (etcd.h). A source that is away
 * changes nothing: the last view is kept.
 *
 * A member is known by its name. Its number is a place in a table: small, for this broker alone (no
 * two brokers need have the same), and its own until it leaves. It may go to another member after,
 * and so may be kept across calls only by who hears of changes.
 */
#define MEMBERS_MAX 256 /* as REMOTE_HOLDERS_MAX: a member's number is a holder's */
#define MEMBER_NONE UINT16_MAX

struct member {
	char name[CONFIG_NAME_MAX + 1];	    /* as wire_name_is_valid() wants it */
	char endpoint[CONFIG_PATH_MAX + 1]; /* as config_endpoint() takes it */
	/*
	 * Of its broker, another one at each start; 0: the source does not tell. Where it changes,
	 * what was known of what that member holds is void.
	 */
	uint64_t epoch;
	uint64_t hash; /* member_hash() of the name; filled in by the view */
};

/* The same at all brokers: names a member on the wire, and is what rendezvous.h weighs. */
uint64_t member_hash(const char *name);

enum membership_event {
	MEMBERSHIP_JOINED, /* @number is a member's now */
	MEMBERSHIP_LEFT,   /* is told before its number may be another's; the entry can be read still */
	MEMBERSHIP_MOVED,  /* same name, another address or epoch; the entry is the new one */
	MEMBERSHIP_DONE,   /* all of one change has been told: @number is MEMBER_NONE */
};

struct membership;

/* Called from within membership_set(), _add() and _drop(), and must call none of them. */
typedef void membership_changed_fn(void *context, struct membership *m,
	enum membership_event event, uint16_t number);

/*
 * An empty view. @self is the name of this broker, which is never among the members. 0, -EINVAL (no
 * name that a member may have) or -ENOMEM.
 */
int membership_new(struct membership **m, const char *self, membership_changed_fn *changed,
	void *context);
void membership_free(struct membership *m);

/*
 * The view is these now. Entries that are wrong (see membership_is_right()), doubles of one name
 * but the first, and what is beyond MEMBERS_MAX are left out. Returns how many were left out. This
 * broker's own entry is no error, and no member.
 */
unsigned membership_set(struct membership *m, const struct member *members, unsigned n);

/* One joins, or moves; one leaves. -EINVAL, -ENOSPC; -ENOENT: no such member. */
int membership_add(struct membership *m, const struct member *member);
int membership_drop(struct membership *m, const char *name);

/* Of a member: NULL where @number is none's. */
const struct member *membership_get(const struct membership *m, uint16_t number);
/* MEMBER_NONE where there is no such member. */
uint16_t membership_find(const struct membership *m, const char *name);
/* All numbers in use, ascending; for as long as nothing changes. */
const uint16_t *membership_all(const struct membership *m, unsigned *n);
/* One more at each change: to see that there was one. */
uint64_t membership_version(const struct membership *m);
const char *membership_self(const struct membership *m);
uint64_t membership_self_hash(const struct membership *m);

/* MEMBER_NONE where there is no such member; this broker is none either. */
uint16_t membership_find_hash(const struct membership *m, uint64_t hash);

/* Is it a name and an endpoint that a member may have? */
bool membership_is_right(const struct member *member);

/* membership_set() to what [remote] members says. Returns how many were left out. */
unsigned membership_set_list(struct membership *m, const char *list);

#endif
