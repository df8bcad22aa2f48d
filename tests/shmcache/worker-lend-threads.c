/* SPDX-License-Identifier: Apache-2.0 */
/* Unit of worker-lend.c with threads: a worker, and a remote thread that asks nobody. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "shmcache/remote/loop.h"
#include "tests/shmcache/lent.h"
#include "tests/shmcache/rig.h"

#define WINDOW 16
#define EACH 4000
#define PAUSE_MS 1
#define PATIENCE_MS 60000 /* with no answer at all */

static struct broker b;
static struct worker *worker;
static struct caller caller, other;
static struct remote_loop loop;
static pthread_t remote;
static struct ticket *kept; /* tickets that are not answered yet; the remote thread's */
static struct timer pause_end;
static unsigned n_tickets;

static void answer(struct ticket *ticket)
{
	desk_answer_miss(ticket, ABI_FETCH_NOBODY);
	desk_look_at_answers(&b.desk);
}

/* What others were asked stays out for a moment, so that the worker has a reason to lend. */
static void tend(void *owner)
{
	struct ticket *ticket = desk_take(&b.desk), *next;

	(void)owner;
	remote_loop_visit(&loop);
	for (; ticket; ticket = next) {
		next = ticket->next;
		if (kept)
			desk_answer_miss(kept, ABI_FETCH_NOBODY);
		kept = ticket;
		n_tickets++;
		remote_loop_at(&loop, &pause_end, loop.now_ms + PAUSE_MS);
	}
	remote_loop_visited(&loop);
	desk_look_at_answers(&b.desk);
}

static void pause_over(struct timer *timer)
{
	struct ticket *ticket = kept;

	(void)timer;
	kept = NULL;
	if (ticket)
		answer(ticket);
}

static void *remote_main(void *unused)
{
	remote_loop_run(&loop);
	return unused;
}

static int setup(void **state)
{
	(void)state;
	lent_broker_start(&b);
	n_tickets = 0;
	worker = &b.worker[0];
	pause_end = (struct timer){.expired = pause_over};
	assert_int_equal(remote_loop_init(&loop, &b.store, &b.plane.shared->worker[ABI_REMOTE], b.log,
				 b.config), 0);
	loop.tray = &b.desk.in;
	assert_int_equal(desk_open_tended(&b.desk, loop.epoll, tend, &loop), 0);
	assert_int_equal(pthread_create(&remote, NULL, remote_main, NULL), 0);
	caller_open(&caller, &b, worker);
	caller_open(&other, &b, worker);
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

/* As at a broker's stop: the remote thread ends first, and the worker finishes what there is. */
static void stop(void)
{
	remote_loop_stop(&loop);
	pthread_join(remote, NULL);
	loop.tray = NULL;
	free_tickets(desk_close(&b.desk));
	remote_loop_not_at(&loop, &pause_end);
	pause_over(&pause_end);
	desk_look_at_answers(&b.desk);
	remote_loop_deinit(&loop);
	lent_broker_stop(&b);
}

static int teardown(void **state)
{
	(void)state;
	caller_close(&caller);
	caller_close(&other);
	return 0;
}

/* As clients do: the bell is for who sleeps. Nobody asks for what another has put. */
static void ask_worker(struct caller *g, enum abi_operation operation)
{
	caller_send(g, operation, (unsigned)g->n_sent * 2 + (g == &other));
	shared_fence();
	if (shared_u32_load(&worker->shared->need_wakeup))
		assert_true(wire_ring(g->bell));
}

static void assert_no_answer(struct caller *g)
{
	struct completion completion;

	assert_false(caller_take(g, &completion));
}

struct client {
	struct caller *caller;
	uint64_t random;
	enum abi_operation asked[EACH];
	bool is_answered[EACH];
};

static void note(struct client *c, const struct completion *completion)
{
	uint32_t id = completion->id;

	assert_true(id < c->caller->n_sent);
	if (c->is_answered[id])
		fail_msg("request %u is answered twice", id);
	c->is_answered[id] = true;
	assert_int_equal(completion->status,
		c->asked[id] == ABI_OP_FETCH ? ABI_STATUS_MISS : ABI_STATUS_OK);
}

/* Keep some requests out, most of them fetches; whether it got anything. */
static bool client_round(struct client *c)
{
	struct caller *g = c->caller;
	struct completion completion;
	bool got = false;

	while (g->n_sent < EACH && g->n_sent - g->n_taken < WINDOW) {
		c->asked[g->n_sent] = rig_random(&c->random) % 4 ? ABI_OP_FETCH : ABI_OP_PUT;
		ask_worker(g, c->asked[g->n_sent]);
	}
	while (caller_take(g, &completion)) {
		note(c, &completion);
		got = true;
	}
	return got;
}

static void each_request_is_answered_once(void **state)
{
	static struct client client[2] = {{.caller = &caller}, {.caller = &other}};
	uint64_t heard_ms = store_now_ms();
	bool is_heard;
	unsigned i;

	(void)state;
	print_message("seed %d\n", 7);
	client[0].random = 7;
	client[1].random = 8;
	while (caller.n_taken < EACH || other.n_taken < EACH) {
		is_heard = client_round(&client[0]);
		if (client_round(&client[1]) || is_heard)
			heard_ms = store_now_ms();
		else if (store_now_ms() > heard_ms + PATIENCE_MS)
			fail_msg("%u and %u are answered, no more come", (unsigned)caller.n_taken,
				(unsigned)other.n_taken);
		else
			usleep(50);
	}
	stop();
	assert_true(worker->lent.fd >= 0);
	assert_no_answer(&caller);
	assert_no_answer(&other);
	for (i = 0; i < EACH; i++)
		n_tickets -= (client[0].asked[i] == ABI_OP_FETCH) + (client[1].asked[i] == ABI_OP_FETCH);
	assert_int_equal(n_tickets, 0);
}

/* Whatever it had lent when it was told to: all that was asked before is answered. */
static void a_stop_finds_what_is_lent(void **state)
{
	struct completion completion;
	bool is_answered[WINDOW] = {false};
	unsigned i;

	(void)state;
	for (i = 0; i < WINDOW; i++)
		ask_worker(&caller, i % 4 == 3 ? ABI_OP_PUT : ABI_OP_FETCH);
	stop();
	for (i = 0; i < WINDOW; i++) {
		assert_true(caller_take(&caller, &completion));
		assert_true(completion.id < WINDOW && !is_answered[completion.id]);
		is_answered[completion.id] = true;
	}
	assert_no_answer(&caller);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(each_request_is_answered_once, setup, teardown),
		cmocka_unit_test_setup_teardown(a_stop_finds_what_is_lent, setup, teardown),
	};

	rig_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
