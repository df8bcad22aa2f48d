/* SPDX-License-Identifier: Apache-2.0 */
/* handle.c: attaching, finding out that the broker is gone, attaching again, detaching. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clients/lib/deadline.h"
#include "clients/lib/guard.h"
#include "clients/lib/handle.h"
#include "clients/lib/queue.h"
#include "ipc/spin.h"

/*
 * @serial is the switch. A thread's slot is good as long as the serial in it is the handle's, so a
 * session is taken out of use by writing another number there, 0 at first: every thread's next call
 * then misses its slot and comes here, where there is time to look. Nobody is waited for.
 *
 * Whoever sees the broker gone (a hang-up while waiting, another epoch while reading) calls
 * handle_session_lost(). Whoever calls next tries to attach, one thread at a time, and all others
 * that want to read get -ENOTCONN meanwhile; those that want to write wait as long as they may.
 */
#define ATTACH_TIMEOUT_MS 5000
#define ATTACH_EVERY_NS UINT64_C(10000000) /* one attempt in 10 ms */
#define SPIN_US 50

/* --- sessions --------------------------------------------------------------------------------- */

void handle_session_lost(struct shmc *cache, struct session *session)
{
	uint64_t serial = session->serial;

	atomic_store_explicit(&session->is_dead, true, memory_order_relaxed);
	atomic_compare_exchange_strong_explicit(
		&cache->serial, &serial, 0, memory_order_relaxed, memory_order_relaxed);
}

/* Takes the lock. */
static void session_put_to_use(struct shmc *cache, struct session *session)
{
	pthread_mutex_lock(&cache->lock);
	session->next = cache->sessions;
	cache->sessions = session;
	atomic_store_explicit(&cache->role, (int)session->role, memory_order_relaxed);
	/*
	 * All of the session. Partner: the acquire in handle_lane(). With the lock, since one
	 * that is swept must not come into use after.
	 */
	atomic_store_explicit(&cache->serial, session->serial, memory_order_release);
	pthread_mutex_unlock(&cache->lock);
}

/* With the lock. May this session go? */
static bool session_may_go(struct shmc *cache, struct session *session)
{
	if (!session->is_dead)
		return false;
	/* Out of use for certain: it may have been lost before it was put to use. */
	handle_session_lost(cache, session);
	/*
	 * First the marks: what a thread in a call leaves behind, a hold or a user, is there before
	 * it takes its mark away.
	 */
	return !thread_any_uses(session->serial) && session_is_idle(session);
}

void handle_sweep(struct shmc *cache)
{
	struct session **link, *session, *idle = NULL;

	pthread_mutex_lock(&cache->lock);
	for (link = &cache->sessions; (session = *link);) {
		if (session_may_go(cache, session)) {
			*link = session->next;
			session->next = idle;
			idle = session;
		} else {
			link = &session->next;
		}
	}
	pthread_mutex_unlock(&cache->lock);
	while ((session = idle)) {
		idle = session->next;
		session_free(session, false);
	}
}

void handle_reservation_lost(struct shmc *cache, struct shmc_reservation *reservation)
{
	struct session *session = (struct session *)(uintptr_t)reservation->reserved[2];
	struct shared_u64 *hold = (struct shared_u64 *)(uintptr_t)reservation->reserved[0];

	memset(reservation, 0, sizeof(*reservation));
	if (hold)
		hold_clear(hold);
	if (session)
		handle_session_unget(session);
	handle_sweep(cache);
}

/* The session in use, kept from being swept by one more user, or NULL. */
static struct session *session_get(struct shmc *cache)
{
	struct session *session;

	pthread_mutex_lock(&cache->lock);
	session = cache->sessions;
	if (session && (session->is_dead || !session_is_current(session))) {
		handle_session_lost(cache, session);
		session = NULL;
	}
	if (session)
		atomic_fetch_add_explicit(&session->n_users, 1, memory_order_relaxed);
	pthread_mutex_unlock(&cache->lock);
	return session;
}

void handle_session_unget(struct session *session)
{
	/* Release: whatever was done with it. Partner: the acquire in session_is_idle(). */
	atomic_fetch_sub_explicit(&session->n_users, 1, memory_order_release);
}

/* --- attach ----------------------------------------------------------------------------------- */

