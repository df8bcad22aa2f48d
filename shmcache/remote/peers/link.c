/* SPDX-License-Identifier: Apache-2.0 */
/*
 * link.c: links of ours: they connect, find out when nobody is there any more, and connect
 * again.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "shmcache/remote/peers/net.h"

/*
 * The control lane comes first. When its hello is over, the data lanes follow, which are bound
 * to it by its secret; when all of them are welcome, the link is up. Whatever breaks on any
 * lane ends the whole link, which begins anew after a pause: half a link would be one more
 * state for everybody.
 *
 * A peer that is stopped keeps its connections, and its kernel goes on to acknowledge. So it is
 * asked (PING) three times in the time that it may be silent. Any byte from it is a sign of
 * life. One that lives and does not answer what it was asked has that long four times over:
 * whoever asks keeps something for each question, which must not gather without end.
 */
#define PAUSE_MIN_MS 50
#define PAUSE_MAX_MS 2000

static uint64_t clock_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* --- falling --------------------------------------------------------------------------------- */

static void close_lane(struct link *link, struct link_lane *l)
{
	link->stats.bytes_in += l->lane.stream ? l->lane.bytes_in : 0;
	link->stats.bytes_out += l->lane.stream ? l->lane.bytes_out : 0;
	lane_close(&l->lane);
}

static void close_all(struct link *link)
{
	unsigned i;

	close_lane(link, &link->control);
	for (i = 0; i < link->net->settings.n_lanes; i++)
		close_lane(link, &link->data[i]);
}

void link_fall(struct link *link, const char *why)
{
	bool was_up = link->state == LINK_UP;
	char kept[LINK_WHY_SIZE];

	/* It may stand in a lane. */
	snprintf(kept, sizeof(kept), "%s", why);
	link->state = LINK_IDLE;
	link->is_refused = link->refuses;
	link->refuses = false;
	link->stats.n_failures++;
	close_all(link);
	link->retry_ms = link->net->now_ms + link->pause_ms;
	link->pause_ms = 2 * link->pause_ms < PAUSE_MAX_MS ? 2 * link->pause_ms : PAUSE_MAX_MS;
	fetch_end_all(link, LINK_UNREACHABLE);
	link->events->down(link->owner, was_up, kept);
}

void link_lane_broken(struct lane *lane, const char *why)
{
	struct link_lane *l = lane->owner;

	link_fall(l->link, why);
}

/* --- connecting ------------------------------------------------------------------------------ */

static int make_stream(struct link *link, bool is_data, int fd, struct stream **out)
{
	struct link_net *net = link->net;
	bool is_clear = !net->tls || (is_data && !net->settings.data_tls);

	*out = is_clear ? stream_tcp_new(fd) : stream_tls_connect(net->tls, fd, link->name);
	return *out ? 0 : -ENOMEM;
}

