/* SPDX-License-Identifier: Apache-2.0 */
/* link.h: connections to other brokers, and from them. */
#ifndef SHMCACHE_REMOTE_PEERS_LINK_H
#define SHMCACHE_REMOTE_PEERS_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shmcache/log/log.h"
#include "shmcache/remote/peers/frame.h"

/*
 * A *link* leads from this broker to another one, which it may ask: one control lane and some
 * data lanes, connections that this side opens, and opens again when they break. A *guest* is
 * the other end of somebody's link to us. The *net* is what all links and guests of a broker
 * share.
 *
 * Everything here is for one thread, the one that waits on the epoll set. No call waits, and
 * none calls back before it returns unless it says so; from within a callback every call is
 * allowed, but for link_net_free() and link_close(). What a peer says is checked before anybody
 * else sees it: types, lengths, order, ids of fetches, sums of values. What a peer may lie
 * about all the same is said below.
 */
struct link_net;
struct link;
struct link_guest;

enum link_security {
	LINK_TLS,  /* mutual TLS 1.3 */
	LINK_NONE, /* everybody who can connect is believed */
};

/* All strings must outlive the net. */
struct link_settings {
	const char *cluster, *name; /* ours: as frame_name_is_valid() */
	uint64_t incarnation;       /* of this broker: another number at each start */
	uint64_t capacity;          /* of our tiers, bytes: told to who connects */
	enum link_security security;
	bool data_tls;                      /* data lanes are TLS too, not only bound to it */
	bool insecure_network;              /* LINK_NONE beyond the loopback, too */
	const char *ca, *certificate, *key; /* PEM files; for LINK_TLS */
	const char *congestion;             /* TCP_CONGESTION of our sockets; NULL: the system's */
	unsigned n_lanes;                   /* data lanes of a link: 1 to LINK_LANES_MAX */
	uint64_t window;                    /* bytes on their way to us on a lane, at most */
	unsigned n_guests_max;              /* links to us at once */
	uint32_t hello_ms;                  /* to be known in; 0: LINK_HELLO_MS */
	uint32_t silence_ms;                /* without a sign of life; 0: LINK_SILENCE_MS */
};

enum {
	LINK_LANES_MAX = 16,
	LINK_FETCHES_MAX = 64, /* on one lane; more wait on our side */
	LINK_HELLO_MS = 2000,
	LINK_SILENCE_MS = 3000,
	LINK_STRANGERS_MAX = 64, /* connections that have not said who they are */
	LINK_TICK_MS = 100,
	LINK_WHY_SIZE = 320,
};

/* --- fetches: requester's side --------------------------------------------------------------- */

enum link_result {
	LINK_OK,
	LINK_MISS,        /* the holder has not got it */
	LINK_BUSY,        /* the holder has too much to do */
	LINK_REFUSED,     /* the holder can't, or gave up on its way */
	LINK_CORRUPT,     /* the bytes don't have the sum that the holder told */
	LINK_UNREACHABLE, /* the link is down, or fell */
	LINK_CANCELLED,   /* by link_fetch_cancel(), or by land() */
};

/*
 * One transfer. The caller's, embedded in what it belongs to; the link's between link_fetch()
 * and done(). There is no deadline here: cancel.
 */
struct link_fetch {
	const void *key; /* read by link_fetch() only, which may keep a copy */
	uint16_t key_size;
	uint32_t wait_ms; /* told to the holder, who gives up by itself then */
	/*
	 * Where the value shall go: value->size bytes, which the link writes until done().
	 * NULL: not wanted, done(LINK_CANCELLED) follows. The holder may lie about all of
	 * @value: bound the size yourself.
	 */
	uint8_t *(*land)(struct link_fetch *fetch, const struct frame_value *value);
	/*
	 * Exactly once, and the last thing the link does with @fetch: it may be used anew
	 * within.
	 */
	void (*done)(struct link_fetch *fetch, enum link_result result);

	uint64_t *n_come; /* counts the bytes of the value as they come; NULL: who cares */

	struct link_pending *pending; /* the link's */
};

/*
 * Ask for a value, with the next link_kick(). done() may be called before this returns only with
 * LINK_UNREACHABLE (the link is down).
 */
