/* SPDX-License-Identifier: Apache-2.0 */
/* control.c: asking a broker for what an operator wants of it. */
#include <errno.h>
#include <stdint.h>
#include <string.h>
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
	int table; /* the descriptor of a PEERS, or -1 */
};

#define ANSWER_MS 5000

static const struct shmc_control_options no_options;

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

/* One message. Descriptors come with a table alone, which has one. */
static int hear(struct exchange *e, union wire_message *message, uint64_t deadline)
{
	int descriptors[WIRE_DESCRIPTORS_MAX], r;
	size_t n;

	do {
		r = wire_receive(e->connection.socket, message, descriptors, &n);
	} while (r == -EAGAIN && !(r = await(e, deadline)));
	if (!r && n == 1 && message->head.type == WIRE_PEERS && e->table < 0)
		e->table = descriptors[--n];
	while (n)
		close(descriptors[--n]);
	return r;
}

/* One that is no refusal. */
static int hear_answer(struct exchange *e, union wire_message *message, uint64_t deadline)
{
	int r = hear(e, message, deadline);

	if (r == -EPIPE) {
		reason_set(&e->why, "the broker went away without an answer");
		return -ENOTCONN;
	}
	if (!r && message->head.type == WIRE_REFUSED) {
		reason_set(&e->why, "%.*s", (int)sizeof(message->refused.why),
			message->refused.why);
		return -EACCES;
	}
	return r;
}

static void tell(struct exchange *e, struct wire_told *message)
{
	message->text[sizeof(message->text) - 1] = '\0';
	if (e->told)
		e->told(e->context, message->text);
}

