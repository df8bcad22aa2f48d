/* SPDX-License-Identifier: Apache-2.0 */
/* etcd.c: one step after another: a token, a lease, our entry, the list; and a watch beside it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sys/epoll.h>

#include "shmcache/remote/peers/etcd-post.h"
#include "shmcache/remote/peers/etcd-message.h"
#include "shmcache/remote/peers/etcd.h"

/*
 * What is to be done next follows from what is there (next_step()), and not from what was done last: an
 * answer that takes something away (the token is no good any more, the lease is gone, the history was
 * compacted) only clears it, and the steps that bring it back come by themselves. One unary request is
 * under way at a time, and the watch.
 *
 * Where a request gets no answer, the next endpoint is asked, after a pause that doubles up to
 * RETRY_MAX_MS and of which half is random, so that a hundred brokers don't come back at once. The watch
 * goes there too, since it may hang on a host that is gone.
 *
 * The revision in a header is that of the member of etcd who answers, who may lag behind others. Where it
 * is lower than one that we have seen, the data may have been lost, or it may be such a laggard: the list
 * is fetched anew, which is right for both.
 */
#define ENDPOINTS_MAX 16
#define TTL_S 10
#define REQUEST_MS 2000L
#define RETRY_MIN_MS 100
#define RETRY_MAX_MS 5000
#define LEAVE_MS 300

enum step { STEP_NONE, STEP_AUTHENTICATE, STEP_GRANT, STEP_PUT, STEP_LIST, STEP_KEEP };

struct etcd {
	struct etcd_options options; /* its strings are our own */
	char *strings;
	struct posts posts;
	struct post work, watch;
	char url[ENDPOINTS_MAX][256];
	unsigned n_urls, at;
	char directory[2 * CONFIG_PATH_MAX];
	struct member self;

	enum step step; /* under way */
	char token[2048];
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
	char refused[256];

	struct member *view;
	unsigned n_view, n_view_max;
	struct etcd_stats stats;
};

/* --- telling ---------------------------------------------------------------------------------- */

static void note(struct etcd *e, enum etcd_note what, const char *text)
{
	if (e->options.note)
		e->options.note(e->options.context, what, text);
}

static void note_refusal(struct etcd *e, const char *text)
{
	if (!strcmp(e->refused, text))
		return;
	snprintf(e->refused, sizeof(e->refused), "%s", text);
	note(e, ETCD_REFUSED, e->refused);
}

static void note_success(struct etcd *e)
{
	e->n_failed = 0;
	if (e->stats.is_connected || !e->is_listed)
		return;
	e->is_away = false;
	e->stats.is_connected = true;
	e->refused[0] = '\0';
	note(e, ETCD_CONNECTED, e->url[e->at]);
}

static uint64_t pause_ms(struct etcd *e)
{
	uint64_t most = RETRY_MIN_MS, x;
	unsigned i;

	for (i = 1; i < e->n_failed && most < RETRY_MAX_MS; i++)
		most *= 2;
	if (most > RETRY_MAX_MS)
		most = RETRY_MAX_MS;
	/* The finalizer of SplitMix64, over a counter; see rendezvous.h. */
	x = e->random += 0x9e3779b97f4a7c15;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
	x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
	return most / 2 + (x ^ (x >> 31)) % (most / 2 + 1);
}

/* Nobody answered there. */
static void try_next(struct etcd *e, const char *why)
{
	e->at = (e->at + 1) % e->n_urls;
	e->n_failed++;
	if (e->n_failed < e->n_urls || e->is_away)
		return;
	e->is_away = true;
	e->stats.is_connected = false;
	note(e, ETCD_AWAY, why);
}

/* --- the view --------------------------------------------------------------------------------- */

static int find_in_view(const struct etcd *e, const char *name)
{
	unsigned i;

	for (i = 0; i < e->n_view; i++)
		if (!strcmp(e->view[i].name, name))
			return (int)i;
	return -1;
}

/* False: no memory for one more. */
static bool enter(struct etcd *e, const struct member *member)
{
	int i = find_in_view(e, member->name);
	struct member *grown;

	if (i < 0 && e->n_view == e->n_view_max) {
		grown = realloc(e->view, (e->n_view_max * 2 + 16) * sizeof(*grown));
		if (!grown)
			return false;
		e->view = grown;
		e->n_view_max = e->n_view_max * 2 + 16;
	}
	e->view[i < 0 ? (int)e->n_view++ : i] = *member;
	return true;
}

static void leave(struct etcd *e, const char *name)
{
	int i = find_in_view(e, name);

	if (i >= 0)
		e->view[i] = e->view[--e->n_view];
}