void link_fetch(struct link *link, struct link_fetch *fetch);
/* Send what was asked for since the last time: together, by one system call a lane. */
void link_kick(struct link *link);
/* Give it up: done(LINK_CANCELLED) is called before this returns. */
void link_fetch_cancel(struct link_fetch *fetch);

/* --- links: requester's side ----------------------------------------------------------------- */

/* What a link tells. @owner is as given to link_open(). */
struct link_events {
	/* Control and data lanes stand. */
	void (*up)(void *owner, uint64_t incarnation, uint64_t capacity);
	/*
	 * It fell, or an attempt to connect failed (was_up tells which); it tries again by
	 * itself, with growing pauses up to 2 s. All its fetches ended with LINK_UNREACHABLE
	 * before this; what was looked up or erased will not be answered any more.
	 */
	void (*down)(void *owner, bool was_up, const char *why);
	/*
	 * Answers. The id is one that the peer chose to tell: look it up among those that are
	 * open. Walk the holders with frame_next_holders(); how many there are, the peer says.
	 * NULL, or a sentence, with which the link falls: nothing is open by that id.
	 */
	const char *(*found)(void *owner, uint64_t id, struct frame_cursor holders);
	const char *(*erased)(void *owner, uint64_t id, enum frame_status status);
};

/*
 * A link to @name at @address ("host:port", numeric or a name, which is resolved by another
 * thread each time that it connects). It connects at once, and again whenever it breaks, until
 * link_close(). 0, or -ENOMEM, -EINVAL.
 */
int link_open(struct link **out, struct link_net *net, const char *name, const char *address,
	const struct link_events *events, void *owner);
/* All fetches end with LINK_CANCELLED, without down(). NULL is ignored. */
void link_close(struct link *link);
bool link_is_up(const struct link *link);

struct link_item {
	const void *data;
	uint16_t size;
};

/*
 * On the control lane. @id is the caller's, unique among what is open on this link. All return
 * -ENOTCONN when the link is down, -EAGAIN when too much waits to be sent already
 * (LINK_BACKLOG_MAX) or to be answered (LINK_QUESTIONS_MAX). A holder that answers none of its
 * questions for four times the silence that it may keep loses its link.
 *
 * link_lookup() takes as many of the @n items as one frame holds, at least one, and returns how
 * many.
 */
int link_lookup(struct link *link, uint64_t id, enum frame_lookup kind,
	const struct link_item *items, unsigned n);
int link_announce(struct link *link, const struct frame_notice *notices, unsigned n);
int link_erase(struct link *link, uint64_t id, const void *key, uint16_t key_size);

enum {
	LINK_BACKLOG_MAX = 4 << 20,                                          /* bytes */
	LINK_QUESTIONS_MAX = 4096,                                           /* lookups, erases */
	LINK_NOTICES_MAX = FRAME_BODY_MAX / sizeof(struct frame_notice), /* of one call */
};

struct link_stats {
	uint64_t bytes_in, bytes_out; /* of all lanes since the link was opened, heads included */
	uint64_t n_connects, n_failures;
	uint64_t rtt_ns; /* of the last ping; 0: none yet */
	uint64_t free;	 /* bytes of the peer's tiers, as it says; UINT64_MAX: it has not said */
	unsigned n_fetches;
	unsigned n_lanes; /* data lanes that stand */
	bool is_refused;  /* the last attempt ended as the peer, or we, refused the other */
};
void link_get_stats(const struct link *link, struct link_stats *stats);

/* --- guests: holder's side ------------------------------------------------------------------- */

/*
 * A request for a value. It is the link's, and lives until link_refuse() or until done() of the
 * body that was pushed; gone() says that nobody wants it any more while it is unanswered.
 */
struct link_request {
	struct link_guest *guest;
	const uint8_t *key;
	uint16_t key_size;
	uint32_t wait_ms;
	void *owner; /* the caller's to use */
};

/* A value that is pushed: what is told of it, its bytes, and who is asked meanwhile. */
struct link_body {
	struct frame_value value; /* value.size bytes */
	const uint8_t *data;      /* stay as they are until done() */
	/* Just before these bytes go out for the first time, in order; may be NULL. */
	void (*sending)(void *context, uint64_t offset, uint64_t size);
	uint64_t (*sum)(void *context); /* sum_of() all of them: sum.h; asked last */
	/*
	 * Exactly once; the bytes are not looked at any more. !sent: cancelled, aborted, or the
	 * link fell.
	 */
	void (*done)(void *context, bool sent);
	void *context;
};

