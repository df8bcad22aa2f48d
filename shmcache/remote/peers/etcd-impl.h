/* SPDX-License-Identifier: Apache-2.0 */
/* etcd-impl.h: what the files of etcd's client share. */
#ifndef SHMCACHE_REMOTE_PEERS_ETCD_IMPL_H
#define SHMCACHE_REMOTE_PEERS_ETCD_IMPL_H

#include "shmcache/remote/peers/etcd-message.h"
#include "shmcache/remote/peers/etcd-post.h"
#include "shmcache/remote/peers/etcd.h"

#define ETCD_ENDPOINTS_MAX 16
#define ETCD_SETTINGS_MAX 64 /* what is beyond is left out: there are fewer keys */
#define ETCD_RETRY_MAX_MS 5000
#define ETCD_URL_SIZE 300 /* of an endpoint with a path behind it */
#define ETCD_REFUSED_SIZE (ETCD_URL_SIZE + POST_ERROR_SIZE)

enum etcd_step { STEP_NONE, STEP_AUTHENTICATE, STEP_GRANT, STEP_PUT, STEP_LIST, STEP_KEEP };

struct etcd {
	struct etcd_options options; /* its strings are our own */
	char *strings;
	struct posts posts;
	struct post work, watch;
	char url[ETCD_ENDPOINTS_MAX][256];
	unsigned n_urls, at;
	char directory[2 * CONFIG_PATH_MAX];
	struct member self;

	enum etcd_step step; /* under way */
	char token[2048];
	unsigned n_tokens;		 /* how many there have been, the empty ones between them too */
	unsigned work_token, watch_token; /* which of them each was sent with */
	bool has_token_worked;
	bool has_no_auth; /* it said that it asks nobody who he is */
	int64_t lease;
	uint64_t keep_ms; /* when to keep it alive next */
	bool is_put, is_listed;
	int64_t revision; /* all up to here is in the view */
	uint64_t cluster;

	unsigned n_failed; /* since the last good answer */
	uint64_t retry_ms, watch_retry_ms;
	uint64_t random;
	bool is_away;
	char refused[ETCD_REFUSED_SIZE];

	struct member *view;
	bool *is_late; /* of each in the view: it is not in etcd any more, but may come back */
	unsigned n_view, n_view_max;
	uint64_t settle_ms; /* until when they may; 0: who leaves is gone */
	struct etcd_setting setting[ETCD_SETTINGS_MAX];
	unsigned n_settings;
	struct etcd_stats stats;
};

/* --- etcd.c: telling, and when to try again --------------------------------------------------- */

void etcd_note_refusal(struct etcd *e, const char *text);
void etcd_note_success(struct etcd *e);

/* How long to wait before the next attempt. */
uint64_t etcd_pause_ms(struct etcd *e);

/* Nobody answered there, as @r ended: on to the next endpoint. */
void etcd_try_next(struct etcd *e, const struct post *r, const char *why);

/* Something that was sent with token number @token was done. */
void etcd_token_worked(struct etcd *e, unsigned token);
/*
 * Something that was sent with token number @token was refused: that token is used no more. True:
 * so far it was good, or is known to be over, so that the refusal is no news.
 */
bool etcd_token_is_over(struct etcd *e, unsigned token);

/* Another etcd, or one that lost its data: what we know does not lead on from there. */
bool etcd_is_other(const struct etcd *e, const struct etcd_answer *a);

/* --- etcd-steps.c: one step after another ----------------------------------------------------- */

bool etcd_wants_token(const struct etcd *e);
/* STEP_NONE: there is nothing to do, until the lease is to be kept alive. */
enum etcd_step etcd_next_step(const struct etcd *e, uint64_t now_ms);
void etcd_step_start(struct etcd *e, enum etcd_step step);
/* The end of one; the done() of @e->work. */
void etcd_step_done(struct post *r, long status, const char *body);

/* --- etcd-watch.c: the view, and what changes it ---------------------------------------------- */

/* What a list, or a line of a watch, tells. */
void etcd_apply(struct etcd *e, const struct etcd_answer *a, bool is_list);
/* All that is known of members and settings is as good as gone: a list follows. */
void etcd_forget(struct etcd *e);
/* Those who are late have had their time. */
void etcd_settle(struct etcd *e);
void etcd_watch_start(struct etcd *e);
/* line() and done() of @e->watch. */
void etcd_watch_line(struct post *r, char *line);
void etcd_watch_done(struct post *r, long status, const char *body);

#endif