/* Our own: somebody took it away, or another broker has our name. */
static void look_at_own(struct etcd *e, const struct etcd_entry *entry)
{
	if (strcmp(entry->member.name, e->self.name) || !e->self.endpoint[0])
		return;
	if (entry->is_gone)
		e->is_put = false;
	else if (e->is_put && entry->member.epoch != e->self.epoch)
		note_refusal(e, "another broker has entered itself under our name");
}

static void apply(struct etcd *e, const struct etcd_answer *a)
{
	unsigned i;

	for (i = 0; i < a->n; i++) {
		look_at_own(e, &a->entry[i]);
		if (a->entry[i].is_gone)
			leave(e, a->entry[i].member.name);
		else if (!enter(e, &a->entry[i].member))
			e->is_listed = false; /* again, later */
	}
	if (a->n)
		e->options.view(e->options.context, e->view, e->n_view);
}

/* --- the watch -------------------------------------------------------------------------------- */

/* Another etcd, or one that lost its data: what we know does not lead on from there. */
static bool is_other(const struct etcd *e, const struct etcd_answer *a)
{
	return e->is_listed && a->revision &&
		(a->revision < e->revision || a->cluster != e->cluster);
}

/*
 * It answered, and there is no watch: the token is over, it is just starting, or the history that we ask
 * for is gone. Only then is it of use to list anew.
 */
static void watch_refused(struct etcd *e, const struct etcd_answer *a)
{
	post_stop(&e->watch);
	e->token[0] = '\0';
	if (a->compact_revision) {
		e->is_listed = false;
		return;
	}
	if (e->n_failed++ && a->error[0])
		note_refusal(e, a->error);
	e->watch_retry_ms = post_now_ms() + pause_ms(e);
}

static void watch_line(struct post *r, char *line)
{
	struct etcd *e = r->owner;
	struct etcd_answer a;

	if (etcd_hear(line, e->directory, &a) || a.error[0] || a.is_canceled) {
		watch_refused(e, &a);
	} else if (a.is_created && is_other(e, &a)) {
		e->is_listed = false;
		post_stop(r);
	} else {
		apply(e, &a);
		if (a.watch_revision > e->revision)
			e->revision = a.watch_revision;
		else if (!a.n && !a.n_wrong && !a.is_created && a.revision > e->revision)
			e->revision = a.revision;
		note_success(e);
	}
	etcd_answer_free(&a);
}

/* It has no end of its own: the connection is gone, or was not made. */
static void watch_done(struct post *r, long status, const char *body)
{
	struct etcd *e = r->owner;

	(void)body;
	if (status && status != 200)
		e->token[0] = '\0';
	try_next(e, r->error[0] ? r->error : "the watch ended");
	e->watch_retry_ms = post_now_ms() + pause_ms(e);
}

static void watch_start(struct etcd *e)
{
	char url[300], *body = etcd_say_watch(e->directory, e->revision + 1);

	snprintf(url, sizeof(url), "%s/v3/watch", e->url[e->at]);
	e->stats.n_watches++;
	if (!body || post_send(&e->watch, url, body, e->token[0] ? e->token : NULL, 0))
		e->watch_retry_ms = post_now_ms() + RETRY_MAX_MS;
	free(body);
}

/* --- steps ------------------------------------------------------------------------------------ */

static bool tells(const struct etcd *e)
{
	return e->self.endpoint[0] != '\0';
}

static bool wants_token(const struct etcd *e)
{
	return e->options.user && e->options.user[0] && !e->token[0] && !e->has_no_auth;
}

static enum step next_step(const struct etcd *e, uint64_t now_ms)
{
	if (wants_token(e))
		return STEP_AUTHENTICATE;
	if (tells(e) && !e->lease)
		return STEP_GRANT;
	if (tells(e) && !e->is_put)
		return STEP_PUT;
	if (!e->is_listed)
		return STEP_LIST;
	return e->lease && e->keep_ms <= now_ms ? STEP_KEEP : STEP_NONE;
}

static unsigned ttl(const struct etcd *e)
{
	return e->options.ttl_s ? e->options.ttl_s : TTL_S;
}

static char *say(const struct etcd *e, enum step step, const char **path)
{
	switch (step) {
	case STEP_AUTHENTICATE:
		*path = "/v3/auth/authenticate";
		return etcd_say_authenticate(e->options.user,
			e->options.password ? e->options.password : "");
	case STEP_GRANT:
		*path = "/v3/lease/grant";
		return etcd_say_grant(ttl(e));
	case STEP_PUT:
		*path = "/v3/kv/put";
		return etcd_say_put(e->directory, &e->self, e->lease);
	case STEP_LIST:
		*path = "/v3/kv/range";
		return etcd_say_range(e->directory);
	default:
		*path = "/v3/lease/keepalive";
		return etcd_say_lease(e->lease);
	}
}

