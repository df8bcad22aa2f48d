/* SPDX-License-Identifier: Apache-2.0 */
/* events.c: hearing what happens in a cache. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "clients/lib/connection.h"
#include "clients/lib/deadline.h"
#include "clients/lib/handle.h"
#include "ipc/events.h"

/*
 * A subscription has a session of its own at the broker, of which it uses nothing but the socket:
 * it asks there for the region of events, and hears there that the broker is gone. So it depends on
 * no thread's lane and on no re-attach of the handle, may outlive it, and the broker counts it
 * among the sessions that it allows.
 *
 * Who has read all that there is says so to the broker (WAIT, with the place that it has read to)
 * and is told on the same socket when there is more (READY): that is the descriptor to poll, and it
 * is readable for the end of the broker, too. An event that comes between the look and the WAIT is
 * behind that place, and told at once; READYs are taken off the socket before the look, never
 * between it and the WAIT. While we read, nobody is told anything.
 */
struct shmc_events {
	struct events_reader reader;
	void *region;
	size_t size;
	int socket;
	unsigned kinds;
	bool is_waiting; /* the broker knows */
	pid_t pid;
	uint8_t key[ABI_KEY_SIZE_MAX];
};

static int welcome(struct connection *c, uint64_t deadline)
{
	struct connection_welcome w = {0};
	int r;

	do
		r = connection_step(c, &w, NULL);
	while (r == -EAGAIN && !(r = connection_wait(c, deadline)));
	/* What a session reads and writes is of no use here. */
	while (!r && w.n_fds)
		close(w.fd[--w.n_fds]);
	return r;
}

/* The answer to our SUBSCRIBE, and its descriptor. */
static int answer(struct connection *c, uint64_t deadline, struct wire_events *events, int *fd)
{
	int descriptors[WIRE_DESCRIPTORS_MAX], r;
	union wire_message message;
	size_t n;

	do
		r = wire_receive(c->socket, &message, descriptors, &n);
	while (r == -EAGAIN && !(r = connection_wait(c, deadline)));
	if (r)
		return r == -EPIPE ? -ENOTCONN : r;
	if (message.head.type == WIRE_EVENTS && n == 1) {
		*events = message.events;
		*fd = descriptors[0];
		return 0;
	}
	r = message.head.type == WIRE_EVENTS && message.events.status ? -ENOMEM : -EBADMSG;
	while (n)
		close(descriptors[--n]);
	return r;
}

static int map(struct shmc_events *e, int fd, uint64_t size)
{
	void *region;

	if (size > SIZE_MAX / 2)
		return -EPROTONOSUPPORT;
	region = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
	if (region == MAP_FAILED)
		return -errno;
	e->region = region;
	e->size = size;
	return events_reader_init(&e->reader, region, size);
}

static int subscribe(struct shmc_events *e, const struct shmc *cache, uint64_t deadline)
{
	struct wire_subscribe message = {.kinds = e->kinds};
	struct wire_events events;
	struct connection c;
	int fd, r;

	r = connection_begin(&c, cache->name, WIRE_ROLE_READER, NULL);
	if (r)
		return r;
	r = welcome(&c, deadline);
	if (!r)
		r = wire_send(c.socket, WIRE_SUBSCRIBE, &message, sizeof(message), NULL, 0);
	if (!r)
		r = answer(&c, deadline, &events, &fd);
	if (!r) {
		r = map(e, fd, events.size);
		close(fd);
	}
	if (!r) {
		e->socket = c.socket;
		c.socket = -1;
	}
	connection_end(&c);
	return r;
}

int shmc_events_open(struct shmc *cache, unsigned kinds, int timeout_ms, struct shmc_events **events)
{
	struct shmc_events *e;
	int r = handle_check(cache);

	if (r)
		return r;
	if (!events || kinds & ~EVENTS_ALL || timeout_ms < SHMC_TIMEOUT_DEFAULT)
		return -EINVAL;
	e = calloc(1, sizeof(*e));
	if (!e)
		return -ENOMEM;
	e->socket = -1;
	e->pid = getpid();
	e->kinds = kinds ? kinds : EVENTS_ALL;
	r = subscribe(e, cache, handle_deadline(cache, timeout_ms));
	if (r) {
		shmc_events_close(e);
		return r;
	}
	*events = e;
	return 0;
}

void shmc_events_close(struct shmc_events *e)
{
	if (!e)
		return;
	if (e->region)
		munmap(e->region, e->size);
	if (e->socket >= 0)
		close(e->socket);
	free(e);
}

/* 1: one is there; 0: none, of our kinds. */
static int take(struct shmc_events *e, struct shmc_event *event)
{
	enum events_result result;
	uint64_t n_lost = 0;
	struct event found;

	while ((result = events_read(&e->reader, &found, e->key, &n_lost)) != EVENTS_NONE) {
		if (result == EVENTS_LOST) {
			*event = (struct shmc_event){.kind = SHMC_EVENT_LOST, .n_lost = n_lost};
			return 1;
		}
		if (!(e->kinds & 1U << found.kind))
			continue;
		*event = (struct shmc_event){.kind = (enum shmc_event_kind)found.kind,
			.flags = found.flags, .tier = found.tier, .key = e->key,
			.key_size = found.key_size, .value_size = found.value_size,
			.time_ms = found.time_ms, .number = found.number};
		return 1;
	}
	return 0;
}

/* What the broker has sent. 0, or -ENOTCONN: it is gone, or no broker. */
static int hear(struct shmc_events *e)
{
	int descriptors[WIRE_DESCRIPTORS_MAX], r;
	union wire_message message;
	size_t n;

	while (!(r = wire_receive(e->socket, &message, descriptors, &n))) {
		while (n)
			close(descriptors[--n]);
		if (message.head.type != WIRE_READY)
			return -ENOTCONN;
		e->is_waiting = false;
	}
	return r == -EAGAIN ? 0 : -ENOTCONN;
}

/* Have the broker tell of what comes behind what we have read. 0 or -ENOTCONN. */
static int wait_for_more(struct shmc_events *e)
{
	struct wire_wait message = {.position = e->reader.position};

	if (e->is_waiting)
		return 0;
	if (wire_send(e->socket, WIRE_WAIT, &message, sizeof(message), NULL, 0))
		return -ENOTCONN;
	e->is_waiting = true;
	return 0;
}

int shmc_events_next(struct shmc_events *e, struct shmc_event *event, int timeout_ms)
{
	uint64_t deadline;
	int r;

	if (!e || !event || timeout_ms < SHMC_TIMEOUT_NEVER)
		return -EINVAL;
	if (e->pid != getpid())
		return -ECHILD;
	deadline = deadline_in(timeout_ms);
	/* While there are events nobody is asked anything. */
	while (!take(e, event)) {
		r = hear(e);
		/* What was written before the end is told before it. */
		if (take(e, event))
			return 0;
		if (!r)
			r = wait_for_more(e);
		if (r)
			return take(e, event) ? 0 : r;
		if (deadline_passed(deadline) ||
			deadline_poll(&(struct pollfd){.fd = e->socket, .events = POLLIN}, 1,
				deadline) <= 0)
			return SHMC_MISS;
	}
	return 0;
}

int shmc_events_fd(const struct shmc_events *e)
{
	return e ? e->socket : -EINVAL;
}
