/* SPDX-License-Identifier: Apache-2.0 */
/* Unit of shmcache/fetch.c and remote/desk.c: tickets to and fro, deliveries, and who leaves. */
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <cmocka.h>

#include "shmcache/fetch.h"
#include "tests/shmcache/seat.h"

static struct seat d;
static struct desk desk;
static struct tray tray;
static int bell;

static int setup(void **state)
{
	(void)state;
	seat_init(&d, 16 * MIB);
	seat_open(&d, WIRE_ROLE_READER);
	desk_init(&desk);
	assert_int_equal(desk_open(&desk), 0);
	bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	tray_init(&tray);
	tray_open(&tray, bell);
	d.session->id = 77;
	d.session->desk = &desk;
	d.session->tray = &tray;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	assert_null(tray_close(&tray));
	assert_null(desk_close(&desk));
	seat_close(&d);
	tray_deinit(&tray);
	desk_deinit(&desk);
	close(bell);
	return rig_leftovers() ? -1 : 0;
}

static bool is_ringing(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, 0) == 1;
}

static struct submission send_out(const char *key)
{
	struct submission sub = seat_make(&d, ABI_OP_FETCH, key, 0, 0);

	assert_int_equal(seat_run(&d, &sub), REQUEST_ELSEWHERE);
	return sub;
}

static struct ticket *take_one(void)
{
	struct ticket *ticket = desk_take(&desk);

	assert_non_null(ticket);
	assert_null(ticket->next);
	return ticket;
}

/* What the worker does with what came back; false: with nothing of it. */
static bool land(void)
{
	struct ticket *ticket = tray_take(&tray);
	bool is_wanted;

	assert_non_null(ticket);
	assert_null(ticket->next);
	is_wanted = fetch_land(&d.rig.store, &d.rig.w, ticket, &d.completion);
	if (is_wanted)
		assert_ptr_equal(ticket->lane, d.lane);
	fetch_end(ticket);
	return is_wanted;
}

/* What comes from elsewhere for @key, as the remote thread would leave it to the ticket. */
static void deliver(struct ticket *ticket, const char *key, uint64_t size)
{
	struct index_key k = index_key(&d.rig.store.index, key, strlen(key));
	static const struct store_put_options plain;
	struct store_fill fill;
	uint8_t *data;

	store_fill_begin(&d.rig.store, &fill, &k);
	assert_int_equal(store_fill_reserve(&d.rig.store, &d.rig.w, &fill, &plain, size, false,
		&data), ABI_STATUS_OK);
	rig_fill(data, size, 5);
	assert_int_equal(store_fill_deliver(&d.rig.store, &fill, &ticket->result[1],
		&ticket->result[0]), ABI_STATUS_OK);
	ticket->status = ABI_STATUS_OK;
	ticket->size = size;
	store_fill_end(&d.rig.store, &fill);
	desk_answer(ticket);
}

static void assert_rest(void)
{
	rig_drain(&d.rig);
	rig_check(&d.rig);
	assert_null(d.rig.store.deliveries);
	assert_int_equal(d.rig.store.reserved_size, 0);
	assert_int_equal(d.rig.store.limbo.n, 0);
}

static enum abi_status give_up(uint64_t reservation)
{
	struct submission sub = {.operation = ABI_OP_ABORT, .argument = reservation};

	return seat_ask(&d, &sub);
}

static void test_words(void **state)
{
	struct submission sub = seat_make(&d, ABI_OP_FETCH, "some key", 0, 0);
	struct ticket *ticket;
	uint64_t now_ms;

	(void)state;
	sub.flags = SUBMISSION_PREFETCH | (ABI_WRITE_BACK_OFF + 1) << SUBMISSION_WRITE_BACK_SHIFT;
	sub.group = 1234;
	sub.position = 5;
	sub.value_size = 6;
	sub.argument = 5000;
	now_ms = store_now_ms();
	assert_false(is_ringing(desk_fd(&desk)));
	assert_int_equal(seat_run(&d, &sub), REQUEST_ELSEWHERE);
	assert_true(is_ringing(desk_fd(&desk)));
	ticket = take_one();
	assert_false(is_ringing(desk_fd(&desk)));
	assert_int_equal(ticket->kind, TICKET_FETCH);
	assert_true(ticket->is_prefetch);
	assert_int_equal(ticket->write_back, ABI_WRITE_BACK_OFF + 1);
	assert_int_equal(ticket->batch, 1234);
	assert_int_equal(ticket->position, 5);
	assert_int_equal(ticket->n_batch, 6);
	assert_int_equal(ticket->session, 77);
	assert_in_range(ticket->deadline_ms, now_ms + 5000, store_now_ms() + 5000);
	assert_int_equal(ticket->key_size, 8);
	assert_memory_equal(ticket->key, "some key", 8);
	desk_answer_miss(ticket, ABI_FETCH_NOBODY);
	assert_true(is_ringing(bell) && tray_has_any(&tray));
	assert_true(land());
	assert_int_equal(d.completion.id, sub.id);
	assert_int_equal(d.completion.status, ABI_STATUS_MISS);
	assert_int_equal(d.completion.result[0], ABI_FETCH_NOBODY);
	assert_int_equal(shared_u64_load(&d.rig.w.fetch_miss[ABI_FETCH_NOBODY]), 1);
	assert_false(tray_has_any(&tray));
	/* What would overflow is no deadline. */
	sub.argument = UINT64_MAX;
	assert_int_equal(seat_run(&d, &sub), REQUEST_ELSEWHERE);
	ticket = take_one();
	assert_int_equal(ticket->deadline_ms, 0);
	desk_answer_miss(ticket, ABI_FETCH_NOBODY);
	assert_true(land());
}

