/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a test or benchmark must undo however it ends.
 *
 * A broker or rival that outlives its benchmark keeps a core busy and memory in /dev/shm
 * taken, and the next run measures that. So whoever starts something registers here how
 * to end it, and both exit() and the signals that a person or a test runner sends lead
 * through this list.
 *
 * Undoing means waiting for children and walking directories: nothing that a signal
 * handler may do. Hence the signals are blocked everywhere and taken by a thread that
 * waits for them with sigwait(), in which any function may be called. What remains is
 * SIGKILL; against that, children ask the kernel to be told of their parent's death (see
 * proc.c).
 *
 * The list is a static variable, against the custom of the house: atexit() passes no
 * context.
 */
#include "tests/support/cleanup.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

static pthread_mutex_t list_lock = PTHREAD_MUTEX_INITIALIZER;
static struct cleanup *list;
static bool list_at_exit;

/* The lock is kept to the end: whoever comes second waits until the process is gone. */
static void list_undo(void)
{
	struct cleanup *c;

	pthread_mutex_lock(&list_lock);
	while ((c = list)) {
		list = c->next;
		if (c->owner == getpid())
			c->undo(c);
	}
	pthread_mutex_unlock(&list_lock);
}

void cleanup_add(struct cleanup *cleanup, void (*undo)(struct cleanup *cleanup))
{
	pthread_mutex_lock(&list_lock);
	if (!list_at_exit)
		list_at_exit = !atexit(list_undo);
	cleanup->undo = undo;
	cleanup->owner = getpid();
	cleanup->next = list;
	list = cleanup;
	pthread_mutex_unlock(&list_lock);
}

void cleanup_drop(struct cleanup *cleanup)
{
	struct cleanup **at;

	pthread_mutex_lock(&list_lock);
	for (at = &list; *at && *at != cleanup; at = &(*at)->next)
		;
	if (*at)
		*at = cleanup->next;
	pthread_mutex_unlock(&list_lock);
}

static void *guard_main(void *context)
{
	sigset_t *signals = context;
	int signal;

	while (sigwait(signals, &signal))
		;
	list_undo();
	_exit(128 + signal);
}

int cleanup_guard(void)
{
	static sigset_t signals;
	pthread_t thread;
	int r;

	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGHUP);
	r = pthread_sigmask(SIG_BLOCK, &signals, NULL);
	if (!r)
		r = pthread_create(&thread, NULL, guard_main, &signals);
	if (!r)
		r = pthread_detach(thread);
	return -r;
}
