/* SPDX-License-Identifier: Apache-2.0 */
/* wait.c: blocking calls: deadlines, wake-ups, hang-ups, and reservations through them. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "ipc/histogram.h"
#include "tests/clients/rig.h"

struct fixture {
	struct rig rig;
	pthread_t thread;
	atomic_bool is_over;
	unsigned delay_us;
	bool is_serving;
};

static int setup(void **state)
{
	static struct fixture f;

	memset(&f, 0, sizeof(f));
	rig_open(&f.rig, WIRE_ROLE_WRITER);
	*state = &f;
	return 0;
}

/* Answers everything with OK, after a while. */
static void *serve_main(void *arg)
{
	struct fixture *f = arg;
	struct submission s;
	unsigned lane;

	while (!atomic_load(&f->is_over)) {
		for (lane = 0; lane < RIG_LANES; lane++) {
			if (!rig_take(&f->rig, lane, &s))
				continue;
			usleep(f->delay_us);
			rig_answer(&f->rig, lane, s.id, ABI_STATUS_OK, 1000 + s.id,
				submission_location(ABI_TIER_DRAM, 64 * s.id));
		}
		usleep(10);
	}
	return NULL;
}

static void serve(struct fixture *f, unsigned delay_us)
{
	f->delay_us = delay_us;
	f->is_serving = true;
	assert_int_equal(pthread_create(&f->thread, NULL, serve_main, f), 0);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	atomic_store(&f->is_over, true);
	if (f->is_serving)
		pthread_join(f->thread, NULL);
	rig_close(&f->rig);
	return 0;
}

static uint64_t elapsed_ms(uint64_t since)
{
	return (deadline_clock() - since) / 1000000;
}

static void a_deadline_is_kept(void **state)
{
	struct fixture *f = *state;
	uint64_t begin = deadline_clock(), start = begin;
	struct histogram waits = {0};

	assert_int_equal(shmc_ping(f->rig.cache, 0), -ETIMEDOUT);
	assert_true(elapsed_ms(begin) < 1000);
	begin = deadline_clock();
	assert_int_equal(shmc_put(f->rig.cache, "key", 3, "value", 5, NULL, 40), -ETIMEDOUT);
	assert_in_range(elapsed_ms(begin), 40, 1000);
	f->rig.cache->timeout_ms = 20;
	begin = deadline_clock();
	assert_int_equal(
		shmc_delete(f->rig.cache, "key", 3, SHMC_TIMEOUT_DEFAULT), -ETIMEDOUT);
	assert_in_range(elapsed_ms(begin), 20, 1000);
	assert_int_equal(shmc_ping(f->rig.cache, -3), -EINVAL);
	/* How long it stood there is told. */
	histogram_gather(&waits, &rig_request(&f->rig, 0)->wait);
	assert_int_equal(waits.n, 2);
	assert_in_range(waits.sum_ns, 1, deadline_clock() - start);
	/* The late answers are nobody's, and the calls after them get their own. */
	serve(f, 0);
	assert_int_equal(shmc_ping(f->rig.cache, 10000), 0);
	assert_int_equal(shmc_ping(f->rig.cache, SHMC_TIMEOUT_NEVER), 0);
}

static void a_sleeper_is_woken(void **state)
{
	struct fixture *f = *state;
	uint64_t begin = deadline_clock();
	int i;

	serve(f, 2000);
	for (i = 0; i < 50; i++)
		assert_int_equal(shmc_ping(f->rig.cache, 10000), 0);
	assert_true(elapsed_ms(begin) < 5000);
	assert_int_equal(shared_u32_load(&rig_request(&f->rig, 0)->need_wakeup), 0);
}

static void an_execute_gives_each_its_result(void **state)
{
	struct fixture *f = *state;
	enum { N = 100 };
	struct shmc_request q[N];
	char key[N][8];
	int i;

	serve(f, 0);
	memset(q, 0, sizeof(q));
	for (i = 0; i < N; i++) {
		q[i].operation = i % 10 == 7 ? SHMC_OP_EXISTS : SHMC_OP_PUT;
		q[i].key = key[i];
		q[i].key_size = (size_t)snprintf(key[i], sizeof(key[i]), "k%d", i);
		q[i].value = key[i];
		q[i].value_size = i % 10 == 5 ? 0 : 2;
		q[i].result = 12345;
	}
	assert_int_equal(shmc_execute(f->rig.cache, q, N, 10000), 0);
	for (i = 0; i < N; i++)
		assert_int_equal(q[i].result,
			i % 10 == 7 ? SHMC_MISS : i % 10 == 5 ? -EINVAL : 0);
	assert_int_equal(shmc_execute(f->rig.cache, NULL, 0, 0), 0);
}

