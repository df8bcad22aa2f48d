/* SPDX-License-Identifier: Apache-2.0 */
/* bell.c: a timer that is set to the next time at which somebody may be woken. */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "shmcache/bell.h"
#include "shmcache/store.h"

/*
 * One descriptor does for both, waking at once and waking later: a timer that is set to a time that
 * is over is ready at once. To ring it costs the writer a system call under the store's lock, once
 * a pause at most: the store rings no bell that was rung and not taken.
 */
static void ring(struct store_bell *bell)
{
	bell_ring((struct bell *)((char *)bell - offsetof(struct bell, store)));
}

void bell_ring(struct bell *bell)
{
	uint64_t at = atomic_load_explicit(&bell->next_ns, memory_order_relaxed);
	struct itimerspec once = {.it_value = {
		.tv_sec = (time_t)(at / 1000000000), .tv_nsec = (long)(at % 1000000000)}};

	(void)timerfd_settime(bell->timer.fd, TFD_TIMER_ABSTIME, &once, NULL);
}

int bell_open(struct bell *bell, struct store *s, int epoll, uint64_t pause_ns)
{
	int r;

	bell->pause_ns = pause_ns;
	/* Any time that is over, but 0, which would stop the timer. */
	atomic_init(&bell->next_ns, 1);
	bell->store.ring = ring;
	bell->timer.fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (bell->timer.fd < 0)
		return -errno;
	r = watch_add(epoll, &bell->timer, EPOLLIN);
	if (r) {
		watch_close(epoll, &bell->timer);
		return r;
	}
	store_bell_add(s, &bell->store);
	return 0;
}

void bell_close(struct bell *bell, struct store *s, int epoll)
{
	if (!bell->store.ring)
		return;
	/* From here on nobody rings it. */
	store_bell_remove(s, &bell->store);
	watch_close(epoll, &bell->timer);
	bell->store.ring = NULL;
}

unsigned bell_take(struct bell *bell, struct store *s)
{
	struct timespec now;
	uint64_t n;

	(void)!read(bell->timer.fd, &n, sizeof(n));
	clock_gettime(CLOCK_MONOTONIC, &now);
	/* Before it is taken: who rings from then on sees the next time. */
	atomic_store_explicit(&bell->next_ns, (uint64_t)now.tv_sec * 1000000000 +
			(uint64_t)now.tv_nsec + bell->pause_ns, memory_order_relaxed);
	return store_bell_take(s, &bell->store);
}
