/* SPDX-License-Identifier: Apache-2.0 */
/* etcd-steps.c: a token, a lease, our entry, the list; and the lease kept alive. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shmcache/remote/peers/etcd-impl.h"

#define TTL_S 10
#define REQUEST_MS 2000L
#define ENTRIES_MAX 4096 /* there are never as many members that could be reached */

static bool tells(const struct etcd *e)
{
	return e->self.endpoint[0] != '\0';
}

bool etcd_wants_token(const struct etcd *e)
{
	return e->options.user && e->options.user[0] && !e->token[0] && !e->has_no_auth;
}

enum etcd_step etcd_next_step(const struct etcd *e, uint64_t now_ms)
{
	if (etcd_wants_token(e))
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

static unsigned entries_max(const struct etcd *e)
{
	return e->options.entries_max ? e->options.entries_max : ENTRIES_MAX;
}

static char *say(const struct etcd *e, enum etcd_step step, const char **path)
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
		return etcd_say_range(e->directory, entries_max(e));
	default:
		*path = "/v3/lease/keepalive";
		return etcd_say_lease(e->lease);
	}
}

void etcd_step_start(struct etcd *e, enum etcd_step step)
{
	const char *path, *token = e->token[0] ? e->token : NULL;
	char url[ETCD_URL_SIZE], *body = say(e, step, &path);

	snprintf(url, sizeof(url), "%s%s", e->url[e->at], path);
	e->stats.n_requests++;
	e->step = step;
	e->work_token = e->n_tokens;
	if (!body || post_send(&e->work, url, body, step == STEP_AUTHENTICATE ? NULL : token,
			     REQUEST_MS)) {
		e->step = STEP_NONE;
		e->retry_ms = post_now_ms() + ETCD_RETRY_MAX_MS;
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

/*
 * An answer has to end somewhere, and what is beyond is not ours to choose from: the view is of what
 * came first by name. Settings stand behind the members.
 */
static void tell_more(struct etcd *e)
{
	char text[ETCD_REFUSED_SIZE];

	snprintf(text, sizeof(text), "more than %u entries below %.200s: those behind are not known",
		entries_max(e), e->directory);
	etcd_note_refusal(e, text);
}

static void list_is(struct etcd *e, const struct etcd_answer *a)
{
	etcd_forget(e);
	e->is_listed = true;
	e->revision = a->revision;
	e->cluster = a->cluster;
	e->stats.n_lists++;
	/* What follows the old list is of no use. */
	post_stop(&e->watch);
	e->watch_retry_ms = 0;
	etcd_apply(e, a, true);
	if (a->has_more)
		tell_more(e);
}

/* What is missing in an answer that has no error; NULL: nothing is. */
static const char *lacks(const struct etcd *e, const struct etcd_answer *a)
{
	if (e->step == STEP_AUTHENTICATE && !a->token[0])
		return "it let us in and gave no token";
	if (e->step == STEP_GRANT && (!a->lease || a->ttl <= 0))
		return "it granted a lease and gave none";
	return NULL;
}

static void step_succeeded(struct etcd *e, const struct etcd_answer *a)
{
	/* Who he is does not say what he may; and a lease is kept alive for anybody who knows it. */
	bool is_proof = e->step != STEP_AUTHENTICATE && e->step != STEP_KEEP;

	switch (e->step) {
	case STEP_AUTHENTICATE:
		memcpy(e->token, a->token, sizeof(e->token));
		e->n_tokens++;
		e->has_token_worked = false;
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
	if (etcd_is_other(e, a))
		e->is_listed = false;
	if (is_proof) {
		etcd_token_worked(e, e->work_token);
		etcd_note_success(e);
	}
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
	e->retry_ms = post_now_ms() + etcd_pause_ms(e);
	if (!etcd_token_is_over(e, e->work_token))
		etcd_note_refusal(e, error);
}

void etcd_step_done(struct post *r, long status, const char *body)
{
	struct etcd *e = r->owner;
	struct etcd_answer a = {.error = ""};
	int bad = status ? etcd_hear(body, e->directory, &a) : -ENOTCONN;

	if (bad || (status != 200 && !a.error[0])) {
		e->stats.n_failures++;
		etcd_try_next(e, r, status ? "that is no etcd" : r->error);
		e->retry_ms = post_now_ms() + etcd_pause_ms(e);
		post_stop(&e->watch);
		e->watch_retry_ms = e->retry_ms;
	} else if (a.error[0]) {
		e->stats.n_failures++;
		step_refused(e, a.error);
	} else if (lacks(e, &a)) {
		e->stats.n_failures++;
		step_refused(e, lacks(e, &a));
	} else {
		step_succeeded(e, &a);
	}
	e->step = STEP_NONE;
	etcd_answer_free(&a);
}
