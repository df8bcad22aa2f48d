/* SPDX-License-Identifier: Apache-2.0 */
/* loop.c: the remote thread's loop: events, times, what is put off, and its end. */
#include "shmcache/remote/loop.h"
#include "tests/shmcache/rig.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

static struct remote_loop loop;
static struct abi_worker worker;
static char order[64];

static int setup(void **state)
{
	(void)state;
	memset(&worker, 0, sizeof(worker));
	memset(order, 0, sizeof(order));
	return remote_loop_init(&loop, NULL, &worker, NULL, NULL);
}

static int teardown(void **state)
{
	(void)state;
	remote_loop_deinit(&loop);
	return 0;
}

static void note(char what)
{
	order[strlen(order)] = what;
}

static void later_a(struct remote_later *later)
{
	(void)later;
	note('a');
}

static void later_b(struct remote_later *later)
{
	note('b');
	/* Asked for by what was put off: still in this turn, after what waited before. */
	remote_loop_soon(&loop, later->owner);
}

static void what_is_put_off_comes_once_and_in_order(void **state)
{
	struct remote_later a = {.call = later_a}, c = {.call = later_a};
	struct remote_later b = {.call = later_b, .owner = &a};

	(void)state;
	remote_loop_soon(&loop, &b);
	remote_loop_soon(&loop, &c);
	remote_loop_soon(&loop, &b);
	assert_string_equal(order, "");
	remote_loop_turn(&loop, 0);
	assert_string_equal(order, "baa");
	remote_loop_soon(&loop, &c);
	remote_loop_soon(&loop, &a);
	remote_loop_not_soon(&loop, &a);
	remote_loop_not_soon(&loop, &a);
	remote_loop_soon(&loop, &b); /* at the end, which has moved back */
	remote_loop_not_soon(&loop, &c);
	remote_loop_turn(&loop, 0);
	assert_string_equal(order, "baaba");
}

struct bomb {
	struct watch watch;
	struct timer timer;
};

static void bomb_ready(struct watch *watch, uint32_t events)
{
	(void)watch;
	(void)events;
	note('e');
}

/* Frees a watch that may be ready: its event must be over, or never come. */
static void bomb_expired(struct timer *timer)
{
	struct bomb *bomb = timer->owner;

	note('t');
	remote_loop_unwatch(&loop, &bomb->watch);
	memset(bomb, 0xee, sizeof(*bomb));
	free(bomb);
}

static void a_time_may_free_what_is_ready(void **state)
{
	struct bomb *bomb = calloc(1, sizeof(*bomb));

	(void)state;
	bomb->watch.ready = bomb_ready;
	bomb->watch.fd = eventfd(1, EFD_CLOEXEC);
	bomb->timer.expired = bomb_expired;
	bomb->timer.owner = bomb;
	assert_int_equal(remote_loop_watch(&loop, &bomb->watch, EPOLLIN), 0);
	remote_loop_at(&loop, &bomb->timer, loop.now_ms);
	remote_loop_turn(&loop, 0);
	assert_string_equal(order, "et");
	remote_loop_turn(&loop, 0);
	assert_string_equal(order, "et");
}

static void times_come_although_events_never_cease(void **state)
{
	struct bomb *bomb = calloc(1, sizeof(*bomb));
	unsigned n;

	(void)state;
	bomb->watch.ready = bomb_ready;
	bomb->watch.fd = eventfd(1, EFD_CLOEXEC); /* always ready */
	bomb->timer.expired = bomb_expired;
	bomb->timer.owner = bomb;
	assert_int_equal(remote_loop_watch(&loop, &bomb->watch, EPOLLIN), 0);
	remote_loop_at(&loop, &bomb->timer, store_now_ms() + 20);
	for (n = 0; !strchr(order, 't'); n++) {
		memset(order, 0, sizeof(order));
		remote_loop_turn(&loop, -1);
	}
	assert_true(n > 1);
}

static void a_turn_ends_at_the_next_time(void **state)
{
	struct bomb *bomb = calloc(1, sizeof(*bomb));
	uint64_t at_ms = store_now_ms() + 30;

	(void)state;
	bomb->watch.fd = -1;
	bomb->timer.expired = bomb_expired;
	bomb->timer.owner = bomb;
	remote_loop_at(&loop, &bomb->timer, at_ms);
	while (!strchr(order, 't'))
		remote_loop_turn(&loop, -1);
	assert_true(store_now_ms() >= at_ms);
}

static void *run(void *argument)
{
	remote_loop_run(argument);
	return NULL;
}

