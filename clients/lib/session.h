/* SPDX-License-Identifier: Apache-2.0 */
/* session.h: one attachment to one run of a broker: its maps and lanes. */
#ifndef CLIENTS_LIB_SESSION_H
#define CLIENTS_LIB_SESSION_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "clients/lib/connection.h"
#include "clients/lib/gate.h"
#include "clients/lib/lane.h"

enum session_map {
	SESSION_MAP_PLANE,
	SESSION_MAP_INDEX,
	SESSION_MAP_REQUEST,
	SESSION_MAP_RESPONSE,
	SESSION_MAP_DRAM,
	SESSION_MAP_CXL,
	SESSION_MAPS,
};

struct session_area {
	uint8_t *data; /* NULL: not mapped */
	size_t size;
};

/*
 * A session outlives its broker: it is kept, dead, as long as somebody may touch its maps. Those
 * are the views, by their hold cells, the threads in the middle of a call, by their marks, and
 * the users: queues, open reservations, scans.
 */
struct session {
	uint64_t serial; /* of this process, never 0, never used again */
	struct session *next;
	const struct abi_plane *plane;
	uint64_t id, epoch;
	const struct abi_session *line; /* ours in the plane's directory, while it has our id */
	enum wire_role role;
	bool is_fenced;
	uint32_t spin_ns, spin_for_others_ns; /* for an answer; for several of other brokers */
	struct abi_geometry geometry;
	struct session_area map[SESSION_MAPS];
	int socket;
	int request_fd; /* kept: by it a broker that comes back finds our holds */
	atomic_bool is_dead;
	_Atomic uint32_t n_users;

	/* The conversation on the socket: whoever is inside speaks. */
	struct gate talk;
	bool is_lane_asked;
	uint32_t n_lanes_open;

	struct lane *lane; /* geometry.n_lanes */
};

/*
 * Make a session of a connection that was welcomed; takes the connection and the descriptors,
 * whatever the result. 0, -EPROTONOSUPPORT or -ECONNREFUSED when what was sent does not fit
 * together, -ENOMEM, or what mmap() said.
 */
int session_new(struct session **session, struct connection *connection,
	struct connection_welcome *welcome, uint32_t spin_ns, struct reason *why);

/* Unmap and free. @is_child: in a fork's child, which has no maps to undo. */
void session_free(struct session *session, bool is_child);

/*
 * Is nobody left who may touch the maps of this dead session, but for threads whose marks are to be
 * looked at before?
 */
bool session_is_idle(struct session *session);

/* A reserved block, by what submission_location() made. */
uint8_t *session_location(const struct session *session, uint64_t location);

/*
 * Does whoever is in charge of the memory honour the holds of this session? To be asked behind an
 * acquire fence that keeps what was read by them before.
 */
bool session_is_honoured(const struct session *session);

/* Show the broker of @session what @former holds, if it waits for that. Never blocks. */
void session_hand_over(const struct session *session, const struct session *former);

/* Is the broker of this session still in charge? Two loads. */
bool session_is_current(const struct session *session);

/*
 * A lane of @session for @owner: one that it has, or that nobody has, or a new one for which the
 * broker is asked, until @deadline. 0, SHMC_QUOTA, -ETIMEDOUT, -ENOTCONN, -ENOMEM. The caller is a
 * user of the session.
 */
int session_lane_claim(
	struct session *session, uint64_t owner, uint64_t deadline, struct lane **lane);

/* Give all lanes of @owner back. */
void session_lanes_release(struct session *session, uint64_t owner);

#endif
