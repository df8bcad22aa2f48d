/* SPDX-License-Identifier: Apache-2.0 */
/* plane.h: the page that everybody finds by name, and the lock on that name. */
#ifndef SHMCACHE_PLANE_H
#define SHMCACHE_PLANE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ipc/abi.h"

/* Lines of the directory: the sessions, and as many again of former brokers. */
#define PLANE_SESSIONS_MAX (2 * ABI_SESSIONS_MAX)

struct plane {
	struct abi_plane *shared;
	size_t size;
	int lock_fd;	    /* holds the name while we live */
	bool is_succession; /* a former broker's plane was there, and those who map it were told */
	bool has_lines;	    /* and its session directory stands */
	char name[ABI_NAME_MAX + 1];
};

/*
 * Take the name: from here to plane_close() no other broker can. -EBUSY and a sentence with the
 * other's pid when one has it.
 */
int plane_lock(struct plane *p, const char *name, char *why, size_t why_size);

/*
 * Open the plane that is there, or make one, in the state STARTING and with the next epoch. Clients
 * of a former broker on the same plane see by the epoch that it is gone; their lines in the session
 * directory stay. It has room for @n_sessions_max, or for more.
 */
int plane_open(struct plane *p, const char *socket_path, unsigned n_sessions_max,
	unsigned n_workers, bool fence_needed, char *why, size_t why_size);

void plane_set_state(struct plane *p, enum abi_state state);

/* A free line of the session directory, or NULL. The caller fills it and stores .id last. */
struct abi_session *plane_session_slot(struct plane *p);

/* Unmap and let go of the name; @unlink removes plane and lock. */
void plane_close(struct plane *p, bool unlink);

#endif