void link_refuse(struct link_request *request, enum frame_status status);
/* May call sending(), sum() and done() before it returns. @body is copied. */
void link_push(struct link_request *request, const struct link_body *body);
/* End a push before it is done: done(context, false) comes before this returns. */
void link_push_abort(struct link_request *request);

/* Answer a lookup: one frame_holders for each item, in order. As link_lookup(), 0 or -errno. */
int link_found(
	struct link_guest *guest, uint64_t id, const struct frame_holders *holders, unsigned n);
int link_erased(struct link_guest *guest, uint64_t id, enum frame_status status);

/* What the net tells of guests. @owner is as given to link_net_new(). */
struct link_guest_events {
	/*
	 * May a broker of this name be a guest? Asked when it says hello, and again by
	 * link_net_review().
	 */
	bool (*is_member)(void *owner, const char *name);
	void (*arrived)(void *owner, struct link_guest *guest);
	/*
	 * Nothing may be answered any more. Its requests ended before this: gone() or the
	 * body's done().
	 */
	void (*left)(void *owner, struct link_guest *guest, const char *why);
	/*
	 * Questions. Walk the items with frame_next_item(), they are only there during the
	 * call. Answer now or later, always: with LINK_QUESTIONS_MAX open a guest may ask nothing
	 * more. Who does not take his answers is read no further until he does.
	 */
	void (*lookup)(void *owner, struct link_guest *guest, uint64_t id, enum frame_lookup kind,
		struct frame_cursor items, unsigned n);
	void (*erase)(void *owner, struct link_guest *guest, uint64_t id, const uint8_t *key,
		uint16_t key_size);
	void (*announce)(void *owner, struct link_guest *guest, const struct frame_notice *notices,
		unsigned n);
	/* link_refuse() or link_push(), now or later. */
	void (*fetch)(void *owner, struct link_request *request);
	/* An unanswered request that nobody wants any more: neither refuse nor push it. */
	void (*gone)(void *owner, struct link_request *request);
};

const char *link_guest_name(const struct link_guest *guest);
uint64_t link_guest_incarnation(const struct link_guest *guest);

/* --- the net --------------------------------------------------------------------------------- */

/*
 * Read the certificates and begin. @epoll and @log must outlive the net. 0, or -errno and a
 * sentence in @why (LINK_WHY_SIZE). link_net_free() wants all links closed; guests are told
 * left() within. NULL is ignored.
 */
int link_net_new(struct link_net **out, const struct link_settings *settings,
	const struct link_guest_events *events, void *owner, int epoll, struct log *log, char *why);
void link_net_free(struct link_net *net);

/* Accept guests at "ADDRESS:PORT" or "[ADDRESS]:PORT"; port 0 is any. Once. As link_net_new(). */
int link_net_listen(struct link_net *net, const char *listen, char *why);
/* The port that it listens on, 0: none. */
uint16_t link_net_port(const struct link_net *net);

/* Time passes: to be called every LINK_TICK_MS with a monotonic clock's time. */
void link_net_tick(struct link_net *net, uint64_t now_ms);

/* So many bytes of our tiers are free: told to who asks for a sign of life, from now on. */
void link_net_set_free(struct link_net *net, uint64_t bytes);

/* Show all guests out. They come back by themselves. */
void link_net_dismiss(struct link_net *net, const char *why);

/*
 * Other values of these settings, from now on. No link of ours may be open; guests are dismissed
 * where theirs may not be as they have to be now.
 */
void link_net_set(struct link_net *net, unsigned n_lanes, uint64_t window, bool data_tls);

/* The membership changed: who is no member any more is shown out. */
void link_net_review(struct link_net *net);

struct link_net_stats {
	unsigned n_guests, n_strangers;
	uint64_t n_accepted;                    /* connections */
	uint64_t n_refused[FRAME_N_REFUSALS];   /* by reason; [0]: hung up or silent */
	uint64_t n_tls_failed;                  /* no certificate, or of another CA */
	uint64_t bytes_in, bytes_out;           /* of guests */
};
void link_net_get_stats(const struct link_net *net, struct link_net_stats *stats);

#endif