static int connect_lane(struct link *link, struct link_lane *l, bool is_data)
{
	struct link_net *net = link->net;
	int fd = socket(link->address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct stream *stream = NULL;
	int r = fd < 0 ? -errno : 0;

	if (r)
		return r;
	r = stream_tune(fd, net->settings.silence_ms, net->settings.congestion);
	if (!r && connect(fd, &link->address.any, address_size(&link->address)) &&
		errno != EINPROGRESS)
		r = -errno;
	if (!r)
		r = make_stream(link, is_data, fd, &stream);
	if (r) {
		close(fd);
		return r;
	}
	memset(l, 0, sizeof(*l));
	l->link = link;
	return lane_init(&l->lane, net->epoll, stream, FRAME_FROM_HOLDER, is_data, LANE_CONNECTING,
		is_data ? &fetch_lane_ops : &link_control_ops, l);
}

static void call(struct link *link)
{
	int r;

	if (!link->net->tls && !link->net->settings.insecure_network &&
		!address_is_loopback(&link->address)) {
		link->refuses = true;
		link_fall(link, "it is not on this machine, and there is no security");
		return;
	}
	link->state = LINK_CALLING;
	link->number = ++link->net->n_links;
	link->n_joined = link->n_questions = 0;
	link->free_told = 0;
	r = connect_lane(link, &link->control, false);
	if (r)
		link_fall(link, strerror(-r));
}

static void start(struct link *link)
{
	link->stats.n_connects++;
	link->begun_ms = link->net->now_ms;
	if (!address_parse(link->where, &link->address)) {
		call(link);
		return;
	}
	link->state = LINK_RESOLVING;
	/*
	 * Who asked for the attempt before may wait for his answer still. It is as good for this
	 * one.
	 */
	if (!link->resolve)
		link->resolve = resolve_start(link->where);
	if (!link->resolve)
		link_fall(link, "nobody can be asked for its address");
}

static void resolving(struct link *link)
{
	int r = resolve_poll(link->resolve, &link->address);

	if (r == -EAGAIN)
		return;
	resolve_free(link->resolve);
	link->resolve = NULL;
	if (r)
		link_fall(link, "nobody knows its address");
	else
		call(link);
}

/* --- hello ----------------------------------------------------------------------------------- */

const char *link_lane_opened(struct lane *lane)
{
	struct frame knock = {FRAME_MAGIC, FRAME_KNOCK, 0, 0, FRAME_HELLO_MAGIC, FRAME_VERSION};

	lane->wanted = FRAME_GREET;
	return lane_queue(lane, &knock, NULL) ? "no memory" : NULL;
}

static const char *greeted(struct link_lane *l, const uint8_t *body)
{
	struct frame head = {FRAME_MAGIC, FRAME_HELLO, 0, sizeof(struct frame_hello), 0, 0};
	struct link *link = l->link;
	struct link_net *net = link->net;
	struct hello_lane lane = {l->lane.is_data, l->number, (uint8_t)net->settings.n_lanes,
		link->number, net->settings.window};
	struct frame_greet raw;
	struct hello_refusal no;

	memcpy(&raw, body, sizeof(raw));
	if (!hello_check_version(raw.magic, raw.version, &no))
		return raw.magic == FRAME_HELLO_MAGIC ? "it speaks another version of the protocol"
						      : "that is no shmcache broker";
	if (!lane.is_data && stream_export(l->lane.stream, link->secret))
		return "TLS has no secret to give";
	hello_make(&l->hello, &net->self, link->name, &lane, &raw,
		secret_of(lane.is_data, link->secret));
	l->lane.wanted = FRAME_WELCOME;
	return lane_queue(&l->lane, &head, &l->hello) ? "no memory" : NULL;
}

static const char *join(struct link *link)
{
	unsigned i;
	int r;

	link->state = LINK_JOINING;
	for (i = 0; i < link->net->settings.n_lanes; i++) {
		r = connect_lane(link, &link->data[i], true);
		if (r)
			return strerror(-r);
		link->data[i].number = (uint8_t)i;
	}
	return NULL;
}

static void joined(struct link *link)
{
	if (++link->n_joined < link->net->settings.n_lanes)
		return;
	link->state = LINK_UP;
	link->is_refused = false;
	link->pause_ms = PAUSE_MIN_MS;
	link->heard_ms = link->pinged_ms = link->net->now_ms;
	link->events->up(link->owner, link->incarnation, link->capacity);
}

static const char *welcomed(struct link_lane *l, const uint8_t *body)
{
	struct link *link = l->link;
	struct frame_welcome raw;

	memcpy(&raw, body, sizeof(raw));
	if (!hello_check_welcome(&raw, &l->hello, secret_of(l->lane.is_data, link->secret)))
		return "it does not know the secret of the control lane";
	if (l->lane.is_data && raw.incarnation != link->incarnation)
		return "its data lanes are of another broker";
	if (lane_settle(&l->lane, l->lane.is_data))
		return "no memory";
	l->is_welcome = true;
	link->incarnation = raw.incarnation;
	link->capacity = raw.capacity;
	if (!l->lane.is_data)
		return join(link);
	joined(link);
	return NULL;
}

/* What a refusal says, is shown to people: printable, whatever came. */
static const char *refused(struct link_lane *l, const struct frame *head, const uint8_t *body)
{
	static const char prefix[] = "it refuses: ";
	/* Not needed any more, and lives as long as the lane. */
	char *text = (char *)l->hello.cluster;
	size_t room = sizeof(l->hello) - offsetof(struct frame_hello, cluster), n, i;

	n = sizeof(prefix) - 1;
	memcpy(text, prefix, n);
	for (i = 0; i < head->size && n + 1 < room; i++)
		text[n++] = body[i] < ' ' || body[i] > '~' ? '?' : (char)body[i];
	text[n] = 0;
	l->link->refuses = true;
	return text;
}

const char *link_lane_first(struct link_lane *l, const struct frame *head, const uint8_t *body)
{
	switch (head->type) {
	case FRAME_GREET:
		return greeted(l, body);
	case FRAME_WELCOME:
		return welcomed(l, body);
	default:
		return refused(l, head, body);
	}
}

/* --- the control lane ------------------------------------------------------------------------ */

/* NULL, or what is wrong. */
static const char *answered(struct link *link)
{
	if (!link->n_questions)
		return "an answer where nothing was asked for";
	link->n_questions--;
	link->answered_ms = link->net->now_ms;
	return NULL;
}

static const char *control_frame(struct lane *lane, const struct frame *head, const uint8_t *body)
{
	struct link_lane *l = lane->owner;
	struct link *link = l->link;
	const char *wrong;

	if (!l->is_welcome || head->type == FRAME_REFUSE)
		return link_lane_first(l, head, body);
	if (head->type == FRAME_PONG) {
		if (head->argument == link->ping_ns)
			link->stats.rtt_ns = clock_ns() - link->ping_ns;
		link->free_told = head->id;
		return NULL;
	}
	wrong = answered(link);
	if (wrong)
		return wrong;
	if (head->type == FRAME_FOUND)
		return link->events->found(link->owner, head->id, frame_cursor(head, body));
	return link->events->erased(link->owner, head->id, head->flags);
}

static const char *control_data(struct lane *lane, const struct frame *head, uint8_t **land)
{
	(void)lane;
	(void)head;
	*land = NULL;
	return "data on a control lane";
}

const struct lane_ops link_control_ops = {
	.opened = link_lane_opened,
	.frame = control_frame,
	.data = control_data,
	.broken = link_lane_broken,
};

static int ask(struct link *link, const struct frame *head, const void *body)
{
	if (link->state != LINK_UP)
		return -ENOTCONN;
	if (lane_backlog(&link->control.lane) > LINK_BACKLOG_MAX)
		return -EAGAIN;
	return lane_send(&link->control.lane, head, body);
}

static int ask_question(struct link *link, const struct frame *head, const void *body)
{
	int r = link->n_questions < LINK_QUESTIONS_MAX ? ask(link, head, body) : -EAGAIN;

	if (!r && !link->n_questions++)
		link->answered_ms = link->net->now_ms;
	return r;
}

int link_lookup(struct link *link, uint64_t id, enum frame_lookup kind,
	const struct link_item *items, unsigned n)
{
	struct frame head = {FRAME_MAGIC, FRAME_LOOKUP, (uint8_t)kind, 0, id, 0};
	uint8_t body[FRAME_BODY_MAX];
	size_t taken;
	int r;

	while (head.argument < n && head.argument < FRAME_ITEMS_MAX) {
		taken = frame_put_item(body + head.size, sizeof(body) - head.size,
			items[head.argument].data, items[head.argument].size);
		if (!taken)
			break;
		head.size += (uint32_t)taken;
		head.argument++;
	}
	r = ask_question(link, &head, body);
	return r ? r : (int)head.argument;
}

int link_announce(struct link *link, const struct frame_notice *notices, unsigned n)
{
	struct frame head = {
		FRAME_MAGIC, FRAME_ANNOUNCE, 0, (uint32_t)(n * sizeof(*notices)), 0, 0};

	return n > LINK_NOTICES_MAX ? -E2BIG : ask(link, &head, notices);
}

int link_erase(struct link *link, uint64_t id, const void *key, uint16_t key_size)
{
	struct frame head = {FRAME_MAGIC, FRAME_ERASE, 0, key_size, id, 0};

	return ask_question(link, &head, key);
}

/* --- time ------------------------------------------------------------------------------------ */

static uint64_t bytes_in(const struct link *link)
{
	uint64_t n = link->control.lane.bytes_in;
	unsigned i;

	for (i = 0; i < link->net->settings.n_lanes; i++)
		n += link->data[i].lane.bytes_in;
	return n;
}

static void ping(struct link *link)
{
	struct frame head = {FRAME_MAGIC, FRAME_PING, 0, 0, 0, 0};

	link->pinged_ms = link->net->now_ms;
	head.argument = link->ping_ns = clock_ns();
	(void)lane_send(&link->control.lane, &head, NULL);
}

static void tick_up(struct link *link)
{
	uint64_t n = bytes_in(link), now_ms = link->net->now_ms;
	uint32_t silence_ms = link->net->settings.silence_ms;

	if (n != link->heard_bytes) {
		link->heard_bytes = n;
		link->heard_ms = now_ms;
	}
	if (now_ms > link->heard_ms + silence_ms)
		link_fall(link, "it does not answer");
	else if (link->n_questions && now_ms > link->answered_ms + UINT64_C(4) * silence_ms)
		link_fall(link, "it does not answer what it was asked");
	else if (fetch_is_stuck(link))
		link_fall(link, "it does not end what was cancelled");
	else if (now_ms >= link->pinged_ms + silence_ms / 3)
		ping(link);
}

static bool is_broken(struct link *link)
{
	struct lane *lane = &link->control.lane;
	unsigned i;

	for (i = 0; i < link->net->settings.n_lanes && !lane->error; i++)
		if (link->data[i].lane.error)
			lane = &link->data[i].lane;
	if (!lane->error)
		return false;
	lane_tick(lane);
	return true;
}

void link_tick(struct link *link)
{
	struct link_net *net = link->net;

	if (link->state == LINK_IDLE) {
		if (net->now_ms >= link->retry_ms)
			start(link);
		return;
	}
	if (is_broken(link))
		return;
	if (link->state == LINK_UP)
		tick_up(link);
	else if (net->now_ms > link->begun_ms + net->settings.silence_ms)
		link_fall(link, link->state == LINK_RESOLVING ? "nobody tells its address in time"
							      : "it does not answer in time");
	else if (link->state == LINK_RESOLVING)
		resolving(link);
}

/* --- from outside ---------------------------------------------------------------------------- */

int link_open(struct link **out, struct link_net *net, const char *name, const char *address,
	const struct link_events *events, void *owner)
{
	size_t size = strlen(address) + 1;
	struct link *link;

	if (strlen(name) >= FRAME_NAME_SIZE || !strrchr(address, ':'))
		return -EINVAL;
	link = calloc(1, sizeof(*link) + size);
	if (!link)
		return -ENOMEM;
	link->net = net;
	link->events = events;
	link->owner = owner;
	link->pause_ms = PAUSE_MIN_MS;
	link->waiting_end = &link->waiting;
	memcpy(link->name, name, strlen(name));
	memcpy(link->where, address, size);
	link->next = net->links;
	net->links = link;
	*out = link;
	return 0;
}

void link_close(struct link *link)
{
	struct link **at;

	if (!link)
		return;
	link->state = LINK_IDLE;
	close_all(link);
	resolve_free(link->resolve);
	fetch_end_all(link, LINK_CANCELLED);
	for (at = &link->net->links; *at != link; at = &(*at)->next)
		;
	*at = link->next;
	free(link);
}

bool link_is_up(const struct link *link)
{
	return link->state == LINK_UP;
}

void link_get_stats(const struct link *link, struct link_stats *stats)
{
	const struct link_lane *l = &link->control;
	unsigned i;

	*stats = link->stats;
	stats->free = link->state == LINK_UP ? link->free_told - 1 : UINT64_MAX;
	stats->n_lanes = link->state >= LINK_JOINING ? link->n_joined : 0;
	stats->is_refused = link->is_refused;
	for (i = 0; i <= link->net->settings.n_lanes; l = &link->data[i++]) {
		stats->bytes_in += l->lane.stream ? l->lane.bytes_in : 0;
		stats->bytes_out += l->lane.stream ? l->lane.bytes_out : 0;
		stats->n_fetches += l->n_fetches;
	}
}
