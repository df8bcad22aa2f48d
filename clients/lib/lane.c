/* SPDX-License-Identifier: Apache-2.0 */
/* lane.c: opening lanes, and passing them from owner to owner. */
#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include "clients/lib/deadline.h"
#include "clients/lib/lane.h"
#include "clients/lib/session.h"

/*
 * The maps hold all lanes of a session from the start; a lane is opened, which takes a message to
 * the broker and a doorbell from it, when a thread first needs one and none is left over from
 * another.
 *
 * A thread that gets no answer in time leaves its question behind: the broker will answer it, and
 * the lane is then there for whoever asks next. So there is never more than one question open, and
 * an answer needs no address.
 */
int lane_init(struct lane *lane, struct session *session, uint32_t idx, int doorbell)
{
	const struct abi_geometry *g = &session->geometry;
	uint8_t *base = session->map[SESSION_MAP_REQUEST].data + (size_t)idx * g->request_stride;
	const uint8_t *answers =
		session->map[SESSION_MAP_RESPONSE].data + (size_t)idx * g->response_stride;
	struct abi_lane_request *request = (void *)base;
	const struct abi_lane_response *response = (const void *)answers;
	int r;

	r = engine_init(&lane->engine, g->staging_size, g->n_queue);
	if (r)
		return r;
	lane->ring = (struct ring){
		.submission = (void *)(base + g->submission_off),
		.completion = (const void *)(answers + g->completion_off),
		.request = request,
		.response = response,
		.plane = session->plane,
		.n_queue = g->n_queue,
		.doorbell = doorbell,
		.socket = session->socket,
	};
	lane->reader = (struct reader){
		.plane = session->plane,
		.response = response,
		.epoch = session->epoch,
		.tier[ABI_TIER_DRAM] = session->map[SESSION_MAP_DRAM].data,
		.tier[ABI_TIER_CXL] = session->map[SESSION_MAP_CXL].data,
		.is_fenced = session->is_fenced,
		.log_mask = g->n_log - 1,
		.log = (void *)(base + g->log_off),
		.request = request,
	};
	lookup_init(&lane->reader.index, session->map[SESSION_MAP_INDEX].data);
	hold_table_init(&lane->reader.holds, (void *)(base + g->hold_off), g->n_holds,
		&request->holds_used);
	lane->staging = base + g->staging_off;
	lane->serial = session->serial;
	lane->session = session;
	lane->idx = idx;
	/* All of the above; partner: the acquire in lane_adopt() and session_is_idle(). */
	atomic_store_explicit(&lane->is_open, true, memory_order_release);
	return 0;
}

/*
 * Of one fetch at a time only one thread, of whichever process, has anything to do, and a CPU is
 * left to wait on. Of several the values come one after another, and who brings them needs it.
 */
int lane_wait(struct lane *lane, uint64_t deadline)
{
	const struct session *s = lane->session;
	bool is_stream = lane->engine.n_keys_out > 1;

	return ring_wait(&lane->ring, is_stream ? s->spin_for_others_ns : s->spin_ns, deadline);
}

void lane_deinit(struct lane *lane)
{
	if (!lane->is_open)
		return;
	engine_deinit(&lane->engine);
	close(lane->ring.doorbell);
}

/* A lane that @owner has already. */
static struct lane *lane_of(struct session *s, uint64_t owner)
{
	uint32_t i;

	for (i = 0; i < s->geometry.n_lanes; i++)
		if (atomic_load_explicit(&s->lane[i].owner, memory_order_relaxed) == owner)
			return &s->lane[i];
	return NULL;
}

/* A lane that is open and nobody's. */
static struct lane *lane_adopt(struct session *s, uint64_t owner)
{
	uint64_t nobody;
	uint32_t i;

	for (i = 0; i < s->geometry.n_lanes; i++) {
		nobody = 0;
		/* Acquire: what the last owner left. Partner: the release in lanes_release(). */
		if (atomic_load_explicit(&s->lane[i].is_open, memory_order_acquire) &&
			atomic_compare_exchange_strong_explicit(&s->lane[i].owner, &nobody, owner,
				memory_order_acquire, memory_order_relaxed)) {
			return &s->lane[i];
		}
	}
	return NULL;
}

/* What the broker says to a question for a lane. 0: the lane is open now. */
static int lane_answered(struct session *s, const union wire_message *m, const int *fds, size_t n)
{
	struct lane *lane;

	if (m->head.type != WIRE_LANE || n != (m->lane.status == ABI_STATUS_OK))
		return -EBADMSG;
	if (m->lane.status == ABI_STATUS_QUOTA)
		return SHMC_QUOTA;
	if (m->lane.status != ABI_STATUS_OK)
		return -ENOMEM;
	if (m->lane.lane >= s->geometry.n_lanes || s->lane[m->lane.lane].is_open)
		return -EBADMSG;
	lane = &s->lane[m->lane.lane];
	if (lane_init(lane, s, m->lane.lane, fds[0]))
		return -ENOMEM;
	s->n_lanes_open++;
	return 0;
}

static int lane_answer_take(struct session *s)
{
	int fds[WIRE_DESCRIPTORS_MAX];
	union wire_message message;
	size_t n;
	int r;

	r = wire_receive(s->socket, &message, fds, &n);
	/*
	 * The answer that was lost for want of a descriptor was one, and the lane is lost with it.
	 */
	if (!r || r == -EMFILE)
		s->is_lane_asked = false;
	if (r)
		return r;
	r = lane_answered(s, &message, fds, n);
	while (r && n)
		close(fds[--n]);
	return r;
}

/* With the talk. Have one more lane open. */
static int lane_ask(struct session *s, uint64_t deadline)
{
	struct pollfd fd = {.fd = s->socket, .events = POLLIN};
	struct wire_lane_open open;
	int r;

	if (!s->is_lane_asked) {
		if (s->n_lanes_open == s->geometry.n_lanes)
			return SHMC_QUOTA;
		r = wire_send(s->socket, WIRE_LANE_OPEN, &open, sizeof(open), NULL, 0);
		if (r)
			return r == -EAGAIN ? -ETIMEDOUT : -ENOTCONN;
		s->is_lane_asked = true;
	}
	while ((r = lane_answer_take(s)) == -EAGAIN) {
		r = deadline_poll(&fd, 1, deadline);
		if (r <= 0)
			return r ? r : -ETIMEDOUT;
	}
	return r == -EPIPE || r == -EBADMSG ? -ENOTCONN : r;
}

static int lane_open(struct session *s, uint64_t owner, uint64_t deadline, struct lane **lane)
{
	int r;

	r = gate_enter(&s->talk, deadline);
	if (r)
		return r;
	/*
	 * Others may adopt what we asked for, or give up theirs meanwhile: ask until we have one.
	 */
	while (!(*lane = lane_adopt(s, owner))) {
		r = lane_ask(s, deadline);
		if (r)
			break;
	}
	gate_leave(&s->talk);
	return r;
}

int session_lane_claim(
	struct session *session, uint64_t owner, uint64_t deadline, struct lane **lane)
{
	*lane = lane_of(session, owner);
	if (*lane)
		return 0;
	*lane = lane_adopt(session, owner);
	return *lane ? 0 : lane_open(session, owner, deadline, lane);
}

void session_lanes_release(struct session *session, uint64_t owner)
{
	struct lane *lane;

	while ((lane = lane_of(session, owner)))
		/* Partners: the acquires in lane_adopt() and session_is_idle(). */
		atomic_store_explicit(&lane->owner, 0, memory_order_release);
}
