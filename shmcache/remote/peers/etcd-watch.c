/* SPDX-License-Identifier: Apache-2.0 */
/* etcd-watch.c: the view, and the watch that changes it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shmcache/remote/peers/etcd-impl.h"

/*
 * An etcd that could not be reached may have taken everybody's lease for over. Then the first that
 * is heard of it is that nobody is a member; they enter themselves again, each when it comes to it.
 * Who took that at its word would drop all links for these seconds. So who leaves while etcd is
 * away, or not long after, is only late: he stays in the view for some seconds after etcd is back
 * (settle_ms).
 */

/* --- the view, and the settings ------------------------------------------------------------ */

static int find_in_view(const struct etcd *e, const char *name)
{
	unsigned i;

	for (i = 0; i < e->n_view; i++)
		if (!strcmp(e->view[i].name, name))
			return (int)i;
	return -1;
}

static bool grow(struct etcd *e)
{
	unsigned n = e->n_view_max * 2 + 16;
	struct member *view = realloc(e->view, n * sizeof(*view));
	bool *is_late;

	if (view)
		e->view = view;
	is_late = view ? realloc(e->is_late, n * sizeof(*is_late)) : NULL;
	if (!is_late)
		return false;
	e->is_late = is_late;
	e->n_view_max = n;
	return true;
}

/* False: no memory for one more. */
static bool enter(struct etcd *e, const struct member *member)
{
	int i = find_in_view(e, member->name);

	if (i < 0 && e->n_view == e->n_view_max && !grow(e))
		return false;
	if (i < 0)
		i = (int)e->n_view++;
	e->view[i] = *member;
	e->is_late[i] = false;
	return true;
}

static void drop(struct etcd *e, unsigned i)
{
	e->n_view--;
	e->view[i] = e->view[e->n_view];
	e->is_late[i] = e->is_late[e->n_view];
}

static bool is_settling(const struct etcd *e)
{
	return e->is_away || e->settle_ms;
}

static void leave(struct etcd *e, const char *name)
{
	int i = find_in_view(e, name);

	if (i >= 0 && is_settling(e))
		e->is_late[i] = true;
	else if (i >= 0)
		drop(e, (unsigned)i);
}

void etcd_forget(struct etcd *e)
{
	unsigned i;

	e->n_settings = 0;
	if (!is_settling(e))
		e->n_view = 0;
	for (i = 0; i < e->n_view; i++)
		e->is_late[i] = true;
}

void etcd_settle(struct etcd *e)
{
	unsigned i = 0, n = e->n_view;

	e->settle_ms = 0;
	while (i < e->n_view)
		if (e->is_late[i])
			drop(e, i);
		else
			i++;
	if (e->n_view != n)
		e->options.view(e->options.context, e->view, e->n_view);
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

static void apply_member(struct etcd *e, const struct etcd_entry *entry)
{
	look_at_own(e, entry);
	if (entry->is_gone)
		leave(e, entry->member.name);
	else if (!enter(e, &entry->member))
		e->is_listed = false; /* again, later */
}

static void apply_setting(struct etcd *e, const struct etcd_entry *entry)
{
	unsigned i = 0;

	while (i < e->n_settings && strcmp(e->setting[i].name, entry->setting.name))
		i++;
	if (!entry->is_gone && i < ETCD_SETTINGS_MAX) {
		e->setting[i] = entry->setting;
		e->n_settings += i == e->n_settings;
	} else if (entry->is_gone && i < e->n_settings) {
		e->setting[i] = e->setting[--e->n_settings];
	}
}

void etcd_apply(struct etcd *e, const struct etcd_answer *a, bool is_list)
{
	bool has[2] = {[ETCD_MEMBER] = is_list, [ETCD_SETTING] = is_list};
	unsigned i;

	for (i = 0; i < a->n; i++) {
		has[a->entry[i].kind] = true;
		if (a->entry[i].kind == ETCD_MEMBER)
			apply_member(e, &a->entry[i]);
		else
			apply_setting(e, &a->entry[i]);
	}
	/* The settings first: links to new members are made as they say. */
	if (has[ETCD_SETTING] && e->options.settings)
		e->options.settings(e->options.context, e->setting, e->n_settings);
	if (has[ETCD_MEMBER])
		e->options.view(e->options.context, e->view, e->n_view);
}

/* --- the watch -------------------------------------------------------------------------------- */

/*
 * It answered, and there is no watch: the token is over, it is just starting, or the history that
 * we ask for is gone. Only then is it of use to list anew.
 */
static void watch_refused(struct etcd *e, const struct etcd_answer *a)
{
	post_stop(&e->watch);
	if (a->compact_revision) {
		e->is_listed = false;
		return;
	}
	if (!etcd_token_is_over(e, e->watch_token) && e->n_failed++ && a->error[0])
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
		etcd_apply(e, &a, false);
		if (a.watch_revision > e->revision)
			e->revision = a.watch_revision;
		else if (!a.n && !a.n_wrong && !a.is_created && a.revision > e->revision)
			e->revision = a.revision;
		etcd_token_worked(e, e->watch_token);
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
		(void)etcd_token_is_over(e, e->watch_token);
	etcd_try_next(e, r, r->error[0] ? r->error : "the watch ended");
	e->watch_retry_ms = post_now_ms() + etcd_pause_ms(e);
}

void etcd_watch_start(struct etcd *e)
{
	char url[ETCD_URL_SIZE], *body = etcd_say_watch(e->directory, e->revision + 1);

	snprintf(url, sizeof(url), "%s/v3/watch", e->url[e->at]);
	e->stats.n_watches++;
	e->watch_token = e->n_tokens;
	if (!body || post_send(&e->watch, url, body, e->token[0] ? e->token : NULL, 0))
		e->watch_retry_ms = post_now_ms() + ETCD_RETRY_MAX_MS;
	free(body);
}
