/* SPDX-License-Identifier: Apache-2.0 */
/* liar.h: a peer that says what it is told to say. */
#ifndef TESTS_REMOTE_LIAR_H
#define TESTS_REMOTE_LIAR_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/remote/line.h"
#include "tests/support/net.h"
#include "tests/support/secure.h"

/* What it does with a FETCH. All but LIAR_HONEST are to be seen through. */
enum liar_lie {
	LIAR_HONEST,	    /* SIZE bytes 'x', and their sum */
	LIAR_WRONG_SUM,
	LIAR_WRONG_BYTES,   /* other bytes than those that were summed up */
	LIAR_TOO_MANY,	    /* more bytes than the head said */
	LIAR_TOO_FEW,	    /* an end before all bytes */
	LIAR_ENDLESS,	    /* data without end */
	LIAR_HUGE,	    /* a head that says 2^60 bytes */
	LIAR_EMPTY,	    /* a head that says none */
	LIAR_NO_HEAD,	    /* data before any head */
	LIAR_TWO_HEADS,
	LIAR_OTHER_ID,	    /* the answer to a fetch that nobody made */
	LIAR_BACKWARDS,	    /* offsets in another order */
	LIAR_LONG_FRAME,    /* a frame of 3 GiB */
	LIAR_NO_FRAME,	    /* bytes that are no frame */
	LIAR_WRONG_LANE,    /* an answer to a lookup, on a data lane */
	LIAR_HALF_A_FRAME,  /* and then nothing */
	LIAR_SILENT,
	LIAR_HANGS_UP,	    /* in the middle of the body */
	LIAR_N_LIES,
};

#define LIAR_SIZE 3000000

/*
 * Who it is: on which host, how it shows that, and what it says. @certificate: of the files, NULL:
 * none; not looked at with SECURE_NONE.
 */
struct liar_self {
	const struct net *net;
	unsigned host;
	enum secure_mode mode;
	const struct scratch *files;
	const char *certificate, *name;
};

/*
 * A holder: accepts links at @port, says a proper hello, and from then on serves a FETCH by *lie as
 * it is at that moment. It has a thread for each connection, and one more; all end with
 * liar_stop().
 */
struct liar;
struct liar *liar_start(const struct liar_self *self, uint16_t port, const _Atomic unsigned *lie);
void liar_stop(struct liar *liar);

/*
 * A requester, in steps. Where he calls: @port of host @host, to one who is called @name. What
 * comes to nothing closes the line. liar_knock(): up to the greeting; @is_clear: without TLS,
 * whatever the mode.
 */
struct liar_target {
	unsigned host;
	uint16_t port;
	const char *name;
};
bool liar_knock(const struct liar_self *self, const struct liar_target *to, bool is_clear,
	struct line *w, struct frame_greet *greet);
/* A proper hello to that greeting. @secret: of a data lane, NULL: a control lane. */
void liar_make_hello(const struct liar_self *self, const struct liar_target *to, uint64_t link,
	const uint8_t *secret, const struct frame_greet *greet, struct frame_hello *hello);
/* Say it: 0: welcome, or the enum frame_refusal, or -1: the other end hung up. */
int liar_hello(struct line *w, const struct frame_hello *hello);

/*
 * All of it. A data lane belongs to the link with the number of a control lane: @control, or NULL.
 */
int liar_call(const struct liar_self *self, const struct liar_target *to, uint64_t link,
	const struct line *control, struct line *w);
/* Up to the greeting, in another version of the protocol: was it refused as such? */
bool liar_is_refused(const struct liar_self *self, const struct liar_target *to, uint64_t version);
/* Only connected: fd is negative where that failed. */
struct line liar_connect(const struct liar_self *self, const struct liar_target *to);

const char *liar_lie_name(unsigned lie);

#endif
