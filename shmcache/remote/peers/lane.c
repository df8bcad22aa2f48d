/* SPDX-License-Identifier: Apache-2.0 */
/* lane.c: one connection: its life, and frames that come in. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "shmcache/remote/peers/lane.h"

/*
 * Reading fills two places by one call: first the rest of the body that is being received,
 * which lies where the value will stay, then the buffer, where the next head is expected. So a
 * long body is never copied, but for the bytes that came along with its head, a buffer at most;
 * and a short one with all of its heads comes by a single call.
 *
 * One call of lane_ready() takes a bounded amount, however fast the peer sends: other lanes and
 * timers come in between. Nothing that is received is used before the checks of frame.c.
 */
#define IN_DATA (16U << 10)
#define IN_CONTROL (FRAME_BODY_MAX + sizeof(struct frame) + 1024)
#define IN_HELLO 1024
#define BUDGET (1 << 20)

static void lane_ready(struct watch *watch, uint32_t events);

_Static_assert(IN_HELLO >= sizeof(struct frame) + sizeof(struct frame_hello) &&
		IN_HELLO >= sizeof(struct frame) + FRAME_SENTENCE_MAX &&
		IN_DATA >= sizeof(struct frame) + FRAME_SMALL_MAX,
	"a whole frame fits");

/* --- its life -------------------------------------------------------------------------------- */

/* Who asks faster than he takes answers is left waiting. */
static bool is_full(const struct lane *lane)
{
	return lane_backlog(lane) > lane->backlog_max;
}

void lane_arm(struct lane *lane)
{
	struct epoll_event event = {.data.ptr = &lane->watch};

	if (lane->phase == LANE_CONNECTING)
		event.events = EPOLLOUT;
	else
		event.events = is_full(lane) ? 0 : EPOLLIN;
	/* Looking again is done by waiting for what is there already. */
	if (lane->stream->wants_out || lane->error || (lane->must_look && !is_full(lane)) ||
		(lane->phase == LANE_OPEN && lane_has_output(lane)))
		event.events |= EPOLLOUT;
	if (event.events == lane->armed)
		return;
	if (!epoll_ctl(lane->epoll, EPOLL_CTL_MOD, lane->watch.fd, &event))
		lane->armed = event.events;
}

int lane_init(struct lane *lane, int epoll, struct stream *stream, enum frame_side from,
	bool is_data, enum lane_phase phase, const struct lane_ops *ops, void *owner)
{
	int r;

	memset(lane, 0, sizeof(*lane));
	lane->watch = (struct watch){.fd = stream->fd, .ready = lane_ready, .owner = lane};
	lane->stream = stream;
	lane->epoll = epoll;
	lane->phase = phase;
	lane->from = from;
	lane->is_data = is_data;
	lane->ops = ops;
	lane->owner = owner;
	lane->backlog_max = SIZE_MAX;
	lane->in_size = IN_HELLO;
	lane->in = malloc(lane->in_size);
	lane->armed = EPOLLIN | EPOLLOUT;
	r = lane->in ? watch_add(epoll, &lane->watch, lane->armed) : -ENOMEM;
	if (r)
		lane_close(lane);
	return r;
}

void lane_close(struct lane *lane)
{
	if (!lane->stream)
		return;
	lane->phase = LANE_BROKEN;
	epoll_ctl(lane->epoll, EPOLL_CTL_DEL, lane->watch.fd, NULL);
	lane_drop_output(lane);
	stream_free(lane->stream);
	lane->stream = NULL;
	lane->watch.fd = -1;
	lane->error = 0;
	free(lane->in);
	free(lane->out);
	lane->in = lane->out = NULL;
}

int lane_settle(struct lane *lane, bool is_data)
{
	uint32_t size = is_data ? IN_DATA : IN_CONTROL;
	uint8_t *in = realloc(lane->in, size);

	if (!in)
		return -ENOMEM;
	lane->in = in;
	lane->in_size = size;
	lane->is_data = is_data;
	lane->wanted = 0;
	return 0;
}