/* Many at once: out in the order of the ring, back in any. */
static void test_order(void **state)
{
	struct ticket *ticket, *t[8];
	uint32_t id[8];
	unsigned i;

	(void)state;
	for (i = 0; i < 8; i++)
		id[i] = send_out("key").id;
	for (i = 0, ticket = desk_take(&desk); ticket; ticket = ticket->next)
		t[i++] = ticket;
	assert_int_equal(i, 8);
	for (i = 0; i < 8; i++)
		assert_int_equal(t[i]->id, id[i]);
	for (i = 8; i--;) {
		desk_answer_miss(t[i], ABI_FETCH_TIMEOUT);
		assert_true(land());
		assert_int_equal(d.completion.id, id[i]);
	}
	assert_null(d.session->tickets);
}

/* Which place of the lane shows what was taken from @position, or -1. */
static int shown_at(uint64_t position, struct submission *sub)
{
	int i, n = (int)d.session->geometry.n_queue, found = -1;
	enum abi_fault flaw;
	uint64_t at;

	for (i = 0; i < n; i++) {
		if (!submission_seen(&d.lane->elsewhere[i], &at, sub, &flaw) || at != position)
			continue;
		assert_int_equal(found, -1);
		assert_int_equal(flaw, ABI_FAULT_NONE);
		found = i;
	}
	return found;
}

static unsigned n_shown(void)
{
	unsigned i, n = 0;

	for (i = 0; i < d.session->geometry.n_queue; i++)
		n += shared_u64_load(&d.lane->elsewhere[i].word[7]) != 0;
	return n;
}

/*
 * Who looks on sees what is out, whatever was answered meanwhile: for more than a lap of the ring,
 * and in as many places as were needed at once.
 */
static void test_shown(void **state)
{
	uint64_t n_queue = d.session->geometry.n_queue, first, i, now_ms = store_now_ms();
	struct ticket *early, *late;
	struct submission sub;
	uint32_t id;

	(void)state;
	first = d.lane->consumed;
	id = send_out("early").id;
	early = take_one();
	for (i = 1; i < 2 * n_queue; i++) {
		send_out("key");
		late = take_one();
		assert_int_equal(n_shown(), 2);
		assert_int_equal(shown_at(first + i, &sub), 1);
		desk_answer_miss(late, ABI_FETCH_NOBODY);
		assert_true(land());
		assert_int_equal(shown_at(first + i, &sub), -1);
		assert_int_equal(shown_at(first, &sub), 0);
	}
	assert_int_equal(sub.operation, ABI_OP_FETCH);
	assert_int_equal(sub.id, id);
	assert_int_equal(sub.key_size, 5);
	assert_in_range(sub.since_ms, now_ms, store_now_ns() / 1000000);
	desk_answer_miss(early, ABI_FETCH_TIMEOUT);
	assert_true(land());
	assert_int_equal(n_shown(), 0);
	/* Nobody to ask: it was not out. */
	assert_null(desk_close(&desk));
	sub = seat_make(&d, ABI_OP_FETCH, "key", 0, 0);
	assert_int_equal(seat_ask(&d, &sub), ABI_STATUS_MISS);
	assert_int_equal(n_shown(), 0);
}

