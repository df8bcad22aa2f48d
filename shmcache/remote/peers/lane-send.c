/* SPDX-License-Identifier: Apache-2.0 */
/* lane-send.c: frames that go out. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "shmcache/remote/peers/lane.h"

/*
 * What goes out next is decided late: small frames first, then one frame of each push in turn,
 * until about a megabyte is planned. What is planned is sent in that order, several frames by
 * one call, the bodies from where they lie.
 *
 * A push may end at any time, while half of its frame is in the socket. The rest of that frame
 * must come, whatever it holds: zeroes, which no store has to keep for us. END tells the
 * requester.
 */
#define PLAN_SIZE FRAME_DATA_MAX
#define OUT_STEP 4096
#define N_IOV 16

static const struct {
	uint8_t bytes[FRAME_DATA_MAX];
} *zeroes(void)
{
	/* Never written: all of it is the one page of zeroes that the kernel has. */
	static struct {
		uint8_t bytes[FRAME_DATA_MAX];
	} made;

	return (const void *)&made;
}

/* --- small frames ---------------------------------------------------------------------------- */

size_t lane_backlog(const struct lane *lane)
{
	return lane->out_end - lane->out_begin;
}

static int make_room(struct lane *lane, size_t size)
{
	size_t used = lane_backlog(lane), wanted;
	uint8_t *out;

	if (lane->out_size - lane->out_end >= size)
		return 0;
	if (used)
		memmove(lane->out, lane->out + lane->out_begin, used);
	lane->out_begin = 0;
	lane->out_end = used;
	if (lane->out_size - used >= size)
		return 0;
	wanted = 2 * (used + size) + OUT_STEP;
	out = realloc(lane->out, wanted);
	if (!out)
		return -ENOMEM;
	lane->out = out;
	lane->out_size = wanted;
	return 0;
}

static void put_out(struct lane *lane, const void *bytes, size_t size)
{
	if (size)
		memcpy(lane->out + lane->out_end, bytes, size);
	lane->out_end += size;
}

int lane_queue(struct lane *lane, const struct frame *head, const void *body)
{
	if (lane->phase != LANE_OPEN)
		return -ENOTCONN;
	if (make_room(lane, sizeof(*head) + head->size))
		return -ENOMEM;
	put_out(lane, head, sizeof(*head));
	put_out(lane, body, head->size);
	return 0;
}

int lane_send(struct lane *lane, const struct frame *head, const void *body)
{
	int r = lane_queue(lane, head, body);

	if (!r)
		lane_kick(lane);
	return r;
}

void lane_refuse(struct lane *lane, enum frame_refusal reason, const char *sentence)
{
	struct frame head = {.magic = FRAME_MAGIC, .type = FRAME_REFUSE, .flags = (uint8_t)reason,
		.size = (uint32_t)strnlen(sentence, FRAME_SENTENCE_MAX)};

	lane->has_refused = true;
	if (!lane_queue(lane, &head, sentence))
		(void)lane_flush(lane);
}

/* --- the plan -------------------------------------------------------------------------------- */

static unsigned n_segments(const struct lane *lane)
{
	return lane->segment_end - lane->segment_begin;
}

static struct lane_segment *segment_at(struct lane *lane, unsigned position)
{
	return &lane->segments[position % LANE_SEGMENTS];
}

static struct lane_segment *segment_new(struct lane *lane)
{
	struct lane_segment *s = segment_at(lane, lane->segment_end++);

	s->pre_size = s->post_size = 0;
	s->body = NULL;
	s->body_size = s->n_small = 0;
	s->push = NULL;
	return s;
}

static size_t segment_size(const struct lane_segment *s)
{
	return s->n_small ? s->n_small : (size_t)s->pre_size + s->body_size + s->post_size;
}

static uint64_t credit(const struct lane *lane)
{
	return lane->window - (lane->n_pushed - lane->n_granted);
}

/*
 * How much of @push the next frame may hold. Frames don't get small because credit comes in
 * drops.
 */
static uint32_t frame_size(const struct lane *lane, const struct lane_push *push)
{
	uint64_t size = push->value.size - push->offset, may = credit(lane);

	if (size > FRAME_DATA_MAX)
		size = FRAME_DATA_MAX;
	return size <= may ? (uint32_t)size : 0;
}