void lane_move(struct lane *to, struct lane *from, const struct lane_ops *ops, void *owner)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLOUT};

	*to = *from;
	from->stream = NULL;
	from->phase = LANE_BROKEN;
	to->watch.owner = to;
	to->ops = ops;
	to->owner = owner;
	/* What lies in the buffer already is looked at as soon as the loop goes round. */
	to->must_look = true;
	to->armed = event.events;
	event.data.ptr = &to->watch;
	epoll_ctl(to->epoll, EPOLL_CTL_MOD, to->watch.fd, &event);
}

/* --- frames ---------------------------------------------------------------------------------- */

/* What came of a DATA frame's body, wherever it came to. */
static const char *take_rest(struct lane *lane)
{
	uint32_t n = lane->in_end - lane->in_begin;

	if (n > lane->rest)
		n = lane->rest;
	if (lane->land) {
		memcpy(lane->land, lane->in + lane->in_begin, n);
		lane->ops->part(lane, lane->land, n);
	}
	/* It may have been taken back just now. */
	if (lane->land)
		lane->land += n;
	lane->in_begin += n;
	lane->rest -= n;
	return lane->rest ? NULL : lane->ops->data_end(lane, &lane->head);
}

static const char *begin_data(struct lane *lane)
{
	lane->in_begin += sizeof(lane->head);
	lane->rest = lane->head.size;
	lane->land = NULL;
	return lane->ops->data(lane, &lane->head, &lane->land);
}

static const char *check(const struct lane *lane)
{
	if (lane->wanted)
		return frame_check_first(&lane->head, lane->wanted);
	return frame_check(&lane->head, lane->from, lane->is_data);
}

/* One frame that is whole, or the head of a DATA frame. *@n is 0 when more must come first. */
static const char *take_frame(struct lane *lane, uint32_t *n)
{
	uint32_t left = lane->in_end - lane->in_begin;
	const uint8_t *at = lane->in + lane->in_begin;
	const char *wrong;

	*n = 0;
	if (left < sizeof(lane->head))
		return NULL;
	memcpy(&lane->head, at, sizeof(lane->head));
	wrong = check(lane);
	if (wrong)
		return wrong;
	*n = sizeof(lane->head);
	if (lane->head.type == FRAME_DATA)
		return begin_data(lane);
	if (left - sizeof(lane->head) < lane->head.size) {
		*n = 0;
		return NULL;
	}
	lane->has_refused |= lane->head.type == FRAME_REFUSE;
	at += sizeof(lane->head);
	lane->in_begin += (uint32_t)sizeof(lane->head) + lane->head.size;
	wrong = frame_check_body(&lane->head, at);
	return wrong ? wrong : lane->ops->frame(lane, &lane->head, at);
}

/* Take what lies in the buffer. */
static const char *take(struct lane *lane)
{
	const char *wrong = NULL;
	uint32_t n = 1;

	while (!wrong && n && lane->stream && !is_full(lane)) {
		if (!lane->rest) {
			wrong = take_frame(lane, &n);
		} else {
			n = lane->in_end - lane->in_begin;
			if (n)
				wrong = take_rest(lane);
		}
	}
	if (!lane->stream)
		return NULL;
	if (wrong && !lane->has_refused)
		lane_refuse(lane, FRAME_REFUSE_PROTOCOL, wrong);
	if (lane->in_begin) {
		memmove(lane->in, lane->in + lane->in_begin, lane->in_end - lane->in_begin);
		lane->in_end -= lane->in_begin;
		lane->in_begin = 0;
	}
	return wrong;
}

/* Bytes that were received in place. */
static const char *landed(struct lane *lane, uint32_t n)
{
	lane->ops->part(lane, lane->land, n);
	if (lane->land)
		lane->land += n;
	lane->rest -= n;
	return lane->rest ? NULL : lane->ops->data_end(lane, &lane->head);
}

