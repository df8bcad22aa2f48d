/* SPDX-License-Identifier: Apache-2.0 */
/* fetch.c: tickets out, answers in, and what was delivered. */
#include <stdlib.h>

#include "shmcache/fetch.h"

/*
 * A lane does not stop for a fetch, as it does for a flush: others of its requests are carried out
 * while tickets are out, and back-pressure counts what was taken and has no answer as an answer
 * that is to come (has_room() in worker.c). So a lane has at most as many tickets out as its ring
 * has places.
 *
 * A ticket knows its lane, and a session that leaves has that taken out of all its tickets: they
 * come back to a worker that throws them away, with what they bring. The remote thread hears of it
 * by one more ticket, for which the memory was found when the session asked for the first time.
 *
 * A delivery counts as a view that is about to be taken: all of a session together may keep as much
 * of the tier as its views may, but for the first. A client that never gives them up gets no more.
 */
#define DELIVERIES_MAX 4096 /* a ring's length */

static void list_add(struct session *s, struct ticket *ticket)
{
	ticket->out_next = s->tickets;
	ticket->out_link = &s->tickets;
	if (ticket->out_next)
		ticket->out_next->out_link = &ticket->out_next;
	s->tickets = ticket;
}

static void list_remove(struct ticket *ticket)
{
	*ticket->out_link = ticket->out_next;
	if (ticket->out_next)
		ticket->out_next->out_link = ticket->out_link;
}

/* For the day on which it leaves. */
static bool has_leave(struct session *s)
{
	if (!s->leave)
		s->leave = ticket_new(TICKET_LEFT, NULL, 0);
	return s->leave != NULL;
}

/* --- who waits, for who looks on -------------------------------------------------------------- */

/*
 * Answers come in any order, and a slot of the ring has another request as soon as its own was
 * taken and enough of others are answered: so what is out is shown beside the ring. In which place
 * says nothing; the one that was free last is used first, and few pages are touched. There are as
 * many places as the ring has, and no more tickets.
 */
static bool has_places(struct lane *lane)
{
	if (!lane->spare)
		lane->spare = calloc(lane->session->geometry.n_queue, sizeof(*lane->spare));
	return lane->spare && (lane->n_spare || lane->n_used < lane->session->geometry.n_queue);
}

/* There is a place. */
static void show(struct lane *lane, struct ticket *ticket, const struct submission *sub)
{
	struct submission shown = *sub;

	/* Since when it is ours to answer: the client's word for it may be any. */
	shown.since_ms = ticket->begin_ns / 1000000;
	ticket->place = lane->n_spare ? lane->spare[--lane->n_spare] : (uint16_t)lane->n_used++;
	submission_show(&lane->elsewhere[ticket->place], lane->consumed - 1, &shown);
}

static void hide(struct lane *lane, const struct ticket *ticket)
{
	submission_hide(&lane->elsewhere[ticket->place]);
	lane->spare[lane->n_spare++] = ticket->place;
}

/* --- out -------------------------------------------------------------------------------------- */

static uint64_t deadline_of(const struct submission *sub)
{
	/* One that would overflow is as good as none. */
	return sub->argument && sub->argument < INT64_MAX ? store_now_ms() + sub->argument : 0;
}

enum abi_status fetch_send(struct lane *lane, enum ticket_kind kind, const struct submission *sub,
	const struct index_key *key, enum abi_status so_far)
{
	struct session *s = lane->session;
	struct ticket *ticket;

	if (!s->desk)
		return ABI_STATUS_MISS;
	if (!has_leave(s) || !has_places(lane))
		return ABI_STATUS_NOMEM;
	ticket = ticket_new(kind, key->data, (uint16_t)key->size);
	if (!ticket)
		return ABI_STATUS_NOMEM;
	ticket->is_prefetch = sub->flags & SUBMISSION_PREFETCH;
	ticket->write_back = (uint8_t)submission_write_back(sub);
	ticket->batch = sub->group;
	ticket->position = sub->position;
	ticket->n_batch = sub->value_size;
	ticket->lane_id = s->id << 8 | lane->idx;
	ticket->session = s->id;
	ticket->deadline_ms = deadline_of(sub);
	ticket->home = s->tray;
	ticket->lane = lane;
	ticket->status = so_far;
	ticket->begin_ns = store_now_ns();
	ticket->id = sub->id;
	/* Before: it may be back at once. */
	list_add(s, ticket);
	show(lane, ticket, sub);
	if (desk_submit(s->desk, ticket))
		return ABI_STATUS_OK;
	hide(lane, ticket);
	list_remove(ticket);
	ticket_free(ticket);
	return ABI_STATUS_MISS;
}

_Static_assert(ABI_LANES_MAX <= 256, "a lane's number has eight bits");

/* --- deliveries ------------------------------------------------------------------------------- */

