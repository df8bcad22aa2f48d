/* SPDX-License-Identifier: Apache-2.0 */
/* connection.h: from a cache's name to a broker's welcome, without blocking. */
#ifndef CLIENTS_LIB_CONNECTION_H
#define CLIENTS_LIB_CONNECTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ipc/abi.h"
#include "ipc/wire.h"

/* Where a sentence for a person goes; text may be NULL. */
struct reason {
	char *text;
	size_t size;
};

__attribute__((format(printf, 2, 3)))
void reason_set(struct reason *why, const char *format, ...);

struct connection {
	const struct abi_plane *plane; /* NULL: not begun */
	size_t plane_size;
	int socket; /* -1: not connected yet */
	bool is_fenced;
	enum wire_role role; /* the most it wants */
};

struct connection_welcome {
	struct wire_welcome message;
	int fd[WIRE_DESCRIPTORS_MAX];
	size_t n_fds;
};

/*
 * Find the plane of @name and see that it is one that we understand and that a broker serves it.
 * 0, -ENOENT, -ECONNREFUSED, -EPROTONOSUPPORT, -EACCES and others of shm_open() and mmap().
 */
int connection_begin(struct connection *c, const char *name, enum wire_role role,
	struct reason *why);

/*
 * Connect, and say nothing yet: the first half of a step. 0; -EAGAIN, see connection_wait(); else
 * as connection_step().
 */
int connection_open(struct connection *c, struct reason *why);

/*
 * Go on as far as it goes. 0: welcomed, the descriptors are the caller's; -EAGAIN: the broker has
 * yet to do something, see connection_wait(). Else: the errors of shmc_attach().
 */
int connection_step(
	struct connection *c, struct connection_welcome *welcome, struct reason *why);

/* Wait until another step may do something, or the deadline. 0 or -ETIMEDOUT. */
int connection_wait(const struct connection *c, uint64_t deadline);

/* Give up. Nothing to do for one that was not begun, or became a session. */
void connection_end(struct connection *c);

#endif
