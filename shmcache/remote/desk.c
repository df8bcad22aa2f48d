/* SPDX-License-Identifier: Apache-2.0 */
/* desk.c: trays, with tickets that go to and fro. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "ipc/shared.h"
#include "shmcache/remote/desk.h"

/*
 * A list under a lock that is held for a few instructions; and for an owner who may sleep a bell,
 * or a turn. The bell is rung when the list was empty: who finds it empty goes to sleep on the
 * bell, and who finds it full takes all. It may ring once more than there is something to take.
 *
 * Between two threads that sleep in turns a bell costs more than what they do: waking a thread that
 * has a few microseconds of work is a system call, a switch of contexts and another thread off its
 * processor. With a turn the work is done by who brings it:
 *
 *	who puts			who has the turn
 *	P1  the ticket, has_any		T1  give the turn up
 *	    -- full fence --		    -- full fence --
 *	P2  try the turn; if it is	T2  has_any? take the turn again
 *	    free, tend
 *
 * The fences keep P1 before P2 and T1 before T2, so that of P2 and T2 at least one sees the other
 * side's store: no ticket lies there while all sleep (tests/model/turn.pml). Who tends is as
 * another who has the turn: he looks again.
 */
struct ticket *ticket_new(enum ticket_kind kind, const void *key, uint16_t key_size)
{
	struct ticket *ticket = malloc(sizeof(*ticket) + key_size);

	if (!ticket)
		return NULL;
	*ticket = (struct ticket){.kind = kind, .key_size = key_size};
	if (key_size)
		memcpy(ticket->key, key, key_size);
	return ticket;
}

void ticket_free(struct ticket *ticket)
{
	free(ticket);
}

void tray_init(struct tray *tray)
{
	*tray = (struct tray){.bell = -1};
	pthread_mutex_init(&tray->lock, NULL);
	pthread_mutex_init(&tray->turn, NULL);
	tray->last = &tray->first;
}

void tray_open(struct tray *tray, int bell)
{
	pthread_mutex_lock(&tray->lock);
	tray->bell = bell;
	tray->is_open = true;
	pthread_mutex_unlock(&tray->lock);
}

void tray_open_tended(struct tray *tray, void (*tend)(void *owner), void *owner)
{
	pthread_mutex_lock(&tray->turn);
	tray->tend = tend;
	tray->owner = owner;
	pthread_mutex_unlock(&tray->turn);
	tray_open(tray, -1);
}

bool tray_put(struct tray *tray, struct ticket *ticket)
{
	bool is_open, was_empty;

	pthread_mutex_lock(&tray->lock);
	is_open = tray->is_open;
	was_empty = !tray->first;
	if (is_open) {
		ticket->next = NULL;
		*tray->last = ticket;
		tray->last = &ticket->next;
		/* partner: the acquire in tray_has_any() */
		atomic_store_explicit(&tray->has_any, true, memory_order_release);
		/*
		 * With the lock: an owner who closes the tray may close the bell. A full one has
		 * rung.
		 */
		if (was_empty && tray->bell >= 0)
			(void)!write(tray->bell, &(uint64_t){1}, 8);
	}
	pthread_mutex_unlock(&tray->lock);
	return is_open;
}

static struct ticket *take_locked(struct tray *tray)
{
	struct ticket *first = tray->first;

	tray->first = NULL;
	tray->last = &tray->first;
	atomic_store_explicit(&tray->has_any, false, memory_order_relaxed);
	return first;
}

struct ticket *tray_take(struct tray *tray)
{
	struct ticket *first;

	pthread_mutex_lock(&tray->lock);
	first = take_locked(tray);
	pthread_mutex_unlock(&tray->lock);
	return first;
}

struct ticket *tray_close(struct tray *tray)
{
	struct ticket *first;

	pthread_mutex_lock(&tray->turn);
	tray->tend = NULL;
	pthread_mutex_lock(&tray->lock);
	tray->is_open = false;
	tray->bell = -1;
	first = take_locked(tray);
	pthread_mutex_unlock(&tray->lock);
	pthread_mutex_unlock(&tray->turn);
	return first;
}

void tray_deinit(struct tray *tray)
{
	pthread_mutex_destroy(&tray->turn);
	pthread_mutex_destroy(&tray->lock);
}

void tray_awake(struct tray *tray)
{
	pthread_mutex_lock(&tray->turn);
}

bool tray_asleep(struct tray *tray)
{
	pthread_mutex_unlock(&tray->turn);
	/* T1 before T2; partner: the fence in tray_look(). */
	shared_fence();
	return !tray_has_any(tray);
}

bool tray_try(struct tray *tray)
{
	return !pthread_mutex_trylock(&tray->turn);
}

void tray_leave(struct tray *tray)
{
	if (!tray_asleep(tray))
		tray_look(tray);
}

void tray_look(struct tray *tray)
{
	bool is_tended = true;

	while (is_tended && tray_has_any(tray)) {
		/*
		 * P1 before P2, and T1 before T2; partner: itself, and the fence in tray_asleep().
		 */
		shared_fence();
		if (pthread_mutex_trylock(&tray->turn))
			return;
		is_tended = tray->tend;
		if (is_tended)
			tray->tend(tray->owner);
		pthread_mutex_unlock(&tray->turn);
		shared_fence();
	}
}

void desk_init(struct desk *desk)
{
	tray_init(&desk->in);
	desk->bell = desk->epoll = -1;
	desk->owed = NULL;
}

int desk_open(struct desk *desk)
{
	desk->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (desk->bell < 0)
		return -errno;
	tray_open(&desk->in, desk->bell);
	return 0;
}

int desk_open_tended(struct desk *desk, int epoll, void (*tend)(void *owner), void *owner)
{
	/* Once in the life of a desk: workers may be using it without a lock. */
	desk->epoll = fcntl(epoll, F_DUPFD_CLOEXEC, 0);
	if (desk->epoll < 0)
		return -errno;
	tray_open_tended(&desk->in, tend, owner);
	return 0;
}

struct ticket *desk_close(struct desk *desk)
{
	struct ticket *left = tray_close(&desk->in);

	if (desk->bell >= 0)
		close(desk->bell);
	desk->bell = -1;
	return left;
}

void desk_deinit(struct desk *desk)
{
	if (desk->epoll >= 0)
		close(desk->epoll);
	desk->epoll = -1;
	tray_deinit(&desk->in);
}

struct ticket *desk_take(struct desk *desk)
{
	/* First: what comes between the two rings anew. */
	if (desk->bell >= 0)
		(void)!read(desk->bell, &(uint64_t){0}, 8);
	return tray_take(&desk->in);
}

void desk_answer(struct ticket *ticket)
{
	struct desk *desk = ticket->desk;
	struct tray *home = ticket->home;

	/* Workers outlive the remote thread, and their trays are open as long. */
	(void)tray_put(home, ticket);
	if (home->is_owed)
		return;
	home->is_owed = true;
	home->owed_next = desk->owed;
	desk->owed = home;
}

void desk_look_at_answers(struct desk *desk)
{
	struct tray *tray;

	while ((tray = desk->owed)) {
		desk->owed = tray->owed_next;
		tray->is_owed = false;
		tray_look(tray);
	}
}

void desk_answer_miss(struct ticket *ticket, enum abi_fetch_miss why)
{
	ticket->status = ABI_STATUS_MISS;
	ticket->result[0] = why;
	ticket->result[1] = 0;
	desk_answer(ticket);
}