static void step_start(struct etcd *e, enum step step)
{
	const char *path, *token = e->token[0] ? e->token : NULL;
	char url[300], *body = say(e, step, &path);

	snprintf(url, sizeof(url), "%s%s", e->url[e->at], path);
	e->stats.n_requests++;
	e->step = step;
	if (!body || post_send(&e->work, url, body, step == STEP_AUTHENTICATE ? NULL : token,
			     REQUEST_MS)) {
		e->step = STEP_NONE;
		e->retry_ms = post_now_ms() + RETRY_MAX_MS;
	}
	free(body);
}

/* The next at a third of what the lease lives, counted from when it was asked for at the latest. */
static void lease_is(struct etcd *e, int64_t lease, int64_t ttl_s)
{
	e->lease = ttl_s > 0 ? lease : 0;
	if (!e->lease) {
		e->is_put = false;
		return;
	}
	e->keep_ms = post_now_ms() + (uint64_t)ttl_s * 1000 / 3;
}

static void list_is(struct etcd *e, const struct etcd_answer *a)
{
	e->n_view = 0;
	e->is_listed = true;
	e->revision = a->revision;
	e->cluster = a->cluster;
	e->stats.n_lists++;
	/* What follows the old list is of no use. */
	post_stop(&e->watch);
	e->watch_retry_ms = 0;
	if (a->n)
		apply(e, a);
	else
		e->options.view(e->options.context, e->view, 0);
}

static void step_succeeded(struct etcd *e, const struct etcd_answer *a)
{
	switch (e->step) {
	case STEP_AUTHENTICATE:
		memcpy(e->token, a->token, sizeof(e->token));
		break;
	case STEP_GRANT:
		e->stats.n_leases++;
		lease_is(e, a->lease, a->ttl);
		break;
	case STEP_PUT:
		e->is_put = true;
		break;
	case STEP_LIST:
		list_is(e, a);
		break;
	default:
		lease_is(e, e->lease, a->ttl);
		break;
	}
	if (is_other(e, a))
		e->is_listed = false;
	note_success(e);
}

/* It answered that it won't. */
static void step_refused(struct etcd *e, const char *error)
{
	if (e->step == STEP_AUTHENTICATE && strstr(error, "not enabled")) {
		e->has_no_auth = true;
		return;
	}
	if (strstr(error, "lease not found")) {
		lease_is(e, 0, 0);
		return;
	}
	e->n_failed++;
	e->retry_ms = post_now_ms() + pause_ms(e);
	/* A token lives for minutes: the first time that it is over is no news. */
	if (!e->token[0])
		note_refusal(e, error);
	e->token[0] = '\0';
	e->has_no_auth = false;
}

static void step_done(struct post *r, long status, const char *body)
{
	struct etcd *e = r->owner;
	struct etcd_answer a = {.error = ""};
	int bad = status ? etcd_hear(body, e->directory, &a) : -ENOTCONN;

	if (bad || (status != 200 && !a.error[0])) {
		e->stats.n_failures++;
		try_next(e, status ? "that is no etcd" : r->error);
		e->retry_ms = post_now_ms() + pause_ms(e);
		post_stop(&e->watch);
		e->watch_retry_ms = e->retry_ms;
	} else if (a.error[0]) {
		e->stats.n_failures++;
		step_refused(e, a.error);
	} else {
		step_succeeded(e, &a);
	}
	e->step = STEP_NONE;
	etcd_answer_free(&a);
}

static void advance(struct etcd *e)
{
	uint64_t now_ms = post_now_ms(), wake = UINT64_MAX;
	enum step step = next_step(e, now_ms);

	if (!e->work.is_running && step && e->retry_ms <= now_ms)
		step_start(e, step);
	if (!e->watch.is_running && e->is_listed && !wants_token(e) && e->watch_retry_ms <= now_ms)
		watch_start(e);
	if (!e->work.is_running && step)
		wake = e->retry_ms;
	else if (!e->work.is_running && e->lease)
		wake = e->keep_ms;
	if (!e->watch.is_running && e->is_listed && e->watch_retry_ms < wake)
		wake = e->watch_retry_ms;
	posts_wake_at(&e->posts, wake);
}

void etcd_run(struct etcd *e)
{
	posts_run(&e->posts);
	advance(e);
}

int etcd_fd(const struct etcd *e)
{
	return e->posts.epoll;
}

void etcd_stats(const struct etcd *e, struct etcd_stats *stats)
{
	*stats = e->stats;
}

