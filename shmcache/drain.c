/* SPDX-License-Identifier: Apache-2.0 */
/* drain.c: an end that nobody who holds something is surprised by. */
#include <errno.h>
#include <linux/membarrier.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "shmcache/broker.h"
#include "shmcache/control.h"

/*
 * A stop leaves the maps of its clients alone, but from then on nobody honours their holds, and
 * open reservations are lost. A drain waits for both. It does not wait for sessions to leave, for
 * most programs stay attached as long as they live; whoever holds nothing loses nothing by the
 * hang-up, and comes back by himself when there is a broker again.
 *
 *	1. New sessions are refused. Those that there are go on as ever, until a look at all hold cells
 *	   and at the open reservations finds none.
 *	2. Readers that come and go make that look a matter of luck for them and us: one may have taken a
 *	   hold behind our back. So the plane says DRAINING, which ends reads as STOPPED does, then a
 *	   membarrier, then we look again: by the argument of concurrency.md, "The hold", whoever took a
 *	   hold that this look misses sees DRAINING, and gives it up. What is held now was held before,
 *	   and is waited for.
 *	3. The ordinary stop.
 *
 * When the limit is over it stops anyway, and says who held what.
 */
#define TICK_NS 20000000   /* between two looks */
#define TELL_MS 5000	   /* between two sentences on who is waited for */
#define NAMED 4		   /* sessions named in one */

static uint64_t n_held(struct broker *b, char *who, size_t who_size)
{
	uint64_t n, sum = 0;
	unsigned named = 0;
	struct session *s;
	size_t len = 0;

	who[0] = '\0';
	pthread_mutex_lock(&b->sessions_lock);
	for (s = b->sessions; s; s = s->next) {
		n = session_n_held(s);
		sum += n;
		if (!n || named++ >= NAMED || len >= who_size)
			continue;
		len += (size_t)snprintf(who + len, who_size - len, "%s%llu by process %d",
			len ? ", " : "", (unsigned long long)n, (int)s->pid);
	}
	pthread_mutex_unlock(&b->sessions_lock);
	return sum;
}

static uint64_t reserved_size(struct broker *b)
{
	uint64_t size;

	pthread_mutex_lock(&b->store.lock);
	size = b->store.reserved_size;
	pthread_mutex_unlock(&b->store.lock);
	return size;
}

static void finish(struct broker *b, enum wire_outcome outcome, const char *text)
{
	if (outcome == WIRE_OUTCOME_DONE)
		log_info(b->log, "drained", LOG_U64("sessions", (unsigned)b->n_sessions));
	else
		log_warning(b->log, "drain-gave-up", LOG_STR("held", text));
	control_tell(b->drain.asker, outcome, "%s", text);
	b->is_done = true;
}

/* From here on no read begins. */
static void close_reads(struct broker *b)
{
	b->drain.is_closing = true;
	plane_set_state(&b->plane, ABI_STATE_DRAINING);
	/* Between that store and the next look at the holds. */
	if (!store_can_membarrier() ||
		syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL_EXPEDITED, 0, 0))
		shared_fence();
}

static void look(struct broker *b)
{
	struct drain *drain = &b->drain;
	uint64_t now_ms = store_now_ms(), held, reserved;
	char who[160], text[240];

	held = n_held(b, who, sizeof(who));
	reserved = reserved_size(b);
	if (!held && !reserved && drain->is_closing) {
		finish(b, WIRE_OUTCOME_DONE, "nothing is held: stopped");
		return;
	}
	if (!held && !reserved) {
		close_reads(b);
		look(b);
		return;
	}
	snprintf(text, sizeof(text), "%llu values held (%s), %llu bytes reserved",
		(unsigned long long)held, who, (unsigned long long)reserved);
	if (drain->deadline_ms && now_ms >= drain->deadline_ms) {
		finish(b, WIRE_OUTCOME_FAILED, text);
	} else if (now_ms >= drain->told_ms + TELL_MS) {
		drain->told_ms = now_ms;
		log_info(b->log, "draining", LOG_STR("held", text));
		control_tell(drain->asker, WIRE_OUTCOME_MORE, "waiting: %s", text);
	}
}

static void timer_ready(struct watch *watch, uint32_t events)
{
	uint64_t n;

	(void)events;
	(void)!read(watch->fd, &n, sizeof(n));
	look(watch->owner);
}

static int start_timer(struct broker *b)
{
	struct itimerspec every = {.it_interval.tv_nsec = TICK_NS, .it_value.tv_nsec = 1};
	struct watch *timer = &b->drain.timer;

	timer->owner = b;
	timer->ready = timer_ready;
	timer->fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (timer->fd < 0 || timerfd_settime(timer->fd, 0, &every, NULL) < 0)
		return -errno;
	return watch_add(b->epoll, timer, EPOLLIN);
}

bool drain_begin(struct broker *b, int fd, uint32_t within_ms)
{
	struct drain *drain = &b->drain;
	int r;

	if (!drain->is_on) {
		r = start_timer(b);
		if (r) {
			watch_close(b->epoll, &drain->timer);
			control_tell(fd, WIRE_OUTCOME_FAILED, "can't set up a timer: %s",
				strerror(-r));
			return false;
		}
		drain->is_on = true;
		drain->asker = -1;
	}
	drain->deadline_ms = within_ms ? store_now_ms() + within_ms : 0;
	drain->told_ms = 0;
	if (drain->asker >= 0) {
		control_tell(drain->asker, WIRE_OUTCOME_FAILED, "another drain was asked for");
		close(drain->asker);
	}
	drain->asker = fd;
	return true;
}

void control_close(struct broker *b)
{
	watch_close(b->epoll, &b->drain.timer);
}
