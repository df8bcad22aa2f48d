/* SPDX-License-Identifier: Apache-2.0 */
/* watch.c: a thin layer over epoll. */
#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "shmcache/watch.h"

int watch_add(int epoll, struct watch *watch, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.ptr = watch};

	return epoll_ctl(epoll, EPOLL_CTL_ADD, watch->fd, &event) < 0 ? -errno : 0;
}

void watch_close(int epoll, struct watch *watch)
{
	if (watch->fd < 0)
		return;
	/* Explicitly: a copy of the descriptor in another process would keep it in the set. */
	epoll_ctl(epoll, EPOLL_CTL_DEL, watch->fd, NULL);
	close(watch->fd);
	watch->fd = -1;
}

/*
 * One event a call to epoll_wait(): a callback may free other watches, whose events must then not
 * come out of an array that was filled before.
 */
int watch_wait(int epoll, int timeout_ms)
{
	struct epoll_event event;
	struct watch *watch;

	if (epoll_wait(epoll, &event, 1, timeout_ms) <= 0)
		return 0;
	watch = event.data.ptr;
	watch->ready(watch, event.events);
	return 1;
}
