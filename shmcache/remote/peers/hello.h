/* SPDX-License-Identifier: Apache-2.0 */
/* hello.h: how two brokers that have a connection come to know each other. */
#ifndef SHMCACHE_REMOTE_PEERS_HELLO_H
#define SHMCACHE_REMOTE_PEERS_HELLO_H

#include "shmcache/remote/peers/frame.h"

/*
 *	requester                                holder
 *	(TLS: both certificates)
 *	KNOCK    version                -->
 *	                                <--      GREET    version, a nonce
 *	HELLO    who I am, whom I want,
 *	         which lane, the nonce  -->
 *	                                <--      WELCOME  which incarnation, or REFUSE
 *
 * The nonce is new for each connection: a hello that was recorded says another one. A data lane
 * belongs to the link whose control lane it follows: its hello has a token that only the two
 * ends of that control lane can make, and so has its welcome.
 *
 * Nothing here knows sockets. Any thread.
 */

/* What both ends say of themselves and of a link. */
struct hello_self {
	const char *cluster, *name;
	uint64_t incarnation, capacity;
};

/* One lane of a link, as its requester says it. */
struct hello_lane {
	bool is_data;
	uint8_t lane, n_lanes;
	uint64_t link, window;
};

/* A reason and a sentence: what a refusal says. */
struct hello_refusal {
	enum frame_refusal reason;
	char sentence[FRAME_SENTENCE_MAX];
};

/* A greeting with a new nonce. 0 or -errno. */
int hello_greet(struct frame_greet *greet);

/* The version of a KNOCK or a GREET is ours? false, and the refusal. */
bool hello_check_version(uint64_t magic, uint64_t raw_version, struct hello_refusal *no);

/*
 * The answer to @greet: to the member @to. @secret is what stream_export() gave for the control
 * lane, NULL on the control lane itself.
 */
void hello_make(struct frame_hello *hello, const struct hello_self *self, const char *to,
	const struct hello_lane *lane, const struct frame_greet *greet, const uint8_t *secret);

/*
 * Is @raw a hello to us, said to this @greet, by whom TLS says it is (@peer, "": it does not
 * say)? false, and why not. Then the fields are safe to use, and the names end. Whether the
 * caller is a member and the token right is asked elsewhere: is_member(), hello_check_token().
 */
bool hello_check(const struct frame_hello *raw, const struct hello_self *self,
	const struct frame_greet *greet, const char *peer, struct hello_refusal *no);

/* Was this hello's token made with @secret? In constant time. */
bool hello_check_token(const struct frame_hello *hello, const uint8_t *secret);

/* @hello: the one that is answered. @secret: as for hello_make(). */
void hello_welcome(struct frame_welcome *welcome, const struct hello_self *self,
	const struct frame_hello *hello, const uint8_t *secret);
bool hello_check_welcome(const struct frame_welcome *raw, const struct frame_hello *hello,
	const uint8_t *secret);

/* Fill in a refusal. Always false. */
bool hello_refuse(struct hello_refusal *no, enum frame_refusal reason, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif
