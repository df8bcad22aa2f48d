/* SPDX-License-Identifier: Apache-2.0 */
/* serve.c: data lanes of guests: what they ask for, and what we push. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "shmcache/remote/peers/net.h"

/*
 * A request ends with exactly one frame, a HEAD that says why not or an END, whoever gives it
 * up: so a requester knows when a number is free again. Until then it counts, and nobody has
 * more than LINK_FETCHES_MAX on a lane.
 */
static struct serve *of_push(struct lane_push *push)
{
	return (struct serve *)((char *)push - offsetof(struct serve, push));
}

static void serve_free(struct serve *v)
{
	*v->link = v->next;
	if (v->next)
		v->next->link = v->link;
	v->lane->n_serves--;
	free(v);
}

static void push_sending(struct lane_push *push, uint64_t offset, uint64_t size)
{
	struct link_body *body = &of_push(push)->body;

	body->sending(body->context, offset, size);
}

static uint64_t push_sum(struct lane_push *push)
{
	struct link_body *body = &of_push(push)->body;

	return body->sum(body->context);
}

static void push_done(struct lane_push *push, bool sent)
{
	struct serve *v = of_push(push);
	struct link_body body = v->body;

	serve_free(v);
	body.done(body.context, sent);
}

void link_push(struct link_request *request, const struct link_body *body)
{
	struct serve *v = (struct serve *)request;

	v->body = *body;
	v->is_pushed = true;
	v->push = (struct lane_push){.id = v->id, .value = body->value, .data = body->data,
		.sending = body->sending ? push_sending : NULL, .sum = push_sum, .done = push_done};
	if (v->lane->lane.phase == LANE_OPEN)
		lane_push(&v->lane->lane, &v->push);
	else
		push_done(&v->push, false);
}

void link_push_abort(struct link_request *request)
{
	struct serve *v = (struct serve *)request;

	lane_push_abort(&v->lane->lane, &v->push, FRAME_FAILED);
}

static void answer(struct serve *v, enum frame_status status)
{
	struct frame head = {FRAME_MAGIC, FRAME_HEAD, (uint8_t)status, 0, v->id, 0};
	struct lane *lane = &v->lane->lane;

	serve_free(v);
	if (lane->phase == LANE_OPEN && lane_send(lane, &head, NULL))
		lane->error = -ENOMEM;
}

void link_refuse(struct link_request *request, enum frame_status status)
{
	answer((struct serve *)request, status);
}

void serve_end_all(struct guest_lane *l)
{
	struct link_net *net = l->guest->net;
	struct serve *v;

	/* Pushes ended with their lane. */
	while (l->serves) {
		v = l->serves;
		net->events->gone(net->owner, &v->request);
		serve_free(v);
	}
}

/* --- frames ---------------------------------------------------------------------------------- */

static struct serve *find(struct guest_lane *l, uint64_t id)
{
	struct serve *v = l->serves;

	while (v && v->id != id)
		v = v->next;
	return v;
}

static const char *fetched(struct guest_lane *l, const struct frame *head, const uint8_t *key)
{
	struct link_net *net = l->guest->net;
	struct serve *v;

	if (find(l, head->id))
		return "two fetches of the same number";
	if (l->n_serves >= LINK_FETCHES_MAX)
		return "more fetches than a lane may have";
	v = calloc(1, sizeof(*v) + head->size);
	if (!v)
		return "no memory";
	memcpy(v->key, key, head->size);
	v->request = (struct link_request){.guest = l->guest, .key = v->key,
		.key_size = (uint16_t)head->size,
		.wait_ms = head->argument > UINT32_MAX ? UINT32_MAX : (uint32_t)head->argument};
	v->lane = l;
	v->id = head->id;
	v->next = l->serves;
	v->link = &l->serves;
	if (v->next)
		v->next->link = &v->next;
	l->serves = v;
	l->n_serves++;
	net->events->fetch(net->owner, &v->request);
	return NULL;
}

/* One that is over already crossed our END. */
static void cancelled(struct guest_lane *l, uint64_t id)
{
	struct link_net *net = l->guest->net;
	struct serve *v = find(l, id);

	if (!v)
		return;
	if (v->is_pushed) {
		lane_push_abort(&l->lane, &v->push, FRAME_CANCELLED);
		return;
	}
	net->events->gone(net->owner, &v->request);
	answer(v, FRAME_CANCELLED);
}

static const char *serve_frame(struct lane *lane, const struct frame *head, const uint8_t *body)
{
	struct guest_lane *l = lane->owner;

	switch (head->type) {
	case FRAME_FETCH:
		return fetched(l, head, body);
	case FRAME_CREDIT:
		return lane_credit(lane, head->argument) ? NULL : "credit that makes no sense";
	case FRAME_CANCEL:
		cancelled(l, head->id);
		return NULL;
	default:
		return "it refused to go on";
	}
}

static const char *serve_data(struct lane *lane, const struct frame *head, uint8_t **land)
{
	(void)lane;
	(void)head;
	*land = NULL;
	return "data from a requester";
}

static void serve_broken(struct lane *lane, const char *why)
{
	struct guest_lane *l = lane->owner;

	guest_end(l->guest, why);
}

const struct lane_ops serve_lane_ops = {
	.frame = serve_frame,
	.data = serve_data,
	.broken = serve_broken,
};