static void another_thread_ends_it(void **state)
{
	pthread_t thread;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, run, &loop), 0);
	while (!shared_u32_load(&worker.need_wakeup))
		usleep(100);
	assert_false(remote_loop_is_stuck(&loop, 0));
	remote_loop_stop(&loop);
	assert_int_equal(pthread_join(thread, NULL), 0);
}

/* --- visits ----------------------------------------------------------------------------------- */

static struct tray tray;
static struct watch visited;
static bool is_gone;
static unsigned n_late;

static void nothing_to_tend(void *owner)
{
	(void)owner;
}

static void gone_is_ready(struct watch *watch, uint32_t events)
{
	(void)watch;
	(void)events;
	n_late += is_gone;
}

static void begin_visits(pthread_t *thread)
{
	tray_init(&tray);
	tray_open_tended(&tray, nothing_to_tend, NULL);
	loop.tray = &tray;
	assert_int_equal(pthread_create(thread, NULL, run, &loop), 0);
	while (!shared_u32_load(&worker.need_wakeup))
		usleep(100);
}

static void end_visits(pthread_t thread)
{
	remote_loop_stop(&loop);
	assert_int_equal(pthread_join(thread, NULL), 0);
	loop.tray = NULL;
	assert_null(tray_close(&tray));
	tray_deinit(&tray);
}

/*
 * The loop has an event in its hands, and waits for its turn, while the visitor takes the
 * descriptor away.
 */
static void a_visit_may_free_what_is_ready(void **state)
{
	pthread_t thread;
	unsigned i;

	(void)state;
	n_late = 0;
	begin_visits(&thread);
	for (i = 0; i < 20; i++) {
		tray_awake(&tray);
		remote_loop_visit(&loop);
		is_gone = false;
		visited = (struct watch){
			.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), .ready = gone_is_ready};
		assert_int_equal(remote_loop_watch(&loop, &visited, EPOLLIN), 0);
		remote_loop_visited(&loop);
		(void)tray_asleep(&tray);
		while (!shared_u32_load(&worker.need_wakeup))
			usleep(100);
		tray_awake(&tray);
		remote_loop_visit(&loop);
		assert_int_equal(write(visited.fd, &(uint64_t){1}, 8), 8);
		/* Time for it to come as far as it can. */
		usleep(2000);
		remote_loop_unwatch(&loop, &visited);
		is_gone = true;
		remote_loop_visited(&loop);
		(void)tray_asleep(&tray);
		usleep(500);
	}
	end_visits(thread);
	assert_int_equal(n_late, 0);
}

/* A time that is earlier than what the loop waits for. */
static void a_visit_may_set_a_time(void **state)
{
	struct bomb *bomb = calloc(1, sizeof(*bomb));
	pthread_t thread;
	unsigned i;
	char seen;

	(void)state;
	begin_visits(&thread);
	bomb->watch.fd = -1;
	bomb->timer.expired = bomb_expired;
	bomb->timer.owner = bomb;
	tray_awake(&tray);
	remote_loop_visit(&loop);
	remote_loop_at(&loop, &bomb->timer, store_now_ms() + 5);
	remote_loop_visited(&loop);
	/* It waits for ever, if it is not told. */
	for (i = 0, seen = 0; i < 3000 && !seen; i++) {
		(void)tray_asleep(&tray);
		usleep(1000);
		tray_awake(&tray);
		seen = order[0];
	}
	(void)tray_asleep(&tray);
	end_visits(thread);
	assert_int_equal(seen, 't');
}

static void who_does_not_come_back_is_stuck(void **state)
{
	(void)state;
	remote_loop_turn(&loop, 0);
	assert_false(remote_loop_is_stuck(&loop, 60000));
	/* As if the callback that runs had begun long ago. */
	atomic_store(&loop.beat_ms, store_now_ms() - 1000);
	assert_true(remote_loop_is_stuck(&loop, 900));
	shared_u32_store(&worker.need_wakeup, 1);
	assert_false(remote_loop_is_stuck(&loop, 900));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_is_put_off_comes_once_and_in_order, setup, teardown),
		cmocka_unit_test_setup_teardown(a_time_may_free_what_is_ready, setup, teardown),
		cmocka_unit_test_setup_teardown(times_come_although_events_never_cease, setup, teardown),
		cmocka_unit_test_setup_teardown(a_turn_ends_at_the_next_time, setup, teardown),
		cmocka_unit_test_setup_teardown(another_thread_ends_it, setup, teardown),
		cmocka_unit_test_setup_teardown(a_visit_may_free_what_is_ready, setup, teardown),
		cmocka_unit_test_setup_teardown(a_visit_may_set_a_time, setup, teardown),
		cmocka_unit_test_setup_teardown(who_does_not_come_back_is_stuck, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
