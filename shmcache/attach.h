/* SPDX-License-Identifier: Apache-2.0 */
/* attach.h: the listening socket, and the connections of clients. */
#ifndef SHMCACHE_ATTACH_H
#define SHMCACHE_ATTACH_H

#include <stddef.h>
#include <stdint.h>

#include "shmcache/watch.h"

struct broker;
struct handshake;
struct session;

struct attach {
	struct watch listener;
	struct handshake *oldest, **newest; /* in the order of arrival, thus of deadlines */
	unsigned n_handshakes;
	int spare_fd; /* given up for a moment when descriptors run out, to turn a client away */
	bool is_deaf; /* nobody can be taken in: the listener is not watched */
};

/* Listen on @path. 0, or -errno and a sentence. By the control thread, as all here. */
int attach_open(struct broker *b, const char *path, char *why, size_t why_size);

/* Close the socket and all handshakes, and remove @path. */
void attach_close(struct broker *b, const char *path);

/* Turn away who has not said hello in time; listen again after a pause. */
void attach_expire(struct broker *b, uint64_t now_ms);

/* --- attach-session.c ------------------------------------------------------------------------- */

/*
 * Listen to an attached client: its connection @fd, which is the session's now, and its process. 0
 * or -errno.
 */
int attach_watch_session(struct broker *b, struct session *s, int fd);

/*
 * It is gone, or is to be: its worker gets it. Only the control thread calls this, and once counts.
 */
void attach_end_session(struct broker *b, struct session *s);

/* End sessions that a worker has cut off. */
void attach_end_broken(struct broker *b);

#endif
