/* SPDX-License-Identifier: Apache-2.0 */
/* wire.h: the attach protocol: messages on a Unix socket, and the names of the shared objects. */
#ifndef IPC_WIRE_H
#define IPC_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ipc/abi.h"

/*
 * SOCK_SEQPACKET, one struct a message, native byte order (one host). The client speaks first:
 *
 *	HELLO      ->           version, fingerprint, role wanted
 *	           <- WELCOME   descriptors: index, request, response, dram, [cxl]
 *	           or REFUSED   status and a sentence
 *	LANE_OPEN  ->           whenever one of its threads needs a lane
 *	           <- LANE      descriptor: the lane's doorbell, or none and a status
 *	HAND_OVER  ->           descriptor: the request region of a session at a former broker,
 *	                        which this one could not find by itself; no answer
 *	SUBSCRIBE  ->           which kinds of events it wants to hear of, from now on
 *	           <- EVENTS    descriptor: the region of events (events.h), or none and a status
 *	WAIT       ->           it has read the ring of events up to here, and goes to sleep
 *	           <- READY     once, as soon as there is one of its kinds behind that
 *
 * or, of the broker's own user or root, instead of HELLO:
 *
 *	CONTROL    ->           what to do
 *	           <- TOLD      any number of sentences, the last one with the outcome
 *	           or PEERS     descriptor: a table of them, or none where there are none
 *
 * The socket stays open; its hang-up is how either side learns that the other is gone.
 *
 * A doorbell is one end of a socket pair, non-blocking at each use (MSG_DONTWAIT) whatever the
 * other side does to the descriptor's flags; an eventfd has no such per-call switch, and a client
 * that fills one could block the broker in write(2). A byte from the client wakes the worker, a
 * byte from the broker wakes the client's thread, and the client's end is what its event loop
 * polls.
 */
enum wire_type {
	WIRE_HELLO = 1,
	WIRE_WELCOME = 2,
	WIRE_REFUSED = 3,
	WIRE_LANE_OPEN = 4,
	WIRE_LANE = 5,
	WIRE_CONTROL = 6,
	WIRE_TOLD = 7,
	WIRE_HAND_OVER = 8,
	WIRE_SUBSCRIBE = 9,
	WIRE_EVENTS = 10,
	WIRE_WAIT = 11,
	WIRE_READY = 12,
	WIRE_PEERS = 13,
};

/* What a CONTROL asks for. */
enum wire_command {
	WIRE_COMMAND_NONE = 0,
	WIRE_COMMAND_RELOAD = 1, /* read the configuration again */
	WIRE_COMMAND_DRAIN = 2,	 /* no new sessions; stop when nothing is held any more */
	WIRE_COMMAND_PEERS = 3,	 /* tell of the other brokers */
	WIRE_N_COMMANDS = 4,
};

/* What a TOLD tells. */
enum wire_outcome {
	WIRE_OUTCOME_MORE = 0, /* more will be told */
	WIRE_OUTCOME_DONE = 1,
	WIRE_OUTCOME_FAILED = 2,
};

/* Why an attach was refused. Explicit numbers: they are the protocol. */
enum wire_refusal {
	WIRE_REFUSAL_NONE = 0,
	WIRE_REFUSAL_VERSION = 1,
	WIRE_REFUSAL_ACCESS = 2,
	WIRE_REFUSAL_FULL = 3,
	WIRE_REFUSAL_RESOURCES = 4,
	WIRE_REFUSAL_STOPPING = 5,
	WIRE_N_REFUSALS = 6,
};

/* A static name, "?" for what there is none. */
const char *wire_refusal_name(unsigned refusal);

#define WIRE_HELLO_MEMBARRIER (1U << 0) /* registered: its readers need no fence */

struct wire_head {
	uint32_t type; /* enum wire_type */
	uint32_t size; /* of the whole message */
};

struct wire_hello {
	struct wire_head head;
	uint64_t magic;
	uint64_t fingerprint;
	uint32_t version;
	uint32_t role; /* the most it wants: enum wire_role, 0: all it may have */
	uint32_t flags;
	uint32_t zero;
};

enum wire_role {
	WIRE_ROLE_NONE = 0,
	WIRE_ROLE_READER = 1,
	WIRE_ROLE_STAGER = 2,
	WIRE_ROLE_WRITER = 3,
	WIRE_N_ROLES = 4,
};

struct wire_welcome {
	struct wire_head head;
	uint64_t session;
	uint64_t epoch;
	uint64_t index_size, dram_size, cxl_size;
	uint32_t role;
	uint32_t n_descriptors;
	uint32_t n_lanes, n_queue, n_holds, n_log, staging_size;
	uint32_t line; /* its own, of the session directory */
	/* The CXL tier begins there in what its descriptor names, and an address for it has to be a
	 * multiple of that, a power of two: a device allows no other map. */
	uint64_t cxl_off, cxl_align;
};

struct wire_refused {
	struct wire_head head;
	uint32_t refusal; /* enum wire_refusal */
	char why[252];	  /* ends with a NUL */
};

struct wire_lane_open {
	struct wire_head head;
};

struct wire_lane {
	struct wire_head head;
	uint32_t lane;
	uint32_t status; /* enum abi_status: OK, QUOTA or NOMEM */
};

