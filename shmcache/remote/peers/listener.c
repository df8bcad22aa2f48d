/* SPDX-License-Identifier: Apache-2.0 */
/* listener.c: connections that come, until it is known whose they are. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "shmcache/remote/peers/net.h"

/*
 * Anybody may connect. Until a hello is accepted one has a socket, a small buffer and little
 * time, and there are LINK_STRANGERS_MAX of them: one more shows out the one that has been
 * there longest, so that many who say nothing keep nobody away who has something to say.
 * Nothing here is as long as its sender likes.
 */
static void say_refused(struct stranger *s, enum frame_refusal reason, const char *why)
{
	s->net->stats.n_refused[reason]++;
	log_warning(s->net->log, "peer-refused", LOG_STR("from", s->from),
		LOG_STR("reason", reason ? frame_refusal_name(reason) : "none"),
		LOG_STR("why", why));
}

static void stranger_tick(struct stranger *s)
{
	if (!s->lane.stream)
		return;
	if (s->net->now_ms > s->since_ms + s->net->settings.hello_ms) {
		say_refused(s, 0, "it did not say who it is in time");
		lane_close(&s->lane);
		return;
	}
	lane_tick(&s->lane);
}

/* --- frames ---------------------------------------------------------------------------------- */

static struct stranger *of(struct lane *lane)
{
	return lane->owner;
}

static const char *refuse(struct stranger *s, const struct hello_refusal *no)
{
	lane_refuse(&s->lane, no->reason, no->sentence);
	say_refused(s, no->reason, no->sentence);
	/* broken() has nothing to add. */
	return "refused";
}

static const char *knocked(struct stranger *s, const struct frame *head)
{
	struct frame greet = {FRAME_MAGIC, FRAME_GREET, 0, sizeof(s->greet), 0, 0};
	struct hello_refusal no;

	if (!hello_check_version(head->id, head->argument, &no))
		return refuse(s, &no);
	if (hello_greet(&s->greet))
		return "no random numbers at present";
	s->lane.wanted = FRAME_HELLO;
	return lane_queue(&s->lane, &greet, &s->greet) ? "no memory" : NULL;
}

/* In the clear where security is on: only data lanes, and only where that is wanted. */
static bool check_clear(
	struct stranger *s, const struct frame_hello *hello, struct hello_refusal *no)
{
	if (!s->net->tls || s->lane.stream->is_secure)
		return true;
	if (!hello->is_data)
		return hello_refuse(no, FRAME_REFUSE_STRANGER, "this broker wants TLS");
	if (s->net->settings.data_tls)
		return hello_refuse(no, FRAME_REFUSE_STRANGER,
			"this broker wants TLS on data lanes too (data_tls)");
	return true;
}

static const char *said_hello(struct stranger *s, const uint8_t *body)
{
	struct frame_hello raw;
	struct hello_refusal no;

	memcpy(&raw, body, sizeof(raw));
	if (hello_check(&raw, &s->net->self, &s->greet, stream_peer(s->lane.stream), &no) &&
		check_clear(s, &raw, &no) && guest_take(s, &raw, &no))
		return NULL;
	return refuse(s, &no);
}

static const char *stranger_opened(struct lane *lane)
{
	lane->wanted = FRAME_KNOCK;
	return NULL;
}

static const char *stranger_frame(struct lane *lane, const struct frame *head, const uint8_t *body)
{
	struct stranger *s = of(lane);

	return head->type == FRAME_KNOCK ? knocked(s, head) : said_hello(s, body);
}

/* frame_check_first() lets no DATA through. */
static const char *stranger_data(struct lane *lane, const struct frame *head, uint8_t **land)
{
	(void)lane;
	(void)head;
	*land = NULL;
	return "data before the hello";
}

static void stranger_broken(struct lane *lane, const char *why)
{
	struct stranger *s = of(lane);

	if (lane->stream->wrong)
		s->net->stats.n_tls_failed++;
	if (strcmp(why, "refused"))
		say_refused(s, lane->has_refused ? FRAME_REFUSE_PROTOCOL : 0, why);
	lane_close(&s->lane);
}

static const struct lane_ops stranger_ops = {
	.opened = stranger_opened,
	.frame = stranger_frame,
	.data = stranger_data,
	.broken = stranger_broken,
};

/* --- the socket ------------------------------------------------------------------------------ */

static struct stranger *find_place(struct link_net *net)
{
	struct stranger *oldest = &net->strangers[0], *s;

