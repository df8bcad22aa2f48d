/* SPDX-License-Identifier: Apache-2.0 */
/* Unit of worker-lend.c: lanes that the remote thread serves while their worker sleeps. */
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/shmcache/lent.h"
#include "tests/shmcache/rig.h"

/*
 * Step by step: the test is the clients, the worker, a second one beside the broker's own, and the
 * remote thread, and each does what it does when the test says so.
 */
static struct broker b;
static struct caller caller, other;
static struct worker *worker;
static int set; /* of the remote thread */

/* Its turn is ours all along, as while it is awake. */
static void nobody_tends(void *owner)
{
	(void)owner;
	fail_msg("somebody stands in for a remote thread that is awake");
}

static void worker_make(void)
{
	struct epoll_event event = {.events = EPOLLIN};

	worker = &b.worker[1];
	worker->broker = &b;
	worker->idx = 1;
	worker->shared = &b.plane.shared->worker[1];
	pthread_mutex_init(&worker->inbox_lock, NULL);
	tray_init(&worker->tray);
	worker_lend_init(worker);
	worker->bell.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	worker->epoll = epoll_create1(EPOLL_CLOEXEC);
	event.data.ptr = &worker->bell;
	assert_int_equal(epoll_ctl(worker->epoll, EPOLL_CTL_ADD, worker->bell.fd, &event), 0);
	tray_open_tended(&worker->tray, worker_tend, worker);
	tray_awake(&worker->tray);
}

static int setup(void **state)
{
	(void)state;
	lent_broker_start(&b);
	set = epoll_create1(EPOLL_CLOEXEC);
	assert_int_equal(desk_open_tended(&b.desk, set, nobody_tends, NULL), 0);
	tray_awake(&b.desk.in);
	worker_make();
	caller_open(&caller, &b, worker);
	caller_open(&other, &b, worker);
	worker_read_mail(worker);
	assert_int_equal(worker->n_lanes, 2);
	return 0;
}

static void free_tickets(struct ticket *ticket)
{
	struct ticket *next;

	for (; ticket; ticket = next) {
		next = ticket->next;
		desk_answer_miss(ticket, ABI_FETCH_OFF);
	}
}

static int teardown(void **state)
{
	(void)state;
	(void)tray_asleep(&b.desk.in);
	(void)tray_asleep(&worker->tray);
	free_tickets(desk_close(&b.desk));
	worker_drop_tickets(worker);
	lent_broker_stop(&b);
	close(worker->bell.fd);
	close(worker->epoll);
	close(set);
	free(worker->lane);
	tray_deinit(&worker->tray);
	pthread_mutex_destroy(&worker->inbox_lock);
	caller_close(&caller);
	caller_close(&other);
	return 0;
}

static bool is_ringing(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, 0) == 1;
}

/* A request, with the doorbell rung: its key is its id. */
static void ask(struct caller *g, enum abi_operation operation)
{
	caller_send(g, operation, (unsigned)g->n_sent);
	assert_true(wire_ring(g->bell));
}

/* The worker goes to sleep, and stays there after its time. */
static void lend(void)
{
	assert_true(worker_may_lend(worker));
	worker->is_lent = true;
	assert_true(tray_asleep(&worker->tray));
	worker_wait_lent(worker);
}

static void come_back(void)
{
	tray_awake(&worker->tray);
	worker->is_lent = false;
}

/* One event of the remote thread's, if there is one. */
static bool remote_turn(void)
{
	return watch_wait(set, 0) == 1;
}

/* The one ticket that is there. */
static struct ticket *take_ticket(void)
{
	struct ticket *ticket = desk_take(&b.desk);

	if (!ticket)
		fail_msg("nothing was asked for");
	assert_null(ticket->next);
	return ticket;
}

static void answer(struct ticket *ticket)
{
	desk_answer_miss(ticket, ABI_FETCH_NOBODY);
	desk_look_at_answers(&b.desk);
}

static void assert_answered(struct caller *g, uint32_t id, enum abi_status status)
{
	struct completion completion;

	if (!caller_take(g, &completion))
		fail_msg("request %u is not answered", id);
	assert_int_equal(completion.id, id);
	assert_int_equal(completion.status, status);
}

static void assert_no_answer(struct caller *g)
{
	struct completion completion;

	assert_false(caller_take(g, &completion));
}

/* The first request went to others, and the worker sleeps, and has lent. */
static struct ticket *begin(void)
{
	struct ticket *ticket;

	ask(&caller, ABI_OP_FETCH);
	assert_int_equal(worker_serve_all(worker), 1);
	ticket = take_ticket();
	lend();
	/* The bell of the first, which nobody has listened to. */
	assert_true(remote_turn());
	assert_false(remote_turn());
	return ticket;
}

static void lends_while_others_are_asked_on_few_cpus(void **state)
{
	struct ticket *ticket;

	(void)state;
	assert_false(worker_may_lend(worker));
	ask(&caller, ABI_OP_FETCH);
	assert_int_equal(worker_serve_all(worker), 1);
	assert_true(worker_may_lend(worker));
	b.can_spin_for_others = true;
	assert_false(worker_may_lend(worker));
	b.can_spin_for_others = false;
	ticket = take_ticket();
	answer(ticket);
	/* Nobody stands in for one who is awake. */
	assert_no_answer(&caller);
	worker_read_mail(worker);
	assert_answered(&caller, 0, ABI_STATUS_MISS);
	assert_false(worker_may_lend(worker));
}

