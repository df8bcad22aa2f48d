/* SPDX-License-Identifier: Apache-2.0 */
/* liar.h: a peer that says what it is told to say. */
#ifndef TESTS_REMOTE_LIAR_H
#define TESTS_REMOTE_LIAR_H

#include <stdbool.h>
#include <stdint.h>

#include "shmcache/remote/peers/frame.h"
#include "tests/support/net.h"

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
 * A holder on @host: accepts links at @port, says a proper hello as @name, and from then on serves a
 * FETCH by *lie as it is at that moment. It has a thread for each connection, and one more; all end
 * with liar_stop().
 */
struct liar;
struct liar *liar_start(const struct net *net, unsigned host, uint16_t port, const char *name,
	const _Atomic unsigned *lie);
void liar_stop(struct liar *liar);

/*
 * A requester on @host, who has said a proper hello as @name to broker @to: a connected lane, or -1 when
 * he was refused. A data lane belongs to the link with the number of a control lane.
 */
int liar_call(const struct net *net, unsigned host, unsigned to_host, uint16_t port, const char *name,
	const char *to, uint64_t link, bool is_data);
/* The same up to the greeting, in another version of the protocol: was it refused as such? */
bool liar_is_refused(const struct net *net, unsigned host, unsigned to_host, uint16_t port,
	uint64_t version);
/* Only connected. */
int liar_connect(const struct net *net, unsigned host, unsigned to_host, uint16_t port);

/* All of it, or false: the other end hung up. */
bool liar_send(int fd, const void *data, size_t size);
bool liar_send_frame(int fd, uint8_t type, uint8_t flags, uint64_t id, uint64_t argument,
	const void *body, uint32_t size);
bool liar_receive(int fd, void *data, size_t size);

const char *liar_lie_name(unsigned lie);

#endif
