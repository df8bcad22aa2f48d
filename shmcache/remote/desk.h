/* SPDX-License-Identifier: Apache-2.0 */
/* desk.h: where workers leave what they want of other brokers, and how the answers come back. */
#ifndef SHMCACHE_REMOTE_DESK_H
#define SHMCACHE_REMOTE_DESK_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "ipc/abi.h"
#include "ipc/submission.h"

/*
 * A worker makes a ticket and submits it; from then on it is the remote thread's, until that
 * answers it, once, whatever happens; then it is its worker's again, which frees it. Neither waits
 * for the other: a thread that finds the other one asleep does its work, as if it were that thread
 * (struct tray).
 */
enum ticket_kind {
	TICKET_FETCH, /* bring the value of the key */
	TICKET_ERASE, /* tell all other brokers to delete the key */
	TICKET_LEFT,  /* @session left: none of its tickets is of use; they are answered all the same */
};

struct desk;
struct lane;
struct tray;

struct ticket {
	/* What is wanted; constant. */
	enum ticket_kind kind;
	bool is_prefetch;	/* no delivery: published, or a miss */
	uint8_t write_back;	/* enum abi_write_back + 1, 0: as configured */
	uint16_t key_size;
	uint32_t position, n_batch; /* in the batch, and how many submissions it has in all */
	uint64_t batch;		/* 0: none; else unique in the lane */
	uint64_t lane_id;	/* no other lane has it while the broker runs */
	uint64_t session;
	uint64_t deadline_ms;	/* store_now_ms(); 0: as configured, from now on */

	struct ticket *next; /* of whichever list it is on */

	/*
	 * The answer. FETCH: as in its completion, see submission_is_delivered(). ERASE: how many
	 * brokers were told and how many could not be, in @result; @status is what the delete here
	 * came to, and stays. LEFT: none.
	 */
	enum abi_status status;
	uint64_t result[2];
	uint64_t size; /* delivered: of the value */

	/* The worker's; where it was submitted, desk_submit() says. */
	struct desk *desk;
	struct tray *home;
	struct lane *lane; /* NULL: its session left */
	struct ticket *out_next, **out_link;
	uint64_t begin_ns;
	uint32_t id;
	uint16_t place; /* where inspectors see it */

	uint8_t key[];
};

/* NULL: no memory. The key is copied. All else is 0. */
struct ticket *ticket_new(enum ticket_kind kind, const void *key, uint16_t key_size);
void ticket_free(struct ticket *ticket);

/*
 * Where tickets are put for another thread, the tray's owner. Any thread puts.
 *
 * A tray that is *tended* has a turn, which its owner holds while it is awake: whoever holds it
 * works in the owner's place, with all that is the owner's. Who has put something calls
 * tray_look(): while the owner sleeps he takes the turn and has it tended, and while it is awake he
 * goes his way, for the owner looks once more when it has given up its turn and before it sleeps. A
 * thread that holds its own turn may only try another's, so nobody waits in a circle; and nobody
 * has two threads woken for one fetch.
 *
 * A tray with a bell is for an owner who can't be stood in for: that is rung when the first ticket
 * comes.
 */
struct tray {
	pthread_mutex_t lock;
	struct ticket *first, **last;
	int bell; /* the owner's; -1: tended */
	bool is_open;
	atomic_bool has_any; /* a hint that needs no lock */

	pthread_mutex_t turn;
	void (*tend)(void *owner); /* takes all that is there; changes under the turn */
	void *owner;
	struct tray *owed_next; /* of struct desk */
	bool is_owed;
};

void tray_init(struct tray *tray);
/* From here on tickets are taken; @bell stays the caller's. */
void tray_open(struct tray *tray, int bell);
/* The same, tended by @tend, which is called under the turn. */
void tray_open_tended(struct tray *tray, void (*tend)(void *owner), void *owner);
/*
 * All that is there, in order, linked by @next; none after that, and nobody is in the owner's
 * place. Not by who holds the turn.
 */
struct ticket *tray_close(struct tray *tray);
/* False: the tray is closed, the ticket still the caller's. Then tray_look(), once for several. */
bool tray_put(struct tray *tray, struct ticket *ticket);
/* All that is there, in order, linked by @next; NULL: nothing. */
struct ticket *tray_take(struct tray *tray);
void tray_deinit(struct tray *tray);

/*
 * The owner's: be awake (waits while another stands in), and sleep. False: something was put
 * meanwhile, and the owner, who has no turn now, must not sleep over it.
 */
void tray_awake(struct tray *tray);
bool tray_asleep(struct tray *tray);

/* For who has other work in the owner's place: false, the owner is awake. Then tray_leave(). */
bool tray_try(struct tray *tray);
void tray_leave(struct tray *tray);

/* Have somebody tend it, if there is anything: the caller, or who holds the turn. Never waits. */
void tray_look(struct tray *tray);

static inline bool tray_has_any(const struct tray *tray)
{
	/* Acquire; partner: the release in tray_put(). The list is read under the lock anyway. */
	return atomic_load_explicit(&tray->has_any, memory_order_acquire);
}

/*
 * The desk of a broker: closed while there is no remote thread. That opens it when it begins, and
 * at its end closes it and answers what it has.
 */
struct desk {
	struct tray in;
	int bell;
	/*
	 * The set of descriptors that the remote thread waits for, or -1; as long as the desk, so
	 * that a worker may add its own at any time.
	 */
	int epoll;
	struct tray *owed; /* with answers that nobody has looked at; under the turn of @in */
};

/* Closed. */
void desk_init(struct desk *desk);
/* By the remote thread: with a bell, or tended as a tray by who waits for @epoll. 0 or -errno. */
int desk_open(struct desk *desk);
int desk_open_tended(struct desk *desk, int epoll, void (*tend)(void *owner), void *owner);
struct ticket *desk_close(struct desk *desk);
void desk_deinit(struct desk *desk);

/*
 * By a worker. False: there is nobody to ask, the ticket is still the caller's. Then desk_look(),
 * once for several.
 */
static inline bool desk_submit(struct desk *desk, struct ticket *ticket)
{
	ticket->desk = desk;
	return tray_put(&desk->in, ticket);
}

static inline void desk_look(struct desk *desk)
{
	tray_look(&desk->in);
}

/*
 * By the remote thread: what came, in order; an eventfd that is readable when there is something.
 */
struct ticket *desk_take(struct desk *desk);
static inline int desk_fd(const struct desk *desk)
{
	return desk->bell;
}

/*
 * By the remote thread, or in its place: give the ticket back, with its answer in it. Of a value
 * that was delivered to it the worker takes care, also where nobody waits for it any more. Then
 * desk_look_at_answers(), once for several.
 */
void desk_answer(struct ticket *ticket);
void desk_look_at_answers(struct desk *desk);

/* The same, for what brings nothing. */
void desk_answer_miss(struct ticket *ticket, enum abi_fetch_miss why);

#endif
