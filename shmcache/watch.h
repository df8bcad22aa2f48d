/* SPDX-License-Identifier: Apache-2.0 */
/* watch.h: a descriptor in an epoll set, and who is told when it is ready. */
#ifndef SHMCACHE_WATCH_H
#define SHMCACHE_WATCH_H

#include <stdint.h>

/* Embedded in what it belongs to; the set holds a pointer to it. */
struct watch {
	int fd; /* -1: none. Closed by watch_close() */
	void (*ready)(struct watch *watch, uint32_t events);
	void *owner;
};

/* Add @watch for @events (EPOLLIN ...). 0 or -errno. */
int watch_add(int epoll, struct watch *watch, uint32_t events);

/* Take it out of the set and close the descriptor; no-op when it has none. */
void watch_close(int epoll, struct watch *watch);

/* Wait up to @timeout_ms (-1: for ever) and call who is ready. Returns how many, 0 on a signal. */
int watch_wait(int epoll, int timeout_ms);

#endif