static void push_unlink(struct lane *lane, struct lane_push *push)
{
	if (lane->pushes == push)
		lane->pushes = push->next == push ? NULL : push->next;
	push->prev->next = push->next;
	push->next->prev = push->prev;
	push->next = push->prev = NULL;
}

static void pre_add(struct lane_segment *s, const void *bytes, size_t size)
{
	memcpy(s->pre + s->pre_size, bytes, size);
	s->pre_size += (uint8_t)size;
}

/* The next frame of @push. Behind its last byte the push is in the plan only. */
static void plan_frame(struct lane *lane, struct lane_push *push, uint32_t size)
{
	struct frame head = {FRAME_MAGIC, FRAME_HEAD, FRAME_OK, sizeof(push->value), push->id, 0};
	struct lane_segment *s = segment_new(lane);

	if (!push->is_begun) {
		push->is_begun = true;
		pre_add(s, &head, sizeof(head));
		pre_add(s, &push->value, sizeof(push->value));
	}
	head = (struct frame){FRAME_MAGIC, FRAME_DATA, 0, size, push->id, push->offset};
	pre_add(s, &head, sizeof(head));
	s->body = push->data + push->offset;
	s->body_size = size;
	s->push = push;
	if (push->sending)
		push->sending(push, push->offset, size);
	push->offset += size;
	lane->n_pushed += size;
	if (push->offset < push->value.size) {
		lane->pushes = push->next;
		return;
	}
	s->post = (struct frame){FRAME_MAGIC, FRAME_END, FRAME_OK, 0, push->id, push->sum(push)};
	s->post_size = sizeof(s->post);
	push_unlink(lane, push);
}

static bool plan_small(struct lane *lane)
{
	size_t size = lane_backlog(lane) - lane->out_planned;

	if (!size)
		return false;
	segment_new(lane)->n_small = (uint32_t)size;
	lane->out_planned += size;
	return true;
}

static void plan(struct lane *lane)
{
	size_t total = 0;
	unsigned i;
	uint32_t size;

	for (i = lane->segment_begin; i != lane->segment_end; i++)
		total += segment_size(segment_at(lane, i));
	while (n_segments(lane) < LANE_SEGMENTS && total < PLAN_SIZE) {
		if (plan_small(lane)) {
			total += segment_size(segment_at(lane, lane->segment_end - 1));
			continue;
		}
		size = lane->pushes ? frame_size(lane, lane->pushes) : 0;
		if (!size)
			return;
		plan_frame(lane, lane->pushes, size);
		total += size;
	}
}

bool lane_has_output(const struct lane *lane)
{
	return n_segments(lane) || lane_backlog(lane) ||
		(lane->pushes && frame_size(lane, lane->pushes));
}

/* --- sending --------------------------------------------------------------------------------- */

static void add(struct iovec *iov, int *n, const void *bytes, size_t size, size_t *skip)
{
	if (*skip >= size) {
		*skip -= size;
		return;
	}
	iov[(*n)++] = (struct iovec){(uint8_t *)bytes + *skip, size - *skip};
	*skip = 0;
}

static int gather(struct lane *lane, struct iovec *iov)
{
	size_t skip = lane->segment_done, small = lane->out_begin;
	struct lane_segment *s;
	unsigned i;
	int n = 0;

	for (i = lane->segment_begin; i != lane->segment_end && n + 3 <= N_IOV; i++) {
		s = segment_at(lane, i);
		if (s->n_small) {
			/* out_begin moves when the whole segment is gone. */
			add(iov, &n, lane->out + small, s->n_small, &skip);
			small += s->n_small;
			continue;
		}
		add(iov, &n, s->pre, s->pre_size, &skip);
		add(iov, &n, s->body, s->body_size, &skip);
		add(iov, &n, &s->post, s->post_size, &skip);
	}
	return n;
}

/*
 * The first segment has gone. A push whose END went with it is done: nobody looks at its bytes.
 */
static void segment_end(struct lane *lane)
{
	struct lane_segment *s = segment_at(lane, lane->segment_begin++);
	struct lane_push *push = s->post_size ? s->push : NULL;

	if (s->n_small) {
		lane->out_begin += s->n_small;
		lane->out_planned -= s->n_small;
		if (lane->out_begin == lane->out_end)
			lane->out_begin = lane->out_end = 0;
	}
	s->push = NULL;
	if (push)
		push->done(push, true);
}