static void an_execute_out_of_time_says_which(void **state)
{
	struct fixture *f = *state;
	struct shmc_request q[40];
	struct submission s;
	int i;

	memset(q, 0, sizeof(q));
	rig_store(&f->rig, "there", "value");
	for (i = 0; i < 40; i++) {
		q[i].operation = i == 1 ? SHMC_OP_EXISTS : SHMC_OP_PING;
		q[i].key = "there";
		q[i].key_size = 5;
	}
	assert_int_equal(shmc_execute(f->rig.cache, q, 40, 30), -ETIMEDOUT);
	for (i = 0; i < 40; i++)
		assert_int_equal(q[i].result, i == 1 ? 0 : -ETIMEDOUT);
	memset(q, 0x55, sizeof(q));
	while (rig_take(&f->rig, 0, &s))
		rig_answer(&f->rig, 0, s.id, ABI_STATUS_OK, 0, 0);
	serve(f, 0);
	assert_int_equal(shmc_ping(f->rig.cache, 10000), 0);
}

static void *hang_up_main(void *arg)
{
	struct fixture *f = arg;
	struct submission s;

	while (!rig_take(&f->rig, 0, &s))
		usleep(100);
	usleep(5000);
	close(f->rig.socket);
	f->rig.socket = -1;
	return NULL;
}

static void a_hang_up_ends_the_wait(void **state)
{
	struct fixture *f = *state;
	uint64_t begin = deadline_clock();

	assert_int_equal(pthread_create(&f->thread, NULL, hang_up_main, f), 0);
	f->is_serving = true;
	assert_int_equal(shmc_ping(f->rig.cache, 10000), -ENOTCONN);
	assert_true(elapsed_ms(begin) < 5000);
	/* There is nobody to attach to; that is found out at once. */
	begin = deadline_clock();
	assert_int_equal(shmc_ping(f->rig.cache, 10000), -ENOTCONN);
	assert_int_equal(shmc_exists(f->rig.cache, "key", 3), -ENOTCONN);
	assert_true(elapsed_ms(begin) < 1000);
}

static void *answer_and_hang_up_main(void *arg)
{
	struct fixture *f = arg;
	struct submission s;

	while (!rig_take(&f->rig, 0, &s))
		usleep(100);
	usleep(5000);
	rig_answer(&f->rig, 0, s.id, ABI_STATUS_MISS, 0, 0);
	close(f->rig.socket);
	f->rig.socket = -1;
	return NULL;
}

/* However late the client is woken: by then it sees the answer and the hang-up. */
static void the_last_answers_before_a_hang_up_count(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(pthread_create(&f->thread, NULL, answer_and_hang_up_main, f), 0);
	f->is_serving = true;
	assert_int_equal(shmc_delete(f->rig.cache, "key", 3, 10000), SHMC_MISS);
	pthread_join(f->thread, NULL);
	f->is_serving = false;
	assert_int_equal(shmc_ping(f->rig.cache, 10000), -ENOTCONN);
}

/* --- whose maps may go ------------------------------------------------------------------------ */

struct sleeper {
	struct fixture *f;
	pthread_barrier_t called, end;
};

static void *sleeper_main(void *arg)
{
	struct sleeper *s = arg;

	(void)shmc_exists(s->f->rig.cache, "key", 3);
	pthread_barrier_wait(&s->called);
	pthread_barrier_wait(&s->end);
	return NULL;
}

/*
 * A thread that has called once and sleeps since does not keep the maps of a broker that is gone.
 */
static void a_sleeping_thread_keeps_nothing(void **state)
{
	struct fixture *f = *state;
	struct sleeper s = {.f = f};

	if (!thread_marks_count())
		skip();
	pthread_barrier_init(&s.called, NULL, 2);
	pthread_barrier_init(&s.end, NULL, 2);
	assert_int_equal(pthread_create(&f->thread, NULL, sleeper_main, &s), 0);
	pthread_barrier_wait(&s.called);
	assert_int_equal(f->rig.session->lane[0].owner == 0, 0);
	shared_u64_store_release(&f->rig.plane->epoch, RIG_EPOCH + 1);
	assert_int_equal(shmc_exists(f->rig.cache, "key", 3), -ENOTCONN);
	assert_int_equal(rig_n_sessions(&f->rig), 0);
	pthread_barrier_wait(&s.end);
	pthread_join(f->thread, NULL);
}

