/* SPDX-License-Identifier: Apache-2.0 */
/* etcd.h: membership by way of etcd: telling of this broker, hearing of the others. */
#ifndef SHMCACHE_REMOTE_PEERS_ETCD_H
#define SHMCACHE_REMOTE_PEERS_ETCD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shmcache/remote/peers/membership.h"

/*
 * etcd's v3 API through its JSON gateway, by libcurl. Each broker keeps one small entry there,
 *
 *	PREFIX/CLUSTER/members/NAME = {"endpoint":"10.0.0.1:7400","epoch":"1234"}
 *
 * bound to a lease that it keeps alive; who dies is gone when his lease has run out. Beside them
 * stand the settings of the cluster, which an operator writes,
 *
 *	PREFIX/CLUSTER/settings/KEY = VALUE
 *
 * Everybody lists all of it once and watches it from that revision on. Nothing about keys or values
 * of the cache is ever there, and no more is written than one entry at each start of a broker.
 *
 * An etcd that is away changes nothing: the last view is kept, its members are asked in turn until
 * one answers, and the watch goes on behind the last revision that was heard of. Whoever's lease
 * ran out meanwhile enters himself again, and is missed only when he has not done so ten seconds
 * after etcd was back. A history that is gone (compaction) or that is another one (its data were
 * lost) is listed anew.
 *
 * One descriptor, to be watched for reading; no call blocks, but etcd_close(), which takes leave
 * for up to 300 ms. One thread: the remote one.
 */
struct etcd;

/* What the cluster says of one key. */
#define ETCD_VALUE_MAX 127
struct etcd_setting {
	/* Any bytes but NUL; the value without white space at its end, or ETCD_VALUE_LONG. */
	char name[CONFIG_NAME_MAX + 1];
	char value[ETCD_VALUE_MAX + 1];
};
#define ETCD_VALUE_LONG "(too long)"

enum etcd_note {
	ETCD_CONNECTED, /* the view is that of etcd, from now on; @text: of whom */
	ETCD_AWAY,	/* nobody answers, the last view is kept; @text: why. Told once */
	/*
	 * It answers and refuses us, or we it, by certificates or as it has too much to tell;
	 * @text: why. Told once for each text.
	 */
	ETCD_REFUSED,
};

struct etcd_options {
	const char *endpoints; /* http:// or https:// URLs, with commas between */
	const char *prefix;
	const char *cluster;
	const char *user, *password;	       /* NULL or empty: etcd asks for none */
	const char *ca, *certificate, *key;    /* files, for https; NULL or empty: curl's own, none */
	const char *self;		       /* this broker's name */
	const char *endpoint;		       /* where others reach it; NULL or empty: it is not told */
	uint64_t epoch;			       /* another one at each start */
	unsigned ttl_s;			       /* of the lease; 0: 10 */
	unsigned settle_ms;		       /* who is not back by then is gone; 0: 10000 */
	unsigned entries_max;		       /* of a list: more are told as refused; 0: 4096 */
	/* All members there are, in no order, this broker among them. At each change. */
	void (*view)(void *context, const struct member *members, unsigned n);
	/* All settings there are, in no order. With each list, and at each change. May be NULL. */
	void (*settings)(void *context, const struct etcd_setting *settings, unsigned n);
	void (*note)(void *context, enum etcd_note note, const char *text); /* may be NULL */
	void *context;
};

/* Copies what it needs. 0, or -errno and a sentence; that etcd does not answer is no failure. */
int etcd_open(struct etcd **e, const struct etcd_options *options, char *why, size_t why_size);
/* Gives the lease back, so that the others learn at once that this broker left. NULL is fine. */
void etcd_close(struct etcd *e);

int etcd_fd(const struct etcd *e);
/* The descriptor is readable: do what there is to do. Calls view() and note(). */
void etcd_run(struct etcd *e);

struct etcd_stats {
	uint64_t n_requests, n_failures; /* unary ones, and those of them without a good answer */
	uint64_t n_lists, n_watches;	 /* how often all was listed, and a watch begun */
	uint64_t n_leases;		 /* how often one was granted */
	bool is_connected;
};
void etcd_stats(const struct etcd *e, struct etcd_stats *stats);

#endif