static const char *say(const struct lane *lane, int r)
{
	if (lane->stream->wrong)
		return lane->stream->wrong;
	return r == -ECONNRESET ? "the other end hung up" : strerror(-r);
}

/* One read. *@n: the bytes, 0 when there is nothing more at present. */
static const char *receive(struct lane *lane, size_t *n, bool *was_short)
{
	struct iovec iov[2];
	size_t wanted = 0, in_place = 0;
	const char *wrong = NULL;
	int n_iov = 0;
	ssize_t r;

	if (lane->rest && lane->land && lane->in_begin == lane->in_end)
		iov[n_iov++] = (struct iovec){lane->land, wanted = lane->rest};
	iov[n_iov++] = (struct iovec){lane->in + lane->in_end, lane->in_size - lane->in_end};
	wanted += iov[n_iov - 1].iov_len;
	*n = 0;
	r = stream_recv(lane->stream, iov, n_iov);
	if (r == -EAGAIN)
		return NULL;
	if (r < 0)
		return say(lane, (int)r);
	*n = (size_t)r;
	*was_short = *n < wanted;
	lane->bytes_in += *n;
	if (n_iov == 2)
		in_place = *n < iov[0].iov_len ? *n : iov[0].iov_len;
	lane->in_end += (uint32_t)(*n - in_place);
	if (in_place)
		wrong = landed(lane, (uint32_t)in_place);
	return wrong;
}

static const char *read_frames(struct lane *lane)
{
	size_t n = 1, total = 0;
	bool was_short = false;
	const char *wrong;

	lane->must_look = false;
	wrong = take(lane);
	/* A short read has emptied the socket: what comes now rings again. */
	while (!wrong && lane->stream && !is_full(lane) && n && !was_short && total < BUDGET) {
		wrong = receive(lane, &n, &was_short);
		total += n;
		if (!wrong && n)
			wrong = take(lane);
	}
	if (lane->stream)
		lane->must_look = lane->stream->has_more || is_full(lane);
	return wrong;
}

/* --- events ---------------------------------------------------------------------------------- */

static const char *connect_end(struct lane *lane)
{
	socklen_t size = sizeof(int);
	int error = 0;

	if (getsockopt(lane->watch.fd, SOL_SOCKET, SO_ERROR, &error, &size))
		error = errno;
	if (error)
		return strerror(error);
	lane->phase = LANE_SECURING;
	return NULL;
}

static const char *secure(struct lane *lane)
{
	int r = stream_handshake(lane->stream);

	if (r == -EAGAIN)
		return NULL;
	if (r)
		return say(lane, r);
	lane->phase = LANE_OPEN;
	lane->must_look = true;
	return lane->ops->opened(lane);
}

static const char *step(struct lane *lane, uint32_t events)
{
	const char *wrong = NULL;
	int r;

	if (lane->error)
		return say(lane, lane->error);
	if (lane->phase == LANE_CONNECTING && events & (EPOLLOUT | EPOLLERR | EPOLLHUP))
		wrong = connect_end(lane);
	if (!wrong && lane->phase == LANE_SECURING)
		wrong = secure(lane);
	if (!wrong && lane->phase == LANE_OPEN)
		wrong = read_frames(lane);
	if (wrong || lane->phase != LANE_OPEN)
		return wrong;
	r = lane_flush(lane);
	return r && r != -EAGAIN ? say(lane, r) : NULL;
}

static void end(struct lane *lane, const char *why)
{
	lane->phase = LANE_BROKEN;
	lane->ops->broken(lane, why);
}

static void lane_ready(struct watch *watch, uint32_t events)
{
	struct lane *lane = watch->owner;
	const char *wrong = step(lane, events);

	if (wrong)
		end(lane, wrong);
	else if (lane->stream)
		lane_arm(lane);
}

void lane_tick(struct lane *lane)
{
	if (lane->stream && lane->phase != LANE_BROKEN && lane->error)
		end(lane, say(lane, lane->error));
}
