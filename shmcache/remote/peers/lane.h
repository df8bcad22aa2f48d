/* SPDX-License-Identifier: Apache-2.0 */
/* lane.h: one connection of a link: frames in, frames out. */
#ifndef SHMCACHE_REMOTE_PEERS_LANE_H
#define SHMCACHE_REMOTE_PEERS_LANE_H

#include "shmcache/remote/peers/frame.h"
#include "shmcache/remote/peers/stream.h"
#include "shmcache/watch.h"

/*
 * A lane reads and checks frames and hands them to its owner, whole; the bodies of DATA frames
 * it receives where the owner wants them, without a copy but for what came along with a head.
 * It sends small frames in the order of the calls, and pushes: values, of which one frame each
 * is sent in turn, as far as the requester's credit goes.
 *
 * A lane that is broken says so by @broken, from lane_ready() or lane_tick() only, and does
 * nothing from then on but be closed: sending never frees anything beneath its caller.
 */
struct lane;
struct lane_push;

struct lane_ops {
	/* The connection stands, and its ends know who they are as far as TLS tells. */
	const char *(*opened)(struct lane *lane);
	/*
	 * A frame that is not DATA, checked (frame_check() or frame_check_first(),
	 * frame_check_body()). These return NULL, or what is wrong: the lane is broken then.
	 */
	const char *(*frame)(struct lane *lane, const struct frame *head, const uint8_t *body);
	/*
	 * A DATA frame begins: where its bytes go, or NULL: nowhere. They can be taken back:
	 * lane->land.
	 */
	const char *(*data)(struct lane *lane, const struct frame *head, uint8_t **land);
	/* Bytes of it are there, in order. Not told of what goes nowhere. */
	void (*part)(struct lane *lane, const uint8_t *bytes, size_t size);
	/* All of it; told of in any case. */
	const char *(*data_end)(struct lane *lane, const struct frame *head);
	/*
	 * The last call; @why is a sentence without a full stop. The owner closes the lane now
	 * or later.
	 */
	void (*broken)(struct lane *lane, const char *why);
};

enum lane_phase {
	LANE_CONNECTING, /* TCP */
	LANE_SECURING,   /* TLS */
	LANE_OPEN,
	LANE_BROKEN,
};

enum {
	LANE_SEGMENTS = 16, /* frames that are on their way out of a lane at once */
	LANE_PRE_MAX = 2 * sizeof(struct frame) + sizeof(struct frame_value),
};

/* A DATA frame on its way out, with the HEAD before the first and the END behind the last one. */
struct lane_segment {
	uint8_t pre[LANE_PRE_MAX], pre_size, post_size;
	struct frame post;
	const uint8_t *body;
	uint32_t body_size;
	struct lane_push *push; /* NULL: aborted */
	uint32_t n_small;       /* instead of all these: so many bytes of @out */
};

struct lane {
	struct watch watch; /* its descriptor is the stream's */
	struct stream *stream;
	int epoll;
	uint32_t armed; /* events that the set waits for */
	enum lane_phase phase;
	enum frame_side from; /* who the other end is */
	bool is_data;
	bool must_look; /* there may be something to read that epoll does not know of */
	bool is_sending;
	bool has_refused; /* one of the two ends: nothing more to say */
	size_t backlog_max; /* with more small frames waiting, none is taken */
	enum frame_type wanted; /* before the end of the hello: the only frame that may come */
	const struct lane_ops *ops;
	void *owner;
	int error; /* met while sending: -errno */
	uint64_t bytes_in, bytes_out;

	/* In: what was read and not yet taken, and the DATA frame that is being read. */
	uint8_t *in;
	uint32_t in_size, in_begin, in_end;
	struct frame head;
	uint8_t *land;
	uint32_t rest;

	/* Out: small frames, frames on their way, pushes. */
	uint8_t *out;
	size_t out_size, out_begin, out_end, out_planned; /* planned: behind out_begin */
	struct lane_segment segments[LANE_SEGMENTS];
	unsigned segment_begin, segment_end; /* run freely */
	size_t segment_done;                 /* bytes of the first that are gone */
	struct lane_push *pushes;            /* the next one in turn, of a ring */
	uint64_t window, n_granted, n_pushed;
};

/* A value that is pushed. The caller's from lane_push() to done(). */
struct lane_push {
	uint64_t id;
	struct frame_value value;
	const uint8_t *data;
	void (*sending)(struct lane_push *push, uint64_t offset, uint64_t size); /* may be NULL */
	uint64_t (*sum)(struct lane_push *push);
	void (*done)(struct lane_push *push, bool sent); /* it may be freed within */

	struct lane_push *next, *prev; /* the lane's */
	uint64_t offset;
	bool is_begun;
};

/*
 * Begin with @stream, which is the lane's from then on, even when this fails. @from: who the
 * other end is. 0 or -errno.
 */
int lane_init(struct lane *lane, int epoll, struct stream *stream, enum frame_side from,
	bool is_data, enum lane_phase phase, const struct lane_ops *ops, void *owner);
/*
 * Close it. All pushes are done(false) first. No-op on a lane that is all zero or closed.
 */
void lane_close(struct lane *lane);

/* The hello is over: frames of both kinds may come. 0 or -ENOMEM. */
int lane_settle(struct lane *lane, bool is_data);
/*
 * Move to another place and owner. @from is closed then, but must stay where it is until the
 * call that we are in returns.
 */
void lane_move(struct lane *to, struct lane *from, const struct lane_ops *ops, void *owner);

/* Time passes: a lane that failed while sending is told broken. */
void lane_tick(struct lane *lane);

/*
 * Send a frame, now or as soon as can be. 0, -ENOMEM, or -ENOTCONN when the lane is not open.
 * With lane_queue() it waits for lane_kick().
 */
int lane_send(struct lane *lane, const struct frame *head, const void *body);
int lane_queue(struct lane *lane, const struct frame *head, const void *body);
void lane_kick(struct lane *lane);
/* A last frame, as far as it goes out at once. */
void lane_refuse(struct lane *lane, enum frame_refusal reason, const char *sentence);
/* Bytes of small frames that wait. */
size_t lane_backlog(const struct lane *lane);

/*
 * Send the value of @push behind its HEAD, and its END. lane_credit() says false when @total is
 * a lie.
 */
void lane_push(struct lane *lane, struct lane_push *push);
/* done(false); the requester gets END with @status. */
void lane_push_abort(struct lane *lane, struct lane_push *push, enum frame_status status);
bool lane_credit(struct lane *lane, uint64_t total);

/* A value that is being received goes nowhere from now on. */
static inline void lane_let_fall(struct lane *lane, uint64_t id)
{
	if (lane->rest && lane->head.id == id)
		lane->land = NULL;
}

/* --- between lane.c and lane-send.c ---------------------------------------------------------- */

/* Send what can be sent. 0 or -errno. */
int lane_flush(struct lane *lane);
bool lane_has_output(const struct lane *lane);
void lane_drop_output(struct lane *lane);
/* Wait for what there is to wait for. */
void lane_arm(struct lane *lane);

#endif
