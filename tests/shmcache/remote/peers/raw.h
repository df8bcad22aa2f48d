/* SPDX-License-Identifier: Apache-2.0 */
/* raw.h: an end of a connection that says what the test likes, beside a pair. */
#ifndef TESTS_SHMCACHE_REMOTE_PEERS_RAW_H
#define TESTS_SHMCACHE_REMOTE_PEERS_RAW_H

#include "shmcache/remote/peers/hello.h"
#include "tests/shmcache/remote/peers/pair.h"

struct raw {
	int fd;
	struct frame head; /* of the last frame that came */
	uint8_t body[2048];
	struct frame_greet greet;
};

/* Connect to 127.0.0.1:@port. */
void raw_connect(struct raw *r, uint16_t port);
/* Take a connection of a listener that raw_listen() made, while the pair goes round. */
int raw_listen(uint16_t *port);
void raw_accept(struct raw *r, struct pair *p, int listener);
void raw_close(struct raw *r);

void raw_bytes(struct raw *r, const void *bytes, size_t size);
void raw_send(struct raw *r, enum frame_type type, uint8_t flags, uint32_t size, uint64_t id,
	uint64_t argument, const void *body);

/* The next frame, while the pair goes round. false: hung up, or nothing for six seconds. */
bool raw_receive(struct raw *r, struct pair *p);
/* Receive until a REFUSE: its sentence, or "" when it hung up without one. */
const char *raw_refusal(struct raw *r, struct pair *p);

/* As requester: knock, and wait for the greeting. */
bool raw_knock(struct raw *r, struct pair *p);
/*
 * A good hello of @from to "b", which the test may spoil before it is sent. @secret: of data
 * lanes.
 */
void raw_make_hello(struct raw *r, struct frame_hello *hello, const char *from, bool is_data,
	uint64_t link, const uint8_t *secret);
void raw_hello(struct raw *r, const struct frame_hello *hello);

/* As holder: greet and welcome whatever lane it is. */
void raw_welcome(struct raw *r, struct pair *p);
/* As another incarnation than it is, or as one who has another secret. */
void raw_welcome_as(struct raw *r, struct pair *p, uint64_t incarnation, const uint8_t *secret);
enum { RAW_INCARNATION = 9 };

#endif