static void *waiter_main(void *arg)
{
	struct fixture *f = arg;

	return (void *)(intptr_t)shmc_ping(f->rig.cache, SHMC_TIMEOUT_NEVER);
}

/* One in the middle of a call does. */
static void a_waiting_thread_keeps_its_maps(void **state)
{
	struct fixture *f = *state;
	struct submission s;
	pthread_t thread;
	void *result;

	assert_int_equal(pthread_create(&thread, NULL, waiter_main, f), 0);
	while (!rig_take(&f->rig, 0, &s))
		usleep(100);
	shared_u64_store_release(&f->rig.plane->epoch, RIG_EPOCH + 1);
	assert_int_equal(shmc_exists(f->rig.cache, "key", 3), -ENOTCONN);
	assert_int_equal(rig_n_sessions(&f->rig), 1);
	close(f->rig.socket);
	f->rig.socket = -1;
	pthread_join(thread, &result);
	assert_int_equal((int)(intptr_t)result, -ENOTCONN);
	assert_int_equal(shmc_exists(f->rig.cache, "key", 3), -ENOTCONN);
	assert_int_equal(rig_n_sessions(&f->rig), 0);
}

/* --- reservations ----------------------------------------------------------------------------- */

static void a_reservation_lives_until_it_is_answered(void **state)
{
	struct fixture *f = *state;
	struct shmc_reservation r;

	assert_int_equal(shmc_reserve(f->rig.cache, "key", 3, 100, NULL, NULL, 0), -EINVAL);
	assert_int_equal(shmc_commit(f->rig.cache, NULL, 0), -EINVAL);
	serve(f, 0);
	assert_int_equal(shmc_reserve(f->rig.cache, "key", 3, 100, NULL, &r, 10000), 0);
	assert_int_equal(r.size, 100);
	assert_true((uint8_t *)r.data >= f->rig.dram &&
		(uint8_t *)r.data < f->rig.dram + RIG_DRAM);
	memset(r.data, 1, r.size);
	assert_int_equal(shmc_commit(f->rig.cache, &r, 10000), 0);
	assert_null(r.data);
	assert_int_equal(shmc_commit(f->rig.cache, &r, 10000), -EINVAL);
	assert_int_equal(shmc_abort(f->rig.cache, &r, 10000), 0);
	assert_int_equal(shmc_reserve(f->rig.cache, "key", 3, 100, NULL, &r, 10000), 0);
	assert_int_equal(shmc_abort(f->rig.cache, &r, 10000), 0);
	assert_null(r.data);
}

static void a_commit_out_of_time_can_be_tried_again(void **state)
{
	struct fixture *f = *state;
	struct shmc_reservation r;

	serve(f, 0);
	assert_int_equal(shmc_reserve(f->rig.cache, "key", 3, 100, NULL, &r, 10000), 0);
	assert_int_equal(shmc_commit(f->rig.cache, &r, 0), -ETIMEDOUT);
	assert_non_null(r.data);
	assert_int_equal(shmc_commit(f->rig.cache, &r, 10000), 0);
	assert_null(r.data);
}

/*
 * A block of a broker that is gone can be written to until it is given up, and then its map goes.
 */
static void a_reservation_outlives_the_broker_harmlessly(void **state)
{
	struct fixture *f = *state;
	struct shmc_reservation r;

	serve(f, 0);
	assert_int_equal(shmc_reserve(f->rig.cache, "key", 3, 100, NULL, &r, 10000), 0);
	shared_u64_store_release(&f->rig.plane->epoch, RIG_EPOCH + 1);
	assert_int_equal(shmc_exists(f->rig.cache, "key", 3), -ENOTCONN);
	atomic_store(&f->is_over, true);
	pthread_join(f->thread, NULL);
	f->is_serving = false;
	memset(r.data, 1, r.size);
	assert_int_equal(rig_n_sessions(&f->rig), 1);
	assert_int_equal(shmc_commit(f->rig.cache, &r, 100), -ENOTCONN);
	assert_null(r.data);
	assert_int_equal(rig_n_sessions(&f->rig), 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_deadline_is_kept),
		T(a_sleeper_is_woken),
		T(an_execute_gives_each_its_result),
		T(an_execute_out_of_time_says_which),
		T(a_hang_up_ends_the_wait),
		T(the_last_answers_before_a_hang_up_count),
		T(a_sleeping_thread_keeps_nothing),
		T(a_waiting_thread_keeps_its_maps),
		T(a_reservation_lives_until_it_is_answered),
		T(a_commit_out_of_time_can_be_tried_again),
		T(a_reservation_outlives_the_broker_harmlessly),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
