/* SPDX-License-Identifier: Apache-2.0 */
/* guest.c: links to us: who may have one, and what is asked on its control lane. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shmcache/remote/peers/net.h"

/*
 * A member has one link to us at a time. A new one takes the place of the old one, whose other
 * end may have died without our knowing; but only one that is newer: by the incarnation of its
 * broker, or by the link's number there.
 */
#define BACKLOG_CONTROL (1U << 20)   /* bytes of answers that are not read, before we take more */
#define BACKLOG_DATA (64U << 10)

static const struct lane_ops control_ops;

static struct link_guest *find(struct link_net *net, const char *name)
{
	struct link_guest *g = net->guests;

	while (g && strcmp(g->name, name))
		g = g->next;
	return g;
}

/* --- arriving -------------------------------------------------------------------------------- */

static int send_welcome(struct lane *lane, struct link_net *net, const struct frame_hello *hello,
	const uint8_t *secret)
{
	struct frame head = {FRAME_MAGIC, FRAME_WELCOME, 0, sizeof(struct frame_welcome), 0, 0};
	struct frame_welcome welcome;

	hello_welcome(&welcome, &net->self, hello, secret_of(hello->is_data, secret));
	return lane_queue(lane, &head, &welcome);
}

static bool no_memory(struct hello_refusal *no)
{
	return hello_refuse(no, FRAME_REFUSE_FULL, "no memory for another link");
}

static bool take_data(struct stranger *s, const struct frame_hello *hello, struct hello_refusal *no)
{
	struct link_guest *g = find(s->net, hello->from);
	struct guest_lane *l;

	if (!g || g->incarnation != hello->incarnation || g->link != hello->link ||
		hello->lane >= g->n_lanes || !hello_check_token(hello, g->secret))
		return hello_refuse(no, FRAME_REFUSE_TOKEN, "a data lane that belongs to no link");
	l = &g->data[hello->lane];
	if (l->lane.stream)
		return hello_refuse(no, FRAME_REFUSE_TOKEN, "a data lane that is there already");
	if (lane_settle(&s->lane, true) || send_welcome(&s->lane, s->net, hello, g->secret))
		return no_memory(no);
	s->lane.window = g->window;
	s->lane.backlog_max = BACKLOG_DATA;
	lane_move(&l->lane, &s->lane, &serve_lane_ops, l);
	return true;
}

static bool make_way(struct stranger *s, const struct frame_hello *hello, struct hello_refusal *no)
{
	struct link_net *net = s->net;
	struct link_guest *old = find(net, hello->from);
	unsigned n = 0;

	if (old) {
		if (old->incarnation == hello->incarnation && hello->link <= old->link)
			return hello_refuse(no, FRAME_REFUSE_REPLAY,
				"%s has a newer link than this one already", hello->from);
		guest_end(old, "it came again");
		return true;
	}
	for (old = net->guests; old; old = old->next)
		n++;
	if (n >= net->settings.n_guests_max)
		return hello_refuse(no, FRAME_REFUSE_FULL, "%u members have links here already", n);
	return true;
}

static bool take_control(
	struct stranger *s, const struct frame_hello *hello, struct hello_refusal *no)
{
	struct link_net *net = s->net;
	struct link_guest *g;

	if (hello->n_lanes > LINK_LANES_MAX)
		return hello_refuse(
			no, FRAME_REFUSE_PROTOCOL, "%u lanes are too many", hello->n_lanes);
	if (!net->events->is_member(net->owner, hello->from))
		return hello_refuse(no, FRAME_REFUSE_STRANGER, "%s is no member of %s", hello->from,
			net->self.cluster);
	if (!make_way(s, hello, no))
		return false;
	g = calloc(1, sizeof(*g) + hello->n_lanes * sizeof(g->data[0]));
	if (!g)
		return no_memory(no);
	if (stream_export(s->lane.stream, g->secret) || lane_settle(&s->lane, false) ||
		send_welcome(&s->lane, net, hello, NULL)) {
		free(g);
		return no_memory(no);
	}
	g->net = net;
	memcpy(g->name, hello->from, sizeof(g->name));
	g->incarnation = hello->incarnation;
	g->link = hello->link;
	g->window = hello->window;
	g->n_lanes = hello->n_lanes;
	g->heard_ms = net->now_ms;
	for (unsigned i = 0; i < g->n_lanes; i++)
		g->data[i].guest = g;
	s->lane.backlog_max = BACKLOG_CONTROL;
	lane_move(&g->control, &s->lane, &control_ops, g);
	g->next = net->guests;
	net->guests = g;
	net->events->arrived(net->owner, g);
	return true;
}

bool guest_take(struct stranger *s, const struct frame_hello *hello, struct hello_refusal *no)
{
	return hello->is_data ? take_data(s, hello, no) : take_control(s, hello, no);
}

/* --- leaving --------------------------------------------------------------------------------- */

void guest_end(struct link_guest *g, const char *why)
{
	struct link_guest **at;
	unsigned i;

	for (at = &g->net->guests; *at != g; at = &(*at)->next)
		;
	*at = g->next;
	g->net->stats.bytes_in += g->control.bytes_in;
	g->net->stats.bytes_out += g->control.bytes_out;
	lane_close(&g->control);
	for (i = 0; i < g->n_lanes; i++) {
		g->net->stats.bytes_in += g->data[i].lane.bytes_in;
		g->net->stats.bytes_out += g->data[i].lane.bytes_out;
		lane_close(&g->data[i].lane);
		serve_end_all(&g->data[i]);
	}
	g->net->events->left(g->net->owner, g, why);
	free(g);
}