static void sent(struct lane *lane, size_t n)
{
	size_t size;

	lane->bytes_out += n;
	lane->segment_done += n;
	while (n_segments(lane)) {
		size = segment_size(segment_at(lane, lane->segment_begin));
		if (lane->segment_done < size)
			return;
		lane->segment_done -= size;
		segment_end(lane);
	}
}

static int flush(struct lane *lane)
{
	struct iovec iov[N_IOV];
	ssize_t n;
	int n_iov, r;

	if (lane->stream->wants_out) {
		r = stream_flush(lane->stream);
		if (r)
			return r;
	}
	for (;;) {
		plan(lane);
		n_iov = gather(lane, iov);
		if (!n_iov)
			return 0;
		n = stream_send(lane->stream, iov, n_iov);
		if (n < 0)
			return (int)n;
		sent(lane, (size_t)n);
	}
}

/* From within a callback of its own it has nothing to do: the outer call goes on. */
int lane_flush(struct lane *lane)
{
	int r;

	if (lane->is_sending || lane->phase != LANE_OPEN)
		return 0;
	lane->is_sending = true;
	r = flush(lane);
	lane->is_sending = false;
	return r;
}

void lane_kick(struct lane *lane)
{
	int r = lane_flush(lane);

	if (r && r != -EAGAIN && !lane->error)
		lane->error = r;
	if (lane->phase == LANE_OPEN)
		lane_arm(lane);
}

/* --- pushes ---------------------------------------------------------------------------------- */

void lane_push(struct lane *lane, struct lane_push *push)
{
	push->offset = 0;
	push->is_begun = false;
	if (lane->pushes) {
		push->next = lane->pushes;
		push->prev = lane->pushes->prev;
		push->prev->next = push->next->prev = push;
	} else {
		lane->pushes = push->next = push->prev = push;
	}
	lane_kick(lane);
}

/* Its frames in the plan go on without it. Returns whether an END is still to be queued. */
static bool forget(struct lane *lane, struct lane_push *push, enum frame_status status)
{
	bool is_open = true;
	struct lane_segment *s;
	unsigned i;
	size_t before;

	for (i = lane->segment_begin; i != lane->segment_end; i++) {
		s = segment_at(lane, i);
		if (s->push != push)
			continue;
		before = (size_t)s->pre_size + s->body_size;
		s->push = NULL;
		s->body = zeroes()->bytes;
		if (!s->post_size)
			continue;
		is_open = false;
		if (i != lane->segment_begin || lane->segment_done <= before) {
			s->post.flags = (uint8_t)status;
			s->post.argument = 0;
		}
	}
	return is_open;
}

void lane_push_abort(struct lane *lane, struct lane_push *push, enum frame_status status)
{
	struct frame head = {FRAME_MAGIC, FRAME_END, (uint8_t)status, 0, push->id, 0};

	if (forget(lane, push, status)) {
		push_unlink(lane, push);
		if (!push->is_begun)
			head.type = FRAME_HEAD;
		if (lane_queue(lane, &head, NULL) == -ENOMEM)
			lane->error = -ENOMEM;
	}
	push->done(push, false);
	lane_kick(lane);
}

bool lane_credit(struct lane *lane, uint64_t total)
{
	if (total < lane->n_granted || total > lane->n_pushed)
		return false;
	lane->n_granted = total;
	return true;
}

/* Each push once, wherever it is: in the ring, or with its last frame in the plan. */
void lane_drop_output(struct lane *lane)
{
	struct lane_push *push;
	struct lane_segment *s;
	unsigned i;

	while (lane->pushes) {
		push = lane->pushes;
		forget(lane, push, FRAME_FAILED);
		push_unlink(lane, push);
		push->done(push, false);
	}
	for (i = lane->segment_begin; i != lane->segment_end; i++) {
		s = segment_at(lane, i);
		push = s->push;
		if (!push)
			continue;
		forget(lane, push, FRAME_FAILED);
		push->done(push, false);
	}
	lane->segment_begin = lane->segment_end;
}