/* 0, SHMC_FAILED, or -errno. */
static int listen_for(struct exchange *e, uint64_t deadline)
{
	union wire_message message;
	int r;

	for (;;) {
		r = hear_answer(e, &message, deadline);
		if (r)
			return r;
		if (message.head.type != WIRE_TOLD)
			return -EBADMSG;
		tell(e, &message.told);
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

static struct exchange exchange_of(const struct shmc_control_options *o)
{
	return (struct exchange){.connection = {.socket = -1}, .table = -1, .told = o->told,
		.context = o->context, .why = {o->why, o->why_size}};
}

/* Find the broker, and ask. */
static int begin(
	struct exchange *e, const char *name, struct wire_control *message, uint64_t deadline)
{
	int r = connection_begin(&e->connection, name, WIRE_ROLE_NONE, &e->why);

	return r ? r : say(e, message, deadline);
}

static void end(struct exchange *e)
{
	connection_end(&e->connection);
	if (e->table >= 0)
		close(e->table);
}

int shmc_control(const char *name, enum shmc_command command,
	const struct shmc_control_options *options)
{
	const struct shmc_control_options *o = options ? options : &no_options;
	struct wire_control message = {.command = command, .within_ms = o->within_ms};
	struct exchange e = exchange_of(o);
	uint64_t deadline;
	int r, r_end;

	if (!name || !wire_name_is_valid(name) ||
		(command != SHMC_RELOAD && command != SHMC_DRAIN) ||
		o->timeout_ms < SHMC_TIMEOUT_NEVER)
		return -EINVAL;
	deadline = deadline_in(o->timeout_ms ? o->timeout_ms
			: command == SHMC_DRAIN	     ? SHMC_TIMEOUT_NEVER
						     : ANSWER_MS);
	r = begin(&e, name, &message, deadline);
	if (!r)
		r = listen_for(&e, deadline);
	if (r >= 0 && command == SHMC_DRAIN) {
		r_end = wait_for_end(&e, deadline);
		r = r_end ? r_end : r;
	}
	end(&e);
	return r;
}

/* --- other brokers ---------------------------------------------------------------------------- */

static void copy_text(char *to, const char *raw_from, size_t size)
{
	memcpy(to, raw_from, size);
	to[size - 1] = '\0';
}

static void copy_peer(struct shmc_peer *peer, const struct wire_peer *raw)
{
	*peer = (struct shmc_peer){
		.state = raw->state,
		.n_lanes = raw->n_lanes,
		.state_ms = raw->state_ms,
		.n_links = raw->n_links,
		.n_fetches = raw->n_fetches,
		.n_misses = raw->n_misses,
		.n_failures = raw->n_failures,
		.received_bytes = raw->received_bytes,
		.n_served = raw->n_served,
		.sent_bytes = raw->sent_bytes,
		.rtt_ns = raw->rtt_ns,
		.p50_ns = raw->p50_ns,
		.p99_ns = raw->p99_ns,
		.capacity = raw->capacity,
		.free = raw->free,
		.n_records = raw->n_records,
	};
	copy_text(peer->name, raw->name, sizeof(peer->name));
	copy_text(peer->address, raw->address, sizeof(peer->address));
	copy_text(peer->why, raw->why, sizeof(peer->why));
}

/* By pread(): a file that is shorter than it was said to be is then no fault of ours. */
static int read_table(int fd, const struct wire_peers *raw, struct shmc_peer *peers, size_t max)
{
	struct wire_peer raw_line;
	unsigned i;

	if (!raw->n)
		return 0;
	if (fd < 0 || raw->n > SHMC_PEERS_MAX || raw->line_size < sizeof(raw_line))
		return -EBADMSG;
	for (i = 0; i < raw->n && i < max; i++) {
		if (pread(fd, &raw_line, sizeof(raw_line), (off_t)i * raw->line_size) !=
			sizeof(raw_line))
			return -EBADMSG;
		copy_peer(&peers[i], &raw_line);
	}
	return 0;
}

static void copy_cluster(struct shmc_cluster *cluster, const struct wire_peers *raw)
{
	*cluster = (struct shmc_cluster){
		.is_joined = raw->flags & WIRE_PEERS_JOINED,
		.is_shard = raw->flags & WIRE_PEERS_SHARD,
		.n_records = raw->n_records,
		.n_peers = raw->n,
	};
	copy_text(cluster->name, raw->name, sizeof(cluster->name));
	copy_text(cluster->cluster, raw->cluster, sizeof(cluster->cluster));
	copy_text(cluster->listen, raw->listen, sizeof(cluster->listen));
}

static int hear_peers(struct exchange *e, struct wire_peers *raw, uint64_t deadline)
{
	union wire_message message;
	int r = hear_answer(e, &message, deadline);

	if (r)
		return r;
	if (message.head.type == WIRE_TOLD) {
		tell(e, &message.told);
		return SHMC_FAILED;
	}
	if (message.head.type != WIRE_PEERS)
		return -EBADMSG;
	*raw = message.peers;
	return 0;
}

int shmc_peers(const char *name, struct shmc_cluster *cluster, struct shmc_peer *peers, size_t max,
	const struct shmc_control_options *options)
{
	const struct shmc_control_options *o = options ? options : &no_options;
	struct wire_control message = {.command = WIRE_COMMAND_PEERS};
	struct exchange e = exchange_of(o);
	struct wire_peers raw;
	uint64_t deadline;
	int r;

	if (!name || !wire_name_is_valid(name) || !cluster || (max && !peers) ||
		o->timeout_ms < SHMC_TIMEOUT_NEVER)
		return -EINVAL;
	deadline = deadline_in(o->timeout_ms ? o->timeout_ms : ANSWER_MS);
	r = begin(&e, name, &message, deadline);
	if (!r)
		r = hear_peers(&e, &raw, deadline);
	if (!r)
		r = read_table(e.table, &raw, peers, max);
	if (!r)
		copy_cluster(cluster, &raw);
	if (r == -EBADMSG)
		reason_set(&e.why, "the broker's answer makes no sense");
	end(&e);
	return r;
}

const char *shmc_peer_state_name(unsigned state)
{
	static const char *const names[] = {"connecting", "up", "refused", "breaker open"};

	return state < sizeof(names) / sizeof(names[0]) ? names[state] : "?";
}