/* As many as the ring has may be out, each in a place of its own; there is none for another. */
static void test_shown_all(void **state)
{
	uint64_t n_queue = d.session->geometry.n_queue, first = d.lane->consumed, i;
	struct submission sub;
	struct ticket *list, *next;

	(void)state;
	for (i = 0; i < n_queue; i++)
		send_out("key");
	assert_int_equal(n_shown(), n_queue);
	for (i = 0; i < n_queue; i++)
		assert_int_not_equal(shown_at(first + i, &sub), -1);
	sub = seat_make(&d, ABI_OP_FETCH, "key", 0, 0);
	assert_int_equal(seat_ask(&d, &sub), ABI_STATUS_NOMEM);
	for (list = desk_take(&desk); list; list = next) {
		next = list->next;
		desk_answer_miss(list, ABI_FETCH_NOBODY);
		assert_true(land());
	}
	assert_int_equal(n_shown(), 0);
}

/* What is here is not asked for, but in a batch; and there the answer of the ticket counts. */
static void test_here(void **state)
{
	struct submission sub;
	struct ticket *ticket;

	(void)state;
	d.session->role = WIRE_ROLE_WRITER;
	sub = seat_make(&d, ABI_OP_PUT, "key", 10, 1);
	assert_int_equal(seat_ask(&d, &sub), ABI_STATUS_OK);
	sub = seat_make(&d, ABI_OP_FETCH, "key", 0, 0);
	assert_int_equal(seat_ask(&d, &sub), ABI_STATUS_OK);
	assert_null(desk_take(&desk));
	sub.group = 1;
	assert_int_equal(seat_run(&d, &sub), REQUEST_ELSEWHERE);
	ticket = take_one();
	assert_int_equal(ticket->status, ABI_STATUS_OK);
	desk_answer(ticket);
	assert_true(land());
	assert_int_equal(d.completion.status, ABI_STATUS_OK);
}

/* The thread that talks to others has ended, or never began. */
static void test_closed(void **state)
{
	struct submission sub = seat_make(&d, ABI_OP_FETCH, "key", 0, 0);

	(void)state;
	assert_null(desk_close(&desk));
	assert_int_equal(seat_ask(&d, &sub), ABI_STATUS_MISS);
	assert_int_equal(d.completion.result[0], ABI_FETCH_OFF);
	assert_null(d.session->tickets);
	assert_int_equal(desk_open(&desk), 0);
	send_out("key");
	desk_answer_miss(desk_close(&desk), ABI_FETCH_CANCELLED);
	assert_true(land());
	assert_int_equal(d.completion.result[0], ABI_FETCH_CANCELLED);
}

static void test_erase(void **state)
{
	struct submission sub = seat_make(&d, ABI_OP_DELETE, "key", 0, 0);
	struct ticket *ticket;
	unsigned n_used, n_spare;

	(void)state;
	sub.flags = SUBMISSION_CLUSTER;
	assert_int_equal(seat_ask(&d, &sub), ABI_STATUS_DENIED);
	d.session->role = WIRE_ROLE_STAGER;
	assert_int_equal(seat_run(&d, &sub), REQUEST_ELSEWHERE);
	ticket = take_one();
	assert_int_equal(ticket->kind, TICKET_ERASE);
	assert_int_equal(ticket->status, ABI_STATUS_MISS);
	ticket->result[0] = 3;
	ticket->result[1] = 1;
	desk_answer(ticket);
	assert_true(land());
	assert_int_equal(d.completion.status, ABI_STATUS_MISS);
	assert_int_equal(d.completion.result[0], 3);
	assert_int_equal(d.completion.result[1], 1);
	/* No room for one more: somebody could not be told, rather than nobody had to be. */
	n_used = d.lane->n_used;
	n_spare = d.lane->n_spare;
	d.lane->n_used = d.session->geometry.n_queue;
	d.lane->n_spare = 0;
	assert_int_equal(seat_ask(&d, &sub), ABI_STATUS_MISS);
	assert_int_equal(d.completion.result[1], 1);
	d.lane->n_used = n_used;
	d.lane->n_spare = n_spare;
	assert_null(desk_close(&desk));
	assert_int_equal(seat_ask(&d, &sub), ABI_STATUS_MISS);
	assert_int_equal(d.completion.result[1], 0);
	assert_int_equal(d.session->n_deliveries, 0);
}

/* --- delivered ------------------------------------------------------------------------------ */