/* What the sessions of before hold, the new broker may not be able to find by itself. */
static void hand_over(struct shmc *cache, const struct session *session)
{
	const struct session *former;

	pthread_mutex_lock(&cache->lock);
	for (former = cache->sessions; former; former = former->next)
		session_hand_over(session, former);
	pthread_mutex_unlock(&cache->lock);
}

/* Inside the attach_gate. -EAGAIN when the deadline passed and it is worth going on later. */
static int attach_go_on(struct shmc *cache, uint64_t deadline, struct reason *why)
{
	struct connection_welcome welcome;
	struct session *session;
	int r;

	while ((r = connection_step(&cache->connection, &welcome, why)) == -EAGAIN) {
		if (deadline == DEADLINE_NOW || connection_wait(&cache->connection, deadline))
			return -EAGAIN;
	}
	if (!r)
		r = session_new(&session, &cache->connection, &welcome, cache->spin_ns, why);
	if (r)
		connection_end(&cache->connection);
	else
		hand_over(cache, session);
	if (!r)
		session_put_to_use(cache, session);
	return r;
}

/* Inside the attach_gate: begin another attempt, if it is time for one. */
static int attach_retry(struct shmc *cache, enum handle_patience patience, uint64_t deadline)
{
	uint64_t now = deadline_clock();
	uint64_t next = cache->attach_tried + ATTACH_EVERY_NS;

	if (cache->connection.plane) {
		/* Begun by a reader. A broker that let it lie so long has another chance. */
		if (now - cache->attach_tried < ATTACH_TIMEOUT_MS * UINT64_C(1000000))
			return 0;
		connection_end(&cache->connection);
	} else if (now < next) {
		if (patience == HANDLE_READ || next > deadline)
			return -ENOTCONN;
		(void)deadline_poll(NULL, 0, next);
	}
	cache->attach_tried = deadline_clock();
	return connection_begin(&cache->connection, cache->name, cache->wanted, NULL);
}

/* Attach again. 0 or -ENOTCONN. */
static int attach_again(struct shmc *cache, enum handle_patience patience, uint64_t deadline)
{
	struct session *session;
	int r;

	/* Readers don't wait for others who do. */
	r = gate_enter(&cache->attach_gate, patience == HANDLE_READ ? DEADLINE_NOW : deadline);
	if (r)
		return -ENOTCONN;
	session = session_get(cache);
	if (session) {
		handle_session_unget(session); /* another thread was faster */
	} else {
		r = attach_retry(cache, patience, deadline);
		if (!r)
			r = attach_go_on(cache,
				patience == HANDLE_READ ? DEADLINE_NOW : deadline, NULL);
	}
	gate_leave(&cache->attach_gate);
	return r ? -ENOTCONN : 0;
}

int handle_session_get(struct shmc *cache, enum handle_patience patience, uint64_t deadline,
	struct session **session)
{
	int r;

	r = handle_check(cache);
	if (r)
		return r;
	while (!(*session = session_get(cache))) {
		r = attach_again(cache, patience, deadline);
		if (r)
			return r;
	}
	return 0;
}

static int handle_new(struct shmc **cache, const char *name, const struct shmc_attach_options *o)
{
	struct shmc *c = aligned_alloc(_Alignof(struct shmc), sizeof(*c));
	unsigned spin_us = o->spin_us ? o->spin_us : SPIN_US;
	int r;

	if (!c)
		return -ENOMEM;
	*c = (struct shmc){.connection.socket = -1, .wanted = (enum wire_role)o->role};
	strcpy(c->name, name);
	c->timeout_ms = o->timeout_ms ? o->timeout_ms : ATTACH_TIMEOUT_MS;
	/* Where only one CPU runs, the broker can't answer while we spin. */
	if (spin_us != UINT_MAX && spin_pays(false))
		c->spin_ns = spin_us < 1000000 ? spin_us * 1000 : 1000000000;
	pthread_mutex_init(&c->lock, NULL);
	gate_init(&c->attach_gate);
	r = guard_new(&c->alive);
	if (!r)
		r = registry_add(c);
	if (r) {
		guard_free(c->alive);
		free(c);
		return r;
	}
	*cache = c;
	return 0;
}

