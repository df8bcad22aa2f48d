/* SPDX-License-Identifier: Apache-2.0 */
/* control.c: asking a broker for what an operator wants of it. */
#include <errno.h>
#include <stdint.h>
#include <unistd.h>

#include "clients/lib/connection.h"
#include "clients/lib/deadline.h"
#include "clients/shmcache.h"

/*
 * No session: one message, and what is told until an outcome comes. What a drain tells last is that
 * the broker stops, and what the operator wants to know is that it has: so the hang-up is waited
 * for, which the kernel makes when the process is gone and all is written or removed.
 */
struct exchange {
	struct connection connection;
	shmc_told_fn *told;
	void *context;
	struct reason why;
};

static int await(struct exchange *e, uint64_t deadline)
{
	int r = connection_wait(&e->connection, deadline);

	if (r == -ETIMEDOUT)
		reason_set(&e->why, "the broker did not answer in time");
	return r;
}

static int say(struct exchange *e, struct wire_control *message, uint64_t deadline)
{
	int r;

	do {
		r = connection_open(&e->connection, &e->why);
	} while (r == -EAGAIN && !(r = await(e, deadline)));
	return r ? r : wire_send(e->connection.socket, WIRE_CONTROL, message, sizeof(*message),
			       NULL, 0);
}

/* One message; no descriptor comes with any that is meant for us. */
static int hear(struct exchange *e, union wire_message *message, uint64_t deadline)
{
	int descriptors[WIRE_DESCRIPTORS_MAX], r;
	size_t n;

	do {
		r = wire_receive(e->connection.socket, message, descriptors, &n);
	} while (r == -EAGAIN && !(r = await(e, deadline)));
	while (n)
		close(descriptors[--n]);
	return r;
}

/* 0, SHMC_FAILED, or -errno. */
static int listen_for(struct exchange *e, uint64_t deadline)
{
	union wire_message message;
	int r;

	for (;;) {
		r = hear(e, &message, deadline);
		if (r == -EPIPE)
			reason_set(&e->why, "the broker went away without an answer");
		if (r)
			return r == -EPIPE ? -ENOTCONN : r;
		if (message.head.type == WIRE_REFUSED) {
			reason_set(&e->why, "%.*s", (int)sizeof(message.refused.why),
				message.refused.why);
			return -EACCES;
		}
		if (message.head.type != WIRE_TOLD)
			return -EBADMSG;
		message.told.text[sizeof(message.told.text) - 1] = '\0';
		if (e->told)
			e->told(e->context, message.told.text);
		if (message.told.outcome != WIRE_OUTCOME_MORE)
			return message.told.outcome == WIRE_OUTCOME_DONE ? 0 : SHMC_FAILED;
	}
}

static int wait_for_end(struct exchange *e, uint64_t deadline)
{
	union wire_message message;
	int r;

	while (!(r = hear(e, &message, deadline)))
		;
	return r == -EPIPE ? 0 : r;
}

int shmc_control(const char *name, enum shmc_command command,
	const struct shmc_control_options *options)
{
	static const struct shmc_control_options none;
	const struct shmc_control_options *o = options ? options : &none;
	struct exchange e = {
		.told = o->told, .context = o->context, .why = {o->why, o->why_size}};
	struct wire_control message = {.command = command, .within_ms = o->within_ms};
	uint64_t deadline;
	int r, r_end;

	if (!name || !wire_name_is_valid(name) ||
		(command != SHMC_RELOAD && command != SHMC_DRAIN) ||
		o->timeout_ms < SHMC_TIMEOUT_NEVER)
		return -EINVAL;
	deadline = deadline_in(o->timeout_ms ? o->timeout_ms
			: command == SHMC_DRAIN	     ? SHMC_TIMEOUT_NEVER
						     : 5000);
	r = connection_begin(&e.connection, name, WIRE_ROLE_NONE, &e.why);
	if (!r)
		r = say(&e, &message, deadline);
	if (!r)
		r = listen_for(&e, deadline);
	if (r >= 0 && command == SHMC_DRAIN) {
		r_end = wait_for_end(&e, deadline);
		r = r_end ? r_end : r;
	}
	connection_end(&e.connection);
	return r;
}
