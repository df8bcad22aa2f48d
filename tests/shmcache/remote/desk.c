/* SPDX-License-Identifier: Apache-2.0 */
/* Unit of remote/desk.c: trays that are tended, by their owner or by who brings something. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "shmcache/remote/desk.h"

static struct tray tray;
static struct ticket *found; /* by the last that tended */
static unsigned n_found, n_tended;
static pthread_t tender;
static struct ticket *brings; /* put by another thread while somebody tends */

static void *put_and_look(void *ticket)
{
	assert_true(tray_put(&tray, ticket));
	tray_look(&tray);
	return NULL;
}

static void by_another(struct ticket *ticket)
{
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, put_and_look, ticket), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
}

static void tend(void *owner)
{
	struct ticket *t, *coming = brings;

	assert_ptr_equal(owner, &n_found);
	brings = NULL;
	n_tended++;
	tender = pthread_self();
	for (t = found = tray_take(&tray); t; t = t->next)
		n_found++;
	if (coming)
		by_another(coming);
}

static int setup(void **state)
{
	(void)state;
	n_found = n_tended = 0;
	tray_init(&tray);
	tray_open_tended(&tray, tend, &n_found);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	assert_null(tray_close(&tray));
	tray_deinit(&tray);
	return 0;
}

static void who_brings_to_a_sleeper_does_its_work(void **state)
{
	struct ticket *a = ticket_new(TICKET_FETCH, "a", 1), *b = ticket_new(TICKET_FETCH, "b", 1);

	(void)state;
	assert_true(tray_put(&tray, a) && tray_put(&tray, b));
	assert_int_equal(n_tended, 0);
	tray_look(&tray);
	assert_int_equal(n_tended, 1);
	assert_ptr_equal(found, a);
	assert_ptr_equal(a->next, b);
	assert_null(b->next);
	assert_true(pthread_equal(tender, pthread_self()));
	/* With nothing there nobody is bothered. */
	tray_look(&tray);
	assert_int_equal(n_tended, 1);
	ticket_free(a);
	ticket_free(b);
}

static void who_brings_to_one_awake_goes_his_way(void **state)
{
	struct ticket *a = ticket_new(TICKET_FETCH, "a", 1);

	(void)state;
	tray_awake(&tray);
	by_another(a);
	assert_int_equal(n_tended, 0);
	/* And the owner does not sleep over it. */
	assert_false(tray_asleep(&tray));
	tray_awake(&tray);
	tend(&n_found);
	assert_ptr_equal(found, a);
	assert_true(tray_asleep(&tray));
	ticket_free(a);
}

static void what_comes_while_one_tends_is_tended(void **state)
{
	struct ticket *a = ticket_new(TICKET_FETCH, "a", 1), *b = ticket_new(TICKET_FETCH, "b", 1);

	(void)state;
	brings = b;
	assert_true(tray_put(&tray, a));
	tray_look(&tray);
	assert_int_equal(n_tended, 2);
	assert_ptr_equal(found, b);
	assert_true(pthread_equal(tender, pthread_self()));
	ticket_free(a);
	ticket_free(b);
}

static void nobody_tends_what_is_closed(void **state)
{
	struct ticket *a = ticket_new(TICKET_FETCH, "a", 1);

	(void)state;
	assert_true(tray_put(&tray, a));
	assert_ptr_equal(tray_close(&tray), a);
	assert_false(tray_put(&tray, a));
	tray_look(&tray);
	assert_int_equal(n_tended, 0);
	ticket_free(a);
}

static void several_answers_are_one_look(void **state)
{
	struct ticket *a = ticket_new(TICKET_FETCH, "a", 1), *b = ticket_new(TICKET_FETCH, "b", 1);
	struct desk desk;

	(void)state;
	desk_init(&desk);
	assert_int_equal(desk_open(&desk), 0);
	a->home = b->home = &tray;
	assert_true(desk_submit(&desk, a) && desk_submit(&desk, b));
	desk_look(&desk);
	assert_ptr_equal(desk_take(&desk), a);
	desk_answer(a);
	desk_answer(b);
	assert_int_equal(n_tended, 0);
	desk_look_at_answers(&desk);
	assert_int_equal(n_tended, 1);
	assert_int_equal(n_found, 2);
	desk_look_at_answers(&desk);
	assert_int_equal(n_tended, 1);
	assert_null(desk_close(&desk));
	desk_deinit(&desk);
	ticket_free(a);
	ticket_free(b);
}

/* --- all at once ------------------------------------------------------------------------------ */

#define PUTTERS 3
#define EACH 20000

static void *put_many(void *argument)
{
	struct ticket *tickets = argument;

	for (unsigned i = 0; i < EACH; i++)
		put_and_look(&tickets[i]);
	return NULL;
}

/* An owner who goes to sleep for good whenever there is nothing, and is woken by none of them. */
static void *own(void *stop)
{
	while (!atomic_load((atomic_bool *)stop)) {
		tray_awake(&tray);
		tend(&n_found);
		if (tray_asleep(&tray))
			sched_yield();
	}
	return NULL;
}

static void nothing_is_left_lying(void **state)
{
	struct ticket *tickets = calloc((size_t)PUTTERS * EACH, sizeof(*tickets));
	pthread_t putter[PUTTERS], owner;
	atomic_bool stop = false;
	unsigned i;

	(void)state;
	assert_non_null(tickets);
	assert_int_equal(pthread_create(&owner, NULL, own, &stop), 0);
	for (i = 0; i < PUTTERS; i++)
		assert_int_equal(
			pthread_create(&putter[i], NULL, put_many, &tickets[(size_t)i * EACH]), 0);
	usleep(2000);
	/* From here on there are only those who put. */
	atomic_store(&stop, true);
	assert_int_equal(pthread_join(owner, NULL), 0);
	for (i = 0; i < PUTTERS; i++)
		assert_int_equal(pthread_join(putter[i], NULL), 0);
	assert_false(tray_has_any(&tray));
	assert_int_equal(n_found, PUTTERS * EACH);
	free(tickets);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(who_brings_to_a_sleeper_does_its_work, setup, teardown),
		cmocka_unit_test_setup_teardown(who_brings_to_one_awake_goes_his_way, setup, teardown),
		cmocka_unit_test_setup_teardown(what_comes_while_one_tends_is_tended, setup, teardown),
		cmocka_unit_test_setup_teardown(nobody_tends_what_is_closed, setup, teardown),
		cmocka_unit_test_setup_teardown(several_answers_are_one_look, setup, teardown),
		cmocka_unit_test_setup_teardown(nothing_is_left_lying, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