/* Held, then given up: it stays until the hold is cleared. No other request knows its number. */
static void test_delivery(void **state)
{
	struct submission sub = {.operation = ABI_OP_COMMIT};
	struct shared_u64 *hold;
	uint64_t reservation;
	char *bytes;

	(void)state;
	send_out("key");
	deliver(take_one(), "key", 5000);
	assert_true(land());
	assert_true(submission_is_delivered(&d.completion));
	reservation = sub.argument = d.completion.result[1];
	bytes = rig_value(&d.rig, abi_word_cell(d.completion.result[0]));
	hold = (void *)((uint8_t *)d.request + d.session->geometry.hold_off);
	shared_u64_store_release(&d.request->holds_used, 1);
	shared_u64_store_release(hold, d.completion.result[0]);
	assert_int_equal(seat_ask(&d, &sub), ABI_STATUS_GONE);
	sub.operation = ABI_OP_WRITE;
	assert_int_equal(seat_ask(&d, &sub), ABI_STATUS_GONE);
	assert_int_equal(give_up(reservation), ABI_STATUS_OK);
	assert_int_equal(give_up(reservation), ABI_STATUS_GONE);
	store_reclaim(&d.rig.store, &d.rig.w);
	assert_int_equal(d.rig.store.limbo.n, 1);
	assert_true(rig_is_filled(bytes, 5000, 5));
	shared_u64_store_release(hold, 0);
	assert_rest();
	assert_int_equal(seat_get(&d, "key", 5), 0);
}

/* The first may be of any size; what is more than its views may keep is not given to it. */
static void test_quota(void **state)
{
	uint64_t size, reservation;

	(void)state;
	size = d.rig.store.tier[ABI_TIER_DRAM].size / 100 * d.session->limits.held_percent;
	send_out("a");
	deliver(take_one(), "a", size + 4096);
	assert_true(land());
	reservation = d.completion.result[1];
	send_out("b");
	deliver(take_one(), "b", 64);
	assert_true(land());
	assert_int_equal(d.completion.status, ABI_STATUS_QUOTA);
	assert_int_equal(d.completion.result[1], 0);
	assert_int_equal(give_up(reservation), ABI_STATUS_OK);
	send_out("b");
	deliver(take_one(), "b", 64);
	assert_true(land());
	assert_int_equal(d.completion.status, ABI_STATUS_OK);
	assert_int_equal(give_up(d.completion.result[1]), ABI_STATUS_OK);
	assert_rest();
}

/* Who is cut off gets nothing more, and keeps nothing from being given back. */
static void test_cut_off(void **state)
{
	(void)state;
	send_out("key");
	assert_true(session_cut_off(d.session, &d.rig.w, ABI_FAULT_HOLDS));
	deliver(take_one(), "key", 5000);
	assert_int_equal(n_shown(), 1);
	assert_false(land());
	assert_int_equal(n_shown(), 0);
	assert_rest();
}

/*
 * A session leaves with one delivered and two on their way. The remote thread hears of it, in
 * order; one comes with a value all the same, when nothing of the session is there any more.
 */
static void test_leave(void **state)
{
	struct ticket *a, *b, *left;

	(void)state;
	send_out("key");
	deliver(take_one(), "key", 5000);
	assert_true(land());
	send_out("a");
	send_out("b");
	seat_leave(&d);
	a = desk_take(&desk);
	b = a->next;
	left = b->next;
	assert_null(left->next);
	assert_int_equal(left->kind, TICKET_LEFT);
	assert_int_equal(left->session, 77);
	desk_answer_miss(a, ABI_FETCH_CANCELLED);
	assert_false(land());
	deliver(b, "b", 5000);
	assert_false(land());
	desk_answer(left);
	assert_false(land());
	assert_rest();
}

/* One who has all its answers may have left something in batches all the same. */
static void test_leave_at_rest(void **state)
{
	struct ticket *left;

	(void)state;
	send_out("key");
	desk_answer_miss(take_one(), ABI_FETCH_NOBODY);
	assert_true(land());
	seat_leave(&d);
	left = take_one();
	assert_int_equal(left->kind, TICKET_LEFT);
	assert_int_equal(left->session, 77);
	desk_answer(left);
	assert_false(land());
	assert_rest();
}

/* Nobody is told of one that never asked. */
static void test_leave_unasked(void **state)
{
	(void)state;
	seat_leave(&d);
	assert_null(desk_take(&desk));
	assert_rest();
}

int main(void)
{
#define UNIT(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		UNIT(test_words),
		UNIT(test_order),
		UNIT(test_shown),
		UNIT(test_shown_all),
		UNIT(test_here),
		UNIT(test_closed),
		UNIT(test_erase),
		UNIT(test_delivery),
		UNIT(test_quota),
		UNIT(test_cut_off),
		UNIT(test_leave),
		UNIT(test_leave_at_rest),
		UNIT(test_leave_unasked),
	};

	return RIG_RUN(tests);
}