/* --- open and close --------------------------------------------------------------------------- */

static int take_endpoints(struct etcd *e, const char *list, char *why, size_t why_size)
{
	size_t n;

	for (list += strspn(list, ", "); *list; list += strspn(list, ", ")) {
		n = strcspn(list, ", ");
		if (e->n_urls == ENDPOINTS_MAX || n >= sizeof(e->url[0])) {
			snprintf(why, why_size, "more than %d URLs of etcd, or one of more than %zu "
						"characters", ENDPOINTS_MAX, sizeof(e->url[0]) - 1);
			return -EINVAL;
		}
		memcpy(e->url[e->n_urls], list, n);
		/* Paths are appended. */
		while (n && e->url[e->n_urls][n - 1] == '/')
			e->url[e->n_urls][--n] = '\0';
		e->n_urls++;
		list += strcspn(list, ", ");
	}
	if (!e->n_urls)
		snprintf(why, why_size, "no URL of an etcd");
	return e->n_urls ? 0 : -EINVAL;
}

static const char *keep(char **to, const char *text)
{
	char *copy = *to;

	if (!text)
		return NULL;
	*to = stpcpy(copy, text) + 1;
	return copy;
}

static size_t length(const char *text)
{
	return text ? strlen(text) + 1 : 0;
}

static int take_options(struct etcd *e, const struct etcd_options *o)
{
	char *to = malloc(length(o->user) + length(o->password) + 1);

	e->options = *o;
	e->strings = to;
	if (!to)
		return -ENOMEM;
	e->options.user = keep(&to, o->user);
	e->options.password = keep(&to, o->password);
	/* A slash at the end of the prefix would make another directory of it. */
	snprintf(e->directory, sizeof(e->directory), "%s%s%s/members/", o->prefix,
		o->prefix[0] && o->prefix[strlen(o->prefix) - 1] == '/' ? "" : "/", o->cluster);
	snprintf(e->self.name, sizeof(e->self.name), "%s", o->self);
	snprintf(e->self.endpoint, sizeof(e->self.endpoint), "%s", o->endpoint ? o->endpoint : "");
	e->self.epoch = o->epoch;
	e->random = o->epoch ^ post_now_ms() << 20 ^ (uint64_t)getpid();
	return 0;
}

int etcd_open(struct etcd **out, const struct etcd_options *o, char *why, size_t why_size)
{
	struct post_files files = {o->ca, o->certificate, o->key};
	struct etcd *e = calloc(1, sizeof(*e));
	int r;

	snprintf(why, why_size, "out of memory for etcd");
	if (!e)
		return -ENOMEM;
	e->posts.epoll = e->posts.timer = -1;
	r = take_options(e, o);
	if (!r)
		r = take_endpoints(e, o->endpoints, why, why_size);
	if (!r)
		r = posts_init(&e->posts);
	if (!r)
		r = post_init(&e->work, &e->posts, &files);
	if (!r)
		r = post_init(&e->watch, &e->posts, &files);
	if (r) {
		etcd_close(e);
		return r;
	}
	e->work.owner = e->watch.owner = e;
	e->work.done = step_done;
	e->watch.done = watch_done;
	e->watch.line = watch_line;
	e->at = (unsigned)(e->random % e->n_urls);
	advance(e);
	*out = e;
	return 0;
}

static void left(struct post *r, long status, const char *body)
{
	(void)r;
	(void)status;
	(void)body;
}

/* Best effort: if it does not come through, the lease runs out. */
static void take_leave(struct etcd *e)
{
	uint64_t until_ms = post_now_ms() + LEAVE_MS, now_ms;
	char url[300], *body = etcd_say_lease(e->lease);
	struct epoll_event event;

	snprintf(url, sizeof(url), "%s/v3/lease/revoke", e->url[e->at]);
	posts_wake_at(&e->posts, UINT64_MAX);
	e->work.done = left;
	if (body && !post_send(&e->work, url, body, e->token[0] ? e->token : NULL, LEAVE_MS))
		while (e->work.is_running && (now_ms = post_now_ms()) < until_ms) {
			(void)epoll_wait(e->posts.epoll, &event, 1, (int)(until_ms - now_ms));
			posts_run(&e->posts);
		}
	free(body);
}

void etcd_close(struct etcd *e)
{
	if (!e)
		return;
	if (e->watch.easy)
		post_stop(&e->watch);
	if (e->lease)
		take_leave(e);
	post_deinit(&e->work);
	post_deinit(&e->watch);
	posts_deinit(&e->posts);
	free(e->strings);
	free(e->view);
	free(e);
}
