/* SPDX-License-Identifier: Apache-2.0 */
/* etcd-watch.c: the view, and the watch that changes it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shmcache/remote/peers/etcd-impl.h"

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
		etcd_note_refusal(e, "another broker has entered itself under our name");
}

void etcd_apply(struct etcd *e, const struct etcd_answer *a)
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
		etcd_note_refusal(e, a->error);
	e->watch_retry_ms = post_now_ms() + etcd_pause_ms(e);
}

void etcd_watch_line(struct post *r, char *line)
{
	struct etcd *e = r->owner;
	struct etcd_answer a;

	if (etcd_hear(line, e->directory, &a) || a.error[0] || a.is_canceled) {
		watch_refused(e, &a);
	} else if (a.is_created && etcd_is_other(e, &a)) {
		e->is_listed = false;
		post_stop(r);
	} else {
		etcd_apply(e, &a);
		if (a.watch_revision > e->revision)
			e->revision = a.watch_revision;
		else if (!a.n && !a.n_wrong && !a.is_created && a.revision > e->revision)
			e->revision = a.revision;
		etcd_note_success(e);
	}
	etcd_answer_free(&a);
}

/* It has no end of its own: the connection is gone, or was not made. */
void etcd_watch_done(struct post *r, long status, const char *body)
{
	struct etcd *e = r->owner;

	(void)body;
	if (status && status != 200)
		e->token[0] = '\0';
	etcd_try_next(e, r, r->error[0] ? r->error : "the watch ended");
	e->watch_retry_ms = post_now_ms() + etcd_pause_ms(e);
}

void etcd_watch_start(struct etcd *e)
{
	char url[ETCD_URL_SIZE], *body = etcd_say_watch(e->directory, e->revision + 1);

	snprintf(url, sizeof(url), "%s/v3/watch", e->url[e->at]);
	e->stats.n_watches++;
	if (!body || post_send(&e->watch, url, body, e->token[0] ? e->token : NULL, 0))
		e->watch_retry_ms = post_now_ms() + ETCD_RETRY_MAX_MS;
	free(body);
}