	for (s = net->strangers; s < net->strangers + LINK_STRANGERS_MAX; s++) {
		if (!s->lane.stream)
			return s;
		if (s->number < oldest->number)
			oldest = s;
	}
	say_refused(oldest, FRAME_REFUSE_FULL, "too many say nothing");
	lane_close(&oldest->lane);
	return oldest;
}

static void show_address(const union address *a, char *text, size_t size)
{
	char host[INET6_ADDRSTRLEN] = "?";
	bool is_6 = a->any.sa_family == AF_INET6;

	inet_ntop(a->any.sa_family, is_6 ? (const void *)&a->in6.sin6_addr : &a->in.sin_addr, host,
		sizeof(host));
	snprintf(text, size, is_6 ? "[%s]:%u" : "%s:%u", host,
		ntohs(is_6 ? a->in6.sin6_port : a->in.sin_port));
}

void listener_take(struct link_net *net, int fd, const union address *from)
{
	struct stranger *s = find_place(net);
	struct stream *stream;

	s->net = net;
	s->since_ms = net->now_ms;
	/* The clock may show the same for all of them. */
	s->number = ++net->stats.n_accepted;
	show_address(from, s->from, sizeof(s->from));
	(void)stream_tune(fd, net->settings.silence_ms, net->settings.congestion);
	/* Who begins in the clear where he may not is told so. */
	stream = net->tls ? stream_tls_accept(net->tls, fd, true) : stream_tcp_new(fd);
	if (!stream) {
		close(fd);
		return;
	}
	(void)lane_init(&s->lane, net->epoll, stream, FRAME_FROM_REQUESTER, false, LANE_SECURING,
		&stranger_ops, s);
}

static void listen_for(struct link_net *net, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.ptr = &net->listener};

	net->is_deaf = !events;
	(void)epoll_ctl(net->epoll, EPOLL_CTL_MOD, net->listener.fd, &event);
}

/* It stays readable: not to be told so without end. */
static void go_deaf(struct link_net *net, int error)
{
	log_warning(net->log, "peer-accept-failed", LOG_ERRNO("error", error));
	listen_for(net, 0);
}

void listener_tick(struct link_net *net)
{
	struct stranger *s;

	if (net->is_deaf)
		listen_for(net, EPOLLIN);
	for (s = net->strangers; s < net->strangers + LINK_STRANGERS_MAX; s++)
		stranger_tick(s);
}

void listener_close(struct link_net *net)
{
	struct stranger *s;

	watch_close(net->epoll, &net->listener);
	for (s = net->strangers; s < net->strangers + LINK_STRANGERS_MAX; s++)
		lane_close(&s->lane);
}

static void listener_ready(struct watch *watch, uint32_t events)
{
	struct link_net *net = watch->owner;
	union address from;
	socklen_t size = sizeof(from);
	int fd;

	(void)events;
	memset(&from, 0, sizeof(from));
	fd = accept4(watch->fd, &from.any, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd >= 0)
		listener_take(net, fd, &from);
	else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)
		go_deaf(net, errno);
}

static int bind_to(struct link_net *net, const union address *a)
{
	int fd = socket(a->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int r;

	if (fd < 0)
		return -errno;
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
	if (bind(fd, &a->any, address_size(a)) || listen(fd, LINK_STRANGERS_MAX)) {
		r = -errno;
		close(fd);
		return r;
	}
	net->listener = (struct watch){.fd = fd, .ready = listener_ready, .owner = net};
	r = watch_add(net->epoll, &net->listener, EPOLLIN);
	if (r)
		watch_close(net->epoll, &net->listener);
	return r;
}

int link_net_listen(struct link_net *net, const char *listen_on, char *why)
{
	union address a;
	int r;

	if (address_parse(listen_on, &a)) {
		snprintf(why, LINK_WHY_SIZE,
			"can't listen for peers on %s: that is no ADDRESS:PORT", listen_on);
		return -EINVAL;
	}
	if (!net->tls && !net->settings.insecure_network && !address_is_loopback(&a)) {
		snprintf(why, LINK_WHY_SIZE,
			"won't listen for peers on %s without security: anybody who reaches it "
			"could read and write the cache",
			listen_on);
		return -EPERM;
	}
	r = bind_to(net, &a);
	if (r)
		snprintf(why, LINK_WHY_SIZE, "can't listen for peers on %s: %s", listen_on,
			strerror(-r));
	return r;
}

uint16_t link_net_port(const struct link_net *net)
{
	union address a;
	socklen_t size = sizeof(a);

	if (net->listener.fd < 0 || getsockname(net->listener.fd, &a.any, &size))
		return 0;
	return ntohs(a.any.sa_family == AF_INET6 ? a.in6.sin6_port : a.in.sin_port);
}