int shmc_attach(struct shmc **cache, const char *name, const struct shmc_attach_options *options)
{
	struct shmc_attach_options o = options ? *options : (struct shmc_attach_options){0};
	struct reason why = {o.why, o.why_size};
	struct shmc *c;
	int r;

	reason_set(&why, "%s", "");
	if (!cache || !name || !wire_name_is_valid(name)) {
		reason_set(&why, "a cache's name is 1 to %d of the characters A-Z a-z 0-9 _ -",
			ABI_NAME_MAX);
		return -EINVAL;
	}
	if ((unsigned)o.role > SHMC_ROLE_WRITER || o.timeout_ms < SHMC_TIMEOUT_NEVER) {
		reason_set(&why, "no such role or timeout in the options");
		return -EINVAL;
	}
	r = handle_new(&c, name, &o);
	if (r)
		return r;
	r = connection_begin(&c->connection, name, c->wanted, &why);
	if (!r)
		r = attach_go_on(c, deadline_in(c->timeout_ms), &why);
	if (r == -EAGAIN) {
		reason_set(&why, "the broker of \"%s\" does not answer", name);
		r = -ETIMEDOUT;
	}
	if (!r && (int)shmc_role(c) < (int)o.role) {
		reason_set(&why, "the configuration of \"%s\" gives this user a lesser role", name);
		r = -EACCES;
	}
	if (r) {
		if (why.text && why.size && !why.text[0])
			reason_set(&why, "%s", shmc_strerror(r));
		shmc_detach(c);
		return r;
	}
	*cache = c;
	return 0;
}

void shmc_detach(struct shmc *cache)
{
	struct session *session;
	bool is_child;

	if (!cache)
		return;
	is_child = handle_check(cache) != 0;
	registry_remove(cache);
	while (cache->queues)
		queue_free(cache->queues);
	while ((session = cache->sessions)) {
		cache->sessions = session->next;
		session_free(session, is_child);
	}
	if (is_child)
		cache->connection.plane = NULL; /* not there to unmap */
	connection_end(&cache->connection);
	guard_free(cache->alive);
	if (!is_child) {
		pthread_mutex_destroy(&cache->lock);
		gate_deinit(&cache->attach_gate);
	}
	free(cache);
}

enum shmc_role shmc_role(const struct shmc *cache)
{
	return (enum shmc_role)atomic_load_explicit(&cache->role, memory_order_relaxed);
}

const char *shmc_name(const struct shmc *cache)
{
	return cache->name;
}

uint64_t handle_deadline(const struct shmc *cache, int timeout_ms)
{
	return deadline_in(timeout_ms == SHMC_TIMEOUT_DEFAULT ? cache->timeout_ms : timeout_ms);
}

/* --- lanes ------------------------------------------------------------------------------------ */

/* Lanes of sessions that are dead are of no more use to their owner. */
static void lanes_leave(struct shmc *cache, uint64_t owner, bool all)
{
	struct session *session;

	pthread_mutex_lock(&cache->lock);
	for (session = cache->sessions; session; session = session->next)
		if (all || session->is_dead)
			session_lanes_release(session, owner);
	pthread_mutex_unlock(&cache->lock);
}

void handle_owner_gone(struct shmc *cache, uint64_t owner)
{
	if (handle_check(cache))
		return;
	lanes_leave(cache, owner, true);
	handle_sweep(cache);
}

int handle_lane_claim(struct shmc *cache, uint64_t owner, enum handle_patience patience,
	uint64_t deadline, struct lane **lane)
{
	struct session *session;
	int r;

	r = handle_session_get(cache, patience, deadline, &session);
	if (r == -ECHILD)
		return r;
	lanes_leave(cache, owner, false);
	handle_sweep(cache);
	if (r)
		return r;
	r = session_lane_claim(session, owner, deadline, lane);
	if (r == -ENOTCONN)
		handle_session_lost(cache, session);
	if (r)
		handle_session_unget(session);
	return r;
}

int handle_lane_find(struct shmc *cache, enum handle_patience patience, uint64_t deadline,
	struct lane **lane)
{
	uint64_t number = thread_number(), serial;
	bool is_in;
	int r;

	if (!number)
		return -ENOMEM;
	r = handle_lane_claim(cache, number, patience, deadline, lane);
	if (r)
		return r;
	serial = (*lane)->serial;
	thread_local_state.slot[serial % THREAD_SLOTS] =
		(struct thread_slot){.serial = serial, .lane = *lane};
	is_in = handle_lane_enter(cache, serial);
	handle_session_unget((*lane)->session);
	return is_in ? 0 : -ENOTCONN;
}
