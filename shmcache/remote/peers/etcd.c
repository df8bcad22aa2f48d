/* SPDX-License-Identifier: Apache-2.0 */
/* etcd.c: one step after another (etcd-steps.c), and a watch beside it (etcd-watch.c). */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sys/epoll.h>

#include "shmcache/remote/peers/etcd-impl.h"

/*
 * What is to be done next follows from what is there (etcd_next_step()), and not from what was done
 * last: an answer that takes something away (the token is no good any more, the lease is gone, the
 * history was compacted) only clears it, and the steps that bring it back come by themselves. One
 * unary request is under way at a time, and the watch.
 *
 * Where a request gets no answer, the next endpoint is asked, after a pause that doubles up to
 * ETCD_RETRY_MAX_MS and of which half is random, so that a hundred brokers don't come back at once.
 * The watch goes there too, since it may hang on a host that is gone.
 *
 * The revision in a header is that of the member of etcd who answers, who may lag behind others.
 * Where it is lower than one that we have seen, the data may have been lost, or it may be such a
 * laggard: the list is fetched anew, which is right for both.
 */
#define RETRY_MIN_MS 100
#define SETTLE_MS 10000 /* more than it takes anybody to be back: two of the longest pauses */
#define LEAVE_MS 300

/* --- telling ---------------------------------------------------------------------------------- */

static void note(struct etcd *e, enum etcd_note what, const char *text)
{
	if (e->options.note)
		e->options.note(e->options.context, what, text);
}

void etcd_note_refusal(struct etcd *e, const char *text)
{
	if (!strcmp(e->refused, text))
		return;
	snprintf(e->refused, sizeof(e->refused), "%s", text);
	note(e, ETCD_REFUSED, e->refused);
}

void etcd_note_success(struct etcd *e)
{
	e->n_failed = 0;
	if (e->stats.is_connected || !e->is_listed)
		return;
	if (e->is_away && e->n_view)
		e->settle_ms = post_now_ms() +
			(e->options.settle_ms ? e->options.settle_ms : SETTLE_MS);
	e->is_away = false;
	e->stats.is_connected = true;
	e->refused[0] = '\0';
	note(e, ETCD_CONNECTED, e->url[e->at]);
}

uint64_t etcd_pause_ms(struct etcd *e)
{
	uint64_t most = RETRY_MIN_MS, x;
	unsigned i;

	for (i = 1; i < e->n_failed && most < ETCD_RETRY_MAX_MS; i++)
		most *= 2;
	if (most > ETCD_RETRY_MAX_MS)
		most = ETCD_RETRY_MAX_MS;
	/* The finalizer of SplitMix64, over a counter; see rendezvous.h. */
	x = e->random += 0x9e3779b97f4a7c15;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
	x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
	return most / 2 + (x ^ (x >> 31)) % (most / 2 + 1);
}

void etcd_try_next(struct etcd *e, const struct post *r, const char *why)
{
	char text[ETCD_REFUSED_SIZE];

	if (r->is_untrusted) {
		snprintf(text, sizeof(text), "%s: %s", e->url[e->at], r->error);
		etcd_note_refusal(e, text);
	}
	e->at = (e->at + 1) % e->n_urls;
	e->n_failed++;
	if (e->n_failed < e->n_urls || e->is_away)
		return;
	e->is_away = true;
	e->stats.is_connected = false;
	note(e, ETCD_AWAY, why);
}

/* The steps and the watch hold one token: its end is told to both of them, one after the other. */
bool etcd_token_is_over(struct etcd *e, unsigned token)
{
	bool has_worked = e->has_token_worked;

	if (token != e->n_tokens)
		return true;
	e->n_tokens++;
	e->token[0] = '\0';
	e->has_token_worked = false;
	e->has_no_auth = false;
	return has_worked;
}

void etcd_token_worked(struct etcd *e, unsigned token)
{
	e->has_token_worked |= token == e->n_tokens;
}

bool etcd_is_other(const struct etcd *e, const struct etcd_answer *a)
{
	return e->is_listed && a->revision &&
		(a->revision < e->revision || a->cluster != e->cluster);
}

/* --- running ---------------------------------------------------------------------------------- */

static void advance(struct etcd *e)
{
	uint64_t now_ms = post_now_ms(), wake = UINT64_MAX;
	enum etcd_step step = etcd_next_step(e, now_ms);

	if (e->settle_ms && e->settle_ms <= now_ms && !e->is_away)
		etcd_settle(e);
	if (!e->work.is_running && step && e->retry_ms <= now_ms)
		etcd_step_start(e, step);
	if (!e->watch.is_running && e->is_listed && !etcd_wants_token(e) &&
		e->watch_retry_ms <= now_ms)
		etcd_watch_start(e);
	if (!e->work.is_running && step)
		wake = e->retry_ms;
	else if (!e->work.is_running && e->lease)
		wake = e->keep_ms;
	if (!e->watch.is_running && e->is_listed && e->watch_retry_ms < wake)
		wake = e->watch_retry_ms;
	if (e->settle_ms && !e->is_away && e->settle_ms < wake)
		wake = e->settle_ms;
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
		if (e->n_urls == ETCD_ENDPOINTS_MAX || n >= sizeof(e->url[0])) {
			snprintf(why, why_size, "more than %d URLs of etcd, or one of more than %zu "
						"characters", ETCD_ENDPOINTS_MAX, sizeof(e->url[0]) - 1);
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
	snprintf(e->directory, sizeof(e->directory), "%s%s%s/", o->prefix,
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
	e->work.done = etcd_step_done;
	e->watch.done = etcd_watch_done;
	e->watch.line = etcd_watch_line;
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
	char url[ETCD_URL_SIZE], *body = etcd_say_lease(e->lease);
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
	free(e->is_late);
	free(e);
}