static uint64_t bytes_in(const struct link_guest *g)
{
	uint64_t n = g->control.bytes_in;
	unsigned i;

	for (i = 0; i < g->n_lanes; i++)
		n += g->data[i].lane.bytes_in;
	return n;
}

void guest_tick(struct link_guest *g)
{
	uint64_t n = bytes_in(g);
	struct lane *lane = &g->control;
	unsigned i;

	if (n != g->heard_bytes) {
		g->heard_bytes = n;
		g->heard_ms = g->net->now_ms;
	}
	if (g->net->now_ms > g->heard_ms + g->net->settings.silence_ms) {
		guest_end(g, "it is silent");
		return;
	}
	for (i = 0; i < g->n_lanes && !lane->error; i++)
		if (g->data[i].lane.error)
			lane = &g->data[i].lane;
	/* This may be the end of the guest. */
	lane_tick(lane);
}

/* --- questions ------------------------------------------------------------------------------- */

static const char *no_data(struct lane *lane, const struct frame *head, uint8_t **land)
{
	(void)lane;
	(void)head;
	*land = NULL;
	return "data on a control lane";
}

/*
 * An open question keeps nothing here but its number in this count. So there is no need to leave
 * the lane unread because of many, and its pings with it: who has more than he may breaks the
 * protocol. What we have told as answered he may not have heard yet, so our count is never higher
 * than his.
 */
static const char *asked(struct link_guest *g)
{
	return ++g->n_questions > LINK_QUESTIONS_MAX ? "more questions than may be open" : NULL;
}

static int answered(struct link_guest *g, const struct frame *head, const void *body)
{
	int r = lane_send(&g->control, head, body);

	if (g->n_questions)
		g->n_questions--;
	/* One that is never answered would be open for ever, at both ends. */
	if (r == -ENOMEM)
		g->control.error = r;
	return r;
}

/* Notices lie anywhere in the buffer: told of as many at a time as are copied. */
static void announced(struct link_guest *g, const struct frame *head, const uint8_t *body)
{
	struct frame_notice notices[128];
	size_t left = head->size / sizeof(notices[0]), n;

	for (; left; left -= n, body += n * sizeof(notices[0])) {
		n = left < 128 ? left : 128;
		memcpy(notices, body, n * sizeof(notices[0]));
		g->net->events->announce(g->net->owner, g, notices, (unsigned)n);
	}
}

static const char *control_frame(struct lane *lane, const struct frame *head, const uint8_t *body)
{
	struct link_guest *g = lane->owner;
	const struct link_guest_events *events = g->net->events;
	struct frame pong = {FRAME_MAGIC, FRAME_PONG, 0, 0, g->net->free_told, head->argument};
	const char *wrong;

	switch (head->type) {
	case FRAME_PING:
		return lane_queue(lane, &pong, NULL) ? "no memory" : NULL;
	case FRAME_LOOKUP:
		wrong = asked(g);
		if (wrong)
			return wrong;
		events->lookup(g->net->owner, g, head->id, head->flags, frame_cursor(head, body),
			(unsigned)head->argument);
		return NULL;
	case FRAME_ERASE:
		wrong = asked(g);
		if (wrong)
			return wrong;
		events->erase(g->net->owner, g, head->id, body, (uint16_t)head->size);
		return NULL;
	case FRAME_ANNOUNCE:
		announced(g, head, body);
		return NULL;
	default:
		return "it refused to go on";
	}
}

static void control_broken(struct lane *lane, const char *why)
{
	guest_end(lane->owner, why);
}

static const struct lane_ops control_ops = {
	.frame = control_frame,
	.data = no_data,
	.broken = control_broken,
};

int link_found(
	struct link_guest *g, uint64_t id, const struct frame_holders *holders, unsigned n)
{
	struct frame head = {FRAME_MAGIC, FRAME_FOUND, 0, 0, id, n};
	size_t size = 0, each = n ? (FRAME_BODY_MAX / n - 1) / sizeof(holders->id[0]) : 0;
	uint8_t body[FRAME_BODY_MAX];
	struct frame_holders some;
	unsigned i;

	if (n > FRAME_ITEMS_MAX)
		return -E2BIG;
	for (i = 0; i < n; i++) {
		/* Many keys with many holders each: the best of them. */
		some = holders[i];
		if (some.n > each)
			some.n = (uint8_t)each;
		size += frame_put_holders(body + size, sizeof(body) - size, &some);
	}
	head.size = (uint32_t)size;
	return answered(g, &head, body);
}

int link_erased(struct link_guest *g, uint64_t id, enum frame_status status)
{
	struct frame head = {FRAME_MAGIC, FRAME_ERASED, (uint8_t)status, 0, id, 0};

	return answered(g, &head, NULL);
}

const char *link_guest_name(const struct link_guest *guest)
{
	return guest->name;
}

uint64_t link_guest_incarnation(const struct link_guest *guest)
{
	return guest->incarnation;
}
