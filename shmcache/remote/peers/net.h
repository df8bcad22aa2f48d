/* SPDX-License-Identifier: Apache-2.0 */
/* net.h: what the sources behind link.h share. */
#ifndef SHMCACHE_REMOTE_PEERS_NET_H
#define SHMCACHE_REMOTE_PEERS_NET_H

#include "shmcache/remote/peers/hello.h"
#include "shmcache/remote/peers/lane.h"
#include "shmcache/remote/peers/link.h"
#include "shmcache/remote/peers/resolve.h"
#include "shmcache/remote/peers/stream-tls.h"

/*
 *	net.c       the net: settings, time
 *	listener.c  connections that come, until it is known whose they are
 *	guest.c     links to us: control lanes, questions
 *	serve.c     their data lanes: requests, values that are pushed
 *	link.c      links of ours: connecting, pings, questions
 *	fetch.c     their data lanes: fetches, values that come
 *
 * All structs here are private data of the one thread.
 */

/* Somebody who connected and has not said who it is. */
struct stranger {
	struct lane lane; /* free: no stream */
	struct link_net *net;
	struct frame_greet greet;
	uint64_t number; /* later ones have higher ones */
	uint64_t since_ms;
	char from[64]; /* address, for the log */
};

struct link_net {
	struct link_settings settings;
	struct hello_self self;
	const struct link_guest_events *events;
	void *owner;
	int epoll;
	struct log *log;
	struct tls *tls; /* NULL: LINK_NONE */
	uint64_t now_ms; /* of the last tick */
	uint64_t free_told; /* bytes of our tiers that are free, and one; 0: not known */
	uint64_t n_links; /* ever: numbers them */
	bool must_review;
	bool is_deaf; /* no descriptor for who comes, until the next tick */
	struct link *links;
	struct link_guest *guests;
	struct watch listener;
	struct stranger strangers[LINK_STRANGERS_MAX];
	struct link_net_stats stats;
};

/* --- links ----------------------------------------------------------------------------------- */

/*
 * A fetch on its way. Slots of a lane hold them from FETCH to END, longer than their fetch may
 * want.
 */
struct link_pending {
	struct link_fetch *fetch; /* NULL: cancelled */
	struct link_lane *lane;   /* NULL: waits for one with a place */
	struct link *link;
	struct link_pending *next; /* while it waits */
	uint64_t id, cancelled_ms;
	bool has_head;
	struct frame_value value;
	uint64_t offset;
	uint8_t *land;
	struct sum *sum; /* NULL: one piece, or nothing yet */
	uint64_t whole_sum;       /* of a value that came in one piece */
	uint32_t wait_ms;
	uint16_t key_size;
	uint8_t key[];
};

struct link_lane {
	struct lane lane;
	struct link *link;
	uint8_t number;
	bool is_welcome;
	struct frame_hello hello; /* as it was said */
	struct link_pending *slots[LINK_FETCHES_MAX];
	unsigned n_fetches;
	bool has_asked; /* for something, since the last link_kick() */
	uint64_t n_taken, n_told; /* bytes of values; credit */
};

enum link_state {
	LINK_IDLE,      /* until retry_ms */
	LINK_RESOLVING, /* the name */
	LINK_CALLING,   /* the control lane is on its way */
	LINK_JOINING,   /* the data lanes are */
	LINK_UP,
};

struct link {
	struct link *next;
	struct link_net *net;
	const struct link_events *events;
	void *owner;
	enum link_state state;
	struct resolve *resolve;
	union address address;
	uint64_t number; /* of this attempt */
	uint64_t retry_ms, begun_ms, heard_ms, heard_bytes, pinged_ms, ping_ns;
	uint32_t pause_ms;
	uint8_t secret[FRAME_TOKEN_SIZE];
	uint64_t incarnation, capacity;
	uint64_t free_told; /* as struct link_net's, of the peer */
	struct link_lane control, data[LINK_LANES_MAX];
	unsigned n_joined, n_questions;
	bool refuses;    /* this attempt is about to end in a refusal */
	bool is_refused; /* the last one has */
	uint64_t answered_ms; /* last, or when the first question was asked */
	struct link_pending *waiting, **waiting_end;
	uint64_t next_id;
	uint64_t usual_size; /* of values that came; 0: none yet */
	struct link_stats stats; /* of lanes that are closed */
	char name[FRAME_NAME_SIZE];
	char where[]; /* "host:port" */
};

void link_tick(struct link *link);
/* The link falls: fetches end, lanes are closed, down(). */
void link_fall(struct link *link, const char *why);

/* fetch.c: frames of data lanes, and what ends with them. */
extern const struct lane_ops fetch_lane_ops;
void fetch_end_all(struct link *link, enum link_result result);
/* A cancelled fetch that the holder does not end. */
bool fetch_is_stuck(const struct link *link);
/* For so long nobody listened to the holder. */
void fetch_forgive(struct link *link, uint64_t ms);

/* link.c: control lanes; and, for lanes of both kinds, how they say hello. */
extern const struct lane_ops link_control_ops;
const char *link_lane_opened(struct lane *lane);
const char *link_lane_first(struct link_lane *l, const struct frame *head, const uint8_t *body);
void link_lane_broken(struct lane *lane, const char *why);

/* --- guests ---------------------------------------------------------------------------------- */

struct serve {
	struct link_request request; /* first */
	struct guest_lane *lane;
	struct serve *next, **link;
	uint64_t id;
	bool is_pushed;
	struct lane_push push;
	struct link_body body;
	uint8_t key[];
};

struct guest_lane {
	struct lane lane; /* no stream: not joined */
	struct link_guest *guest;
	struct serve *serves;
	unsigned n_serves;
};

struct link_guest {
	struct link_guest *next;
	struct link_net *net;
	char name[FRAME_NAME_SIZE];
	uint64_t incarnation, link, window;
	uint8_t n_lanes;
	uint8_t secret[FRAME_TOKEN_SIZE];
	uint64_t heard_ms, heard_bytes;
	unsigned n_questions;
	struct lane control;
	struct guest_lane data[];
};

/*
 * A hello that hello_check() passed: take the lane of @s over, or refuse. On a refusal returns
 * false with @no, and the lane is still the stranger's.
 */
bool guest_take(struct stranger *s, const struct frame_hello *hello, struct hello_refusal *no);
void guest_end(struct link_guest *guest, const char *why);
void guest_tick(struct link_guest *guest);

/* serve.c */
extern const struct lane_ops serve_lane_ops;
void serve_end_all(struct guest_lane *l);

/* --- the listener ---------------------------------------------------------------------------- */

void listener_tick(struct link_net *net);
void listener_close(struct link_net *net);
/* A connection that came; takes @fd over. */
void listener_take(struct link_net *net, int fd, const union address *from);

/* The secret of a control lane, NULL on one. */
static inline const uint8_t *secret_of(bool is_data, const uint8_t *secret)
{
	return is_data ? secret : NULL;
}

#endif