static bool grow(struct session *s)
{
	unsigned n = s->n_deliveries_max ? s->n_deliveries_max * 2 : 16;
	struct session_delivery *more;

	if (s->n_deliveries < s->n_deliveries_max)
		return true;
	if (n > DELIVERIES_MAX)
		return false;
	more = realloc(s->delivery, n * sizeof(*more));
	if (!more)
		return false;
	s->delivery = more;
	s->n_deliveries_max = n;
	return true;
}

/* Is it within what the session may have? Then it has it. */
static bool take_delivery(struct store *store, struct session *s, uint64_t id, uint64_t size)
{
	uint64_t tier = store->tier[store->index.cell[(uint32_t)id].tier].size;

	if ((s->n_deliveries &&
		     s->delivered_size + size > tier / 100 * s->limits.held_percent) ||
		!grow(s))
		return false;
	s->delivery[s->n_deliveries++] = (struct session_delivery){.id = id, .size = size};
	s->delivered_size += size;
	return true;
}

bool fetch_give_up(struct store *store, struct session *s, uint64_t reservation)
{
	unsigned i;

	for (i = 0; i < s->n_deliveries && s->delivery[i].id != reservation; i++)
		;
	if (i == s->n_deliveries)
		return false;
	s->delivered_size -= s->delivery[i].size;
	s->delivery[i] = s->delivery[--s->n_deliveries];
	store_delivery_end(store, reservation);
	return true;
}

/* --- the way back ----------------------------------------------------------------------------- */

/* Somebody is there. What he can't have he does not get. */
static void admit(struct store *store, struct abi_worker *w, struct session *s,
	struct ticket *ticket)
{
	if (!ticket->result[1] || ticket->status != ABI_STATUS_OK || ticket->kind != TICKET_FETCH)
		return;
	if (take_delivery(store, s, ticket->result[1], ticket->size))
		return;
	store_delivery_end(store, ticket->result[1]);
	store_count(w, ABI_COUNTER_QUOTA, 1);
	ticket->status = ABI_STATUS_QUOTA;
	ticket->result[0] = ticket->result[1] = 0;
}

static void count(struct abi_worker *w, const struct ticket *ticket)
{
	unsigned operation = ticket->kind == TICKET_FETCH ? ABI_OP_FETCH : ABI_OP_DELETE;

	if (ticket->status != ABI_STATUS_OK)
		shared_u64_add(&w->answer[ticket->status], 1);
	if (ticket->status == ABI_STATUS_MISS && ticket->kind == TICKET_FETCH)
		shared_u64_add(&w->fetch_miss[ticket->result[0]], 1);
	histogram_add(&w->operation_time[operation], store_now_ns() - ticket->begin_ns, 1);
}

/*
 * Of what is an entry now the client learns how much time is left, as it may be gone again before it
 * looks: who asks once more then has the same deadline, which may be our configuration's.
 */
static uint64_t left_ms(const struct ticket *ticket)
{
	uint64_t now_ms = store_now_ms();

	if (!ticket->deadline_ms)
		return 0;
	return ticket->deadline_ms > now_ms ? ticket->deadline_ms - now_ms : 1;
}

static void give_back(struct store *store, const struct ticket *ticket)
{
	if (ticket->kind == TICKET_FETCH && ticket->status == ABI_STATUS_OK && ticket->result[1])
		store_delivery_end(store, ticket->result[1]);
}

bool fetch_land(struct store *store, struct abi_worker *w, struct ticket *ticket,
	struct completion *completion)
{
	bool is_wanted = ticket->lane && !session_is_cut_off(ticket->lane->session);

	if (is_wanted) {
		admit(store, w, ticket->lane->session, ticket);
		count(w, ticket);
		*completion = (struct completion){.id = ticket->id, .status = ticket->status,
			.result = {ticket->result[0], ticket->result[1]}};
		if (ticket->kind == TICKET_FETCH && ticket->status == ABI_STATUS_OK &&
			!ticket->result[1])
			completion->result[0] = left_ms(ticket);
	} else {
		give_back(store, ticket);
	}
	return is_wanted;
}

void fetch_end(struct ticket *ticket)
{
	if (ticket->lane) {
		hide(ticket->lane, ticket);
		list_remove(ticket);
	}
	ticket_free(ticket);
}

void fetch_leave(struct store *store, struct session *s)
{
	struct ticket *ticket;

	for (ticket = s->tickets; ticket; ticket = ticket->out_next)
		ticket->lane = NULL;
	s->tickets = NULL;
	/*
	 * Also where all its tickets are back: of what it asked in batches there may be more to
	 * forget.
	 */
	if (s->leave) {
		s->leave->session = s->id;
		s->leave->home = s->tray;
		if (desk_submit(s->desk, s->leave))
			s->leave = NULL;
	}
	while (s->n_deliveries)
		store_delivery_end(store, s->delivery[--s->n_deliveries].id);
	s->delivered_size = 0;
}