struct wire_control {
	struct wire_head head;
	uint32_t command;   /* enum wire_command */
	uint32_t within_ms; /* DRAIN: stop after this time, whatever is held then; 0: never */
};

struct wire_told {
	struct wire_head head;
	uint32_t outcome; /* enum wire_outcome */
	char text[252];	  /* ends with a NUL */
};

#define WIRE_PEERS_JOINED (1U << 0) /* there is a section [remote] */
#define WIRE_PEERS_SHARD (1U << 1)  /* the broker keeps a shard of the directory */

/*
 * The descriptor is a memfd of @n lines of @line_size bytes, sealed against all changes: however
 * many there are, they are one message, that can't be cut short by who does not read.
 */
struct wire_peers {
	struct wire_head head;
	uint32_t n;
	uint32_t line_size; /* at least sizeof(struct wire_peer) */
	uint32_t flags;
	uint32_t zero;
	uint64_t n_records; /* keys that the shard here knows a holder of */
	char name[64], cluster[64], listen[128]; /* the broker's own; end with a NUL */
};

enum wire_peer_state {
	WIRE_PEER_CONNECTING = 0, /* or about to try again */
	WIRE_PEER_UP = 1,
	WIRE_PEER_REFUSED = 2,    /* one refused the other */
	WIRE_PEER_LEFT_ALONE = 3, /* connected, but so much failed that it is not asked for a while */
	WIRE_N_PEER_STATES = 4,
};

/* One line. Counters since the broker started; all as of the last second. */
struct wire_peer {
	char name[64], address[128]; /* strings end with a NUL */
	char why[320];		     /* there is no connection */
	uint32_t state;		     /* enum wire_peer_state */
	uint32_t n_lanes;	     /* connections for values that stand */
	uint64_t state_ms;	     /* it has been in that state for so long */
	uint64_t n_links;	     /* times that a connection came up */
	uint64_t n_fetches, n_misses, n_failures; /* values it was asked for; of these, without one */
	uint64_t received_bytes;		  /* of values that it sent */
	uint64_t n_served, sent_bytes;		  /* values that were sent to it */
	uint64_t rtt_ns, p50_ns, p99_ns; /* of a ping; of fetches that brought a value; 0: none yet */
	uint64_t capacity, free;	 /* of its tiers, as it says; free UINT64_MAX: it does not */
	uint64_t n_records; /* keys that the shard here knows it to hold */
};

struct wire_hand_over {
	struct wire_head head;
	uint64_t session; /* at the former broker */
};

struct wire_subscribe {
	struct wire_head head;
	uint32_t kinds; /* 1 << enum event_kind; 0: none any more */
	uint32_t zero;
};

struct wire_events {
	struct wire_head head;
	uint32_t status; /* enum abi_status: OK or NOMEM */
	uint32_t zero;
	uint64_t size; /* of the region; 0: there is none, and no descriptor */
};

struct wire_wait {
	struct wire_head head;
	uint64_t position; /* in the ring of events: read up to there */
};

struct wire_ready {
	struct wire_head head;
};

union wire_message {
	struct wire_head head;
	struct wire_hello hello;
	struct wire_welcome welcome;
	struct wire_refused refused;
	struct wire_lane_open lane_open;
	struct wire_lane lane;
	struct wire_control control;
	struct wire_told told;
	struct wire_hand_over hand_over;
	struct wire_subscribe subscribe;
	struct wire_events events;
	struct wire_wait wait;
	struct wire_ready ready;
	struct wire_peers peers;
};

#define WIRE_DESCRIPTORS_MAX 5

/*
 * Send a message of @type and @size (the head is filled in) with @n descriptors. Never blocks.
 * -EAGAIN when the other side does not read, -EPIPE when it is gone.
 */
int wire_send(int fd, enum wire_type type, void *message, size_t size, const int *descriptors,
	size_t n);

/*
 * Receive one message of at most sizeof(*message); never blocks. Its head has been checked: the
 * size is what arrived, the type's own size is the least (one up to the union's may be longer).
 * *n gets the number of descriptors, close-on-exec, which are the caller's (always written; there
 * are none on failure). -EAGAIN: nothing there; -EPIPE: hang-up; -EBADMSG: nonsense;
 * -EMFILE: a message is lost, for there was no room for its descriptors.
 */
int wire_receive(int fd, union wire_message *message, int descriptors[WIRE_DESCRIPTORS_MAX],
	size_t *n);

/*
 * A doorbell. Ring it (a full one has rung already); empty it. Neither blocks. False: the kernel
 * had no memory to ring it, and nobody is woken.
 */
bool wire_ring(int fd);
/* Returns false when the other end is closed. */
bool wire_ring_drain(int fd);

/* Is @name one that a cache may have? */
bool wire_name_is_valid(const char *name);

enum wire_object {
	WIRE_OBJECT_PLANE,
	WIRE_OBJECT_INDEX,
	WIRE_OBJECT_DRAM,
	WIRE_OBJECT_CXL,
	WIRE_OBJECT_LOCK,
};

/* The POSIX shared memory name of a cache's object. @size of 64 is enough for any valid name. */
void wire_object_name(const char *name, enum wire_object object, char *out, size_t size);

/* The default socket path of a cache: beside its plane. @size of ABI_SOCKET_PATH_MAX is enough. */
void wire_socket_path(const char *name, char *out, size_t size);

#endif
