/* SPDX-License-Identifier: Apache-2.0 */
/*
 * etcd-message.h: the bodies of etcd's JSON gateway: base64 in strings, 64-bit numbers as strings.
 */
#ifndef SHMCACHE_REMOTE_PEERS_ETCD_MESSAGE_H
#define SHMCACHE_REMOTE_PEERS_ETCD_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shmcache/remote/peers/etcd.h"

/*
 * @directory is the cluster's, with a slash at its end: below it are members/NAME and settings/KEY.
 */

/* --- what is asked: strings that the caller frees, NULL: no memory ---------------------------- */

char *etcd_say_authenticate(const char *user, const char *password);
char *etcd_say_grant(unsigned ttl_s);
/* LeaseKeepAlive and LeaseRevoke. */
char *etcd_say_lease(int64_t lease);
char *etcd_say_put(const char *directory, const struct member *member, int64_t lease);
/* So many entries at most: has_more tells of the others. */
char *etcd_say_range(const char *directory, unsigned limit);
char *etcd_say_watch(const char *directory, int64_t from_revision);

/* --- what is answered ------------------------------------------------------------------------- */

/* One entry, or that there is none of that name any more. */
struct etcd_entry {
	enum etcd_entry_kind { ETCD_MEMBER, ETCD_SETTING } kind;
	bool is_gone;
	struct member member;	     /* of a setting the name alone */
	struct etcd_setting setting; /* of a member nothing */
};

struct etcd_answer {
	char error[256];    /* empty: none */
	char token[2048];    /* of authenticate; empty: none */
	int64_t revision;   /* of the header; 0: not told */
	uint64_t cluster;   /* its id; 0: not told */
	int64_t lease, ttl; /* of grant and keep-alive; ttl 0: there is no such lease */
	bool has_more;	    /* of range: not all was told */
	bool is_created, is_canceled; /* of watch */
	int64_t compact_revision; /* of watch: not 0: what was asked for is gone */
	int64_t watch_revision;   /* of watch: the last of its events; 0: none */
	struct etcd_entry *entry; /* of range and watch, in order; entries that make no sense are left out */
	unsigned n;
	unsigned n_wrong; /* of these */
};

/*
 * Take an answer, or a line of a watch, apart. Whatever it is, *a is whole; etcd_answer_free() it.
 * 0, -EBADMSG: no JSON object; -ENOMEM.
 */
int etcd_hear(const char *text, const char *directory, struct etcd_answer *a);
void etcd_answer_free(struct etcd_answer *a);

#endif
