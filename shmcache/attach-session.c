/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach-session.c: what an attached client says on its connection, and how we learn that it is
 * gone.
 */
#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "ipc/wire.h"
#include "shmcache/broker.h"

/*
 * A session ends when its connection hangs up or its process dies, whichever is seen first. The
 * pidfd matters: a child that inherited the connection keeps it open after its parent was killed.
 * The end is the worker's to carry out, who owns the session; the control thread only takes it out
 * of its own epoll set and passes it on.
 */
static struct abi_worker *own_counters(struct broker *b)
{
	return &b->plane.shared->worker[ABI_CONTROL];
}

/* --- the end of a session --------------------------------------------------------------------- */

void attach_end_session(struct broker *b, struct session *s)
{
	if (s->is_leaving)
		return;
	s->is_leaving = true;
	subscribe_wait_not(s);
	log_debug(b->log, "detach", LOG_U64("session", s->id), LOG_I64("pid", s->pid));
	watch_close(b->epoll, &s->socket);
	watch_close(b->epoll, &s->death);
	worker_leave(s->worker, s);
}

/*
 * A session that was cut off. Its client is told by a half-closed connection; the rest stays until
 * it closes its own half or dies, since its threads may be reading by holds, or filling reserved
 * blocks. Only who is cut off for hoarding holds loses them at once.
 */
static void session_shut(struct broker *b, struct session *s, unsigned fault)
{
	s->is_shut = true;
	if (fault == ABI_FAULT_HOLDS)
		attach_end_session(b, s);
	else
		shutdown(s->socket.fd, SHUT_WR);
}

void attach_end_broken(struct broker *b)
{
	struct session *s, *found;
	unsigned fault;

	do {
		found = NULL;
		pthread_mutex_lock(&b->sessions_lock);
		for (s = b->sessions; s && !found; s = s->next) {
			/* partner: the release in session_cut_off() */
			fault = atomic_load_explicit(&s->fault, memory_order_acquire);
			if (fault && !s->is_leaving && !s->is_shut)
				found = s;
		}
		pthread_mutex_unlock(&b->sessions_lock);
		/* Only the control thread ends sessions, so it can't go away in between. */
		if (found)
			session_shut(b, found, atomic_load(&found->fault));
	} while (found);
}

static void death_ready(struct watch *watch, uint32_t events)
{
	struct session *s = watch->owner;

	(void)events;
	attach_end_session(s->worker->broker, s);
}

/* --- lanes ------------------------------------------------------------------------------------ */

static int lane_answer(struct session *s)
{
	struct wire_lane message = {.status = ABI_STATUS_OK};
	struct lane *lane = NULL;
	int client_end = -1;
	int r = session_lane_open(s, &lane, &client_end);

	if (r == -EBADMSG)
		return r;
	if (r) {
		message.status = r == -EUSERS ? ABI_STATUS_QUOTA : ABI_STATUS_NOMEM;
		return wire_send(s->socket.fd, WIRE_LANE, &message, sizeof(message), NULL, 0);
	}
	message.lane = lane->idx;
	shared_u32_store(&lane->response->worker, s->worker->idx);
	worker_add_lane(s->worker, lane);
	r = wire_send(s->socket.fd, WIRE_LANE, &message, sizeof(message), &client_end, 1);
	close(client_end);
	return r;
}

/*
 * Whether it was of use is not told: the process it came from loses or keeps its own views by it. A
 * library goes by its line, we by what the kernel says of its process: where that has changed (its
 * user, or how we see its pid), or we have the region already, it shows what we don't wait for.
 * That is no nonsense, if it comes to an end.
 */
#define UNAWAITED_MAX 64

static int hand_over(struct broker *b, struct session *s, const struct wire_hand_over *message,
	const int *descriptors, size_t n)
{
	if (n != 1 || !s->n_hand_overs)
		return ++s->n_unawaited <= UNAWAITED_MAX ? 0 : -EBADMSG;
	if (formers_take(&b->formers, s->pid, s->uid, message->session, descriptors[0]))
		worker_ring(&b->worker[0]);
	if (!--s->n_hand_overs)
		(void)setsockopt(s->socket.fd, SOL_SOCKET, SO_PASSRIGHTS, &(int){0}, sizeof(int));
	return 0;
}

/* What comes without descriptors. */
static int session_asked(struct broker *b, struct session *s, const union wire_message *message)
{
	switch (message->head.type) {
	case WIRE_LANE_OPEN:
		return lane_answer(s);
	case WIRE_SUBSCRIBE:
		return subscribe_answer(&b->subscriptions, s, &message->subscribe);
	case WIRE_WAIT:
		return subscribe_wait(&b->subscriptions, s, &message->wait);
	default:
		return -EBADMSG;
	}
}

static void session_ready(struct watch *watch, uint32_t events)
{
	struct session *s = watch->owner;
	struct broker *b = s->worker->broker;
	int descriptors[WIRE_DESCRIPTORS_MAX], r;
	union wire_message message;
	size_t n;

	(void)events;
	r = wire_receive(s->socket.fd, &message, descriptors, &n);
	if (r == -EAGAIN)
		return;
	if (!r && message.head.type == WIRE_HAND_OVER && !s->is_shut)
		r = hand_over(b, s, &message.hand_over, descriptors, n);
	else if (!r && !s->is_shut)
		r = session_asked(b, s, &message);
	while (n)
		close(descriptors[--n]);
	/* Of one that was cut off, nothing but the hang-up is heard. */
	if (s->is_shut && r != -EPIPE)
		return;
	if (!r)
		return;
	/* EAGAIN: it asks and asks, and does not read the answers. */
	if (r != -EBADMSG && r != -EAGAIN) {
		attach_end_session(b, s);
		return;
	}
	if (!session_cut_off(s, own_counters(b), ABI_FAULT_PROTOCOL))
		return;
	log_warning(b->log, "session-cut-off", LOG_U64("session", s->id), LOG_I64("pid", s->pid),
		LOG_U64("uid", s->uid), LOG_STR("why", abi_fault_name(ABI_FAULT_PROTOCOL)));
	session_shut(b, s, ABI_FAULT_PROTOCOL);
}

/* --- the beginning ---------------------------------------------------------------------------- */

/*
 * Of a process that we wait for, and of no other, descriptors are let in. It asks for nothing by
 * them, so there is an end to how often.
 */
static void expect_hand_overs(struct broker *b, struct session *s)
{
	s->n_hand_overs = formers_awaited(&b->formers, s->pid, s->uid);
	if (s->n_hand_overs)
		(void)setsockopt(s->socket.fd, SOL_SOCKET, SO_PASSRIGHTS, &(int){1}, sizeof(int));
}

int attach_watch_session(struct broker *b, struct session *s, int fd)
{
	int r;

	s->socket.ready = session_ready;
	s->death.ready = death_ready;
	s->socket.owner = s->death.owner = s;
	s->socket.fd = fd;
	expect_hand_overs(b, s);
	s->death.fd = (int)syscall(SYS_pidfd_open, s->pid, 0);
	if (s->death.fd >= 0) {
		r = watch_add(b->epoll, &s->death, EPOLLIN);
		if (r)
			return r;
	}
	return watch_add(b->epoll, &s->socket, EPOLLIN);
}