static void what_is_for_others_is_asked_and_answered_in_its_place(void **state)
{
	struct ticket *ticket[4];
	unsigned i;

	(void)state;
	ticket[0] = begin();
	for (i = 1; i < 4; i++) {
		ask(i % 2 ? &other : &caller, ABI_OP_FETCH);
		assert_true(remote_turn());
		ticket[i] = take_ticket();
		assert_false(remote_turn());
		assert_false(is_ringing(worker->bell.fd));
	}
	for (i = 0; i < 4; i++)
		answer(ticket[i]);
	come_back();
	assert_int_equal(worker_serve_all(worker), 0);
	assert_false(worker_has_mail(worker));
	assert_null(desk_take(&b.desk));
	assert_answered(&caller, 0, ABI_STATUS_MISS);
	assert_answered(&caller, 1, ABI_STATUS_MISS);
	assert_answered(&other, 0, ABI_STATUS_MISS);
	assert_answered(&other, 1, ABI_STATUS_MISS);
	assert_no_answer(&caller);
	assert_no_answer(&other);
	assert_false(worker_may_lend(worker));
}

static void what_concerns_nobody_else_brings_the_worker_back(void **state)
{
	struct ticket *ticket = begin();

	(void)state;
	ask(&other, ABI_OP_PUT);
	assert_true(remote_turn());
	assert_answered(&other, 0, ABI_STATUS_OK);
	assert_true(is_ringing(worker->bell.fd));
	/* From here on it is as good as awake: what comes is its own. */
	ask(&other, ABI_OP_PUT);
	assert_false(remote_turn());
	assert_no_answer(&other);
	come_back();
	assert_int_equal(worker_serve_all(worker), 1);
	assert_answered(&other, 1, ABI_STATUS_OK);
	assert_no_answer(&other);
	/* And the next time it lends what rang meanwhile is heard. */
	lend();
	assert_true(remote_turn());
	assert_false(remote_turn());
	come_back();
	answer(ticket);
}

static void nobody_serves_for_one_who_is_awake(void **state)
{
	struct ticket *ticket = begin();

	(void)state;
	tray_awake(&worker->tray);
	/* It has its turn again, and has not said yet that it takes its lanes back. */
	ask(&caller, ABI_OP_FETCH);
	assert_true(remote_turn());
	assert_null(desk_take(&b.desk));
	assert_false(remote_turn());
	worker->is_lent = false;
	assert_int_equal(worker_serve_all(worker), 1);
	answer(take_ticket());
	worker_read_mail(worker);
	assert_answered(&caller, 1, ABI_STATUS_MISS);
	answer(ticket);
}

/* A worker that sleeps on its own set hears its own bells. */
static void nobody_serves_for_one_who_has_not_lent(void **state)
{
	struct ticket *ticket = begin();

	(void)state;
	come_back();
	assert_true(tray_asleep(&worker->tray));
	ask(&caller, ABI_OP_PUT);
	assert_true(remote_turn());
	assert_no_answer(&caller);
	assert_true(is_ringing(worker->epoll));
	assert_false(remote_turn());
	tray_awake(&worker->tray);
	assert_int_equal(worker_serve_all(worker), 1);
	assert_answered(&caller, 1, ABI_STATUS_OK);
	answer(ticket);
}

static void its_own_bell_is_left_to_it(void **state)
{
	struct ticket *ticket = begin();

	(void)state;
	worker_ring(worker);
	assert_true(remote_turn());
	assert_true(is_ringing(worker->bell.fd));
	/* It would ring until the worker gets to run. */
	assert_false(remote_turn());
	come_back();
	lend();
	assert_false(is_ringing(worker->bell.fd));
	come_back();
	answer(ticket);
}

static void who_leaves_meanwhile_is_let_go(void **state)
{
	struct ticket *ticket = begin();

	(void)state;
	/* A doorbell that hangs up rings for ever. */
	close(caller.bell);
	caller.bell = -1;
	assert_true(remote_turn());
	assert_false(remote_turn());
	worker_leave(worker, caller.session);
	assert_true(remote_turn());
	assert_int_equal(worker->n_lanes, 2);
	come_back();
	worker_read_mail(worker);
	assert_int_equal(worker->n_lanes, 1);
	/* Its answer is nobody's; that it left is told. */
	answer(ticket);
	ticket = take_ticket();
	assert_int_equal(ticket->kind, TICKET_LEFT);
	desk_answer(ticket);
	desk_look_at_answers(&b.desk);
	worker_read_mail(worker);
	assert_no_answer(&caller);
	/* Who stayed is served as before. */
	ask(&other, ABI_OP_FETCH);
	assert_int_equal(worker_serve_all(worker), 1);
	ticket = take_ticket();
	lend();
	assert_true(remote_turn());
	ask(&other, ABI_OP_FETCH);
	assert_true(remote_turn());
	answer(take_ticket());
	answer(ticket);
	come_back();
	assert_answered(&other, 1, ABI_STATUS_MISS);
	assert_answered(&other, 0, ABI_STATUS_MISS);
	assert_no_answer(&other);
	assert_false(worker_may_lend(worker));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			lends_while_others_are_asked_on_few_cpus, setup, teardown),
		cmocka_unit_test_setup_teardown(
			what_is_for_others_is_asked_and_answered_in_its_place, setup, teardown),
		cmocka_unit_test_setup_teardown(
			what_concerns_nobody_else_brings_the_worker_back, setup, teardown),
		cmocka_unit_test_setup_teardown(nobody_serves_for_one_who_is_awake, setup, teardown),
		cmocka_unit_test_setup_teardown(
			nobody_serves_for_one_who_has_not_lent, setup, teardown),
		cmocka_unit_test_setup_teardown(its_own_bell_is_left_to_it, setup, teardown),
		cmocka_unit_test_setup_teardown(who_leaves_meanwhile_is_let_go, setup, teardown),
	};

	rig_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
