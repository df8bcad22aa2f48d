/* SPDX-License-Identifier: Apache-2.0 */
/* desk.c: trays, with tickets that go to and fro. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "shmcache/remote/desk.h"

/*
 * A list under a lock that is held for a few instructions, and a bell for its owner, who may sleep.
 * Rung when the list was empty: who finds it empty goes to sleep on the bell, and who finds it full
 * takes all. The bell may ring once more than there is something to take.
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
	tray->last = &tray->first;
}

void tray_open(struct tray *tray, int bell)
{
	pthread_mutex_lock(&tray->lock);
	tray->bell = bell;
	tray->is_open = true;
	pthread_mutex_unlock(&tray->lock);
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
		/* With the lock: an owner who closes the tray may close the bell. A full one has rung. */
		if (was_empty)
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

	pthread_mutex_lock(&tray->lock);
	tray->is_open = false;
	tray->bell = -1;
	first = take_locked(tray);
	pthread_mutex_unlock(&tray->lock);
	return first;
}

void tray_deinit(struct tray *tray)
{
	pthread_mutex_destroy(&tray->lock);
}

void desk_init(struct desk *desk)
{
	tray_init(&desk->in);
	desk->bell = -1;
}

int desk_open(struct desk *desk)
{
	desk->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (desk->bell < 0)
		return -errno;
	tray_open(&desk->in, desk->bell);
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
	tray_deinit(&desk->in);
}

struct ticket *desk_take(struct desk *desk)
{
	/* First: what comes between the two rings anew. */
	(void)!read(desk->bell, &(uint64_t){0}, 8);
	return tray_take(&desk->in);
}

void desk_answer(struct ticket *ticket)
{
	/* Workers outlive the remote thread, and their trays are open as long. */
	(void)tray_put(ticket->home, ticket);
}

void desk_answer_miss(struct ticket *ticket, enum abi_fetch_miss why)
{
	ticket->status = ABI_STATUS_MISS;
	ticket->result[0] = why;
	ticket->result[1] = 0;
	desk_answer(ticket);
}
