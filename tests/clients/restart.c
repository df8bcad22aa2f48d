/* SPDX-License-Identifier: Apache-2.0 */
/* restart.c: a broker that goes and comes back under its clients. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/support/broker-run.h"

enum { WAIT = 20000 };

struct fixture {
	struct broker_run broker;
	struct shmc *cache;
};

static int setup(void **state)
{
	static struct fixture f;

	*state = &f;
	return broker_run_start(&f.broker,
		&(struct broker_run_options){.cpu = PROC_CPU_ANY, .persist = true}, &f.cache, NULL);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	shmc_detach(f->cache);
	broker_run_stop(&f->broker);
	broker_run_unlink(f->broker.name);
	return 0;
}

static void kill_broker(struct fixture *f)
{
	assert_int_equal(kill(f->broker.proc.pid, SIGKILL), 0);
	assert_true(proc_wait(&f->broker.proc) > 0);
}

/* From here on it answers nothing; a signal alone takes effect when it likes. */
static void freeze_broker(struct fixture *f)
{
	int status;

	assert_int_equal(kill(f->broker.proc.pid, SIGSTOP), 0);
	assert_int_equal(waitpid(f->broker.proc.pid, &status, WUNTRACED), f->broker.proc.pid);
	assert_true(WIFSTOPPED(status));
}

static void stop_broker(struct fixture *f)
{
	assert_int_equal(proc_stop(&f->broker.proc), 0);
}

static void start_broker(struct fixture *f)
{
	assert_int_equal(broker_run_again(&f->broker), 0);
}

static void unlink_tier(struct fixture *f)
{
	char object[64];

	snprintf(object, sizeof(object), "/%s.dram", f->broker.name);
	assert_int_equal(shm_unlink(object), 0);
}

static void pause_ms(long ms)
{
	struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

	nanosleep(&t, NULL);
}

/* Reads never wait, so the first after a restart may find the way back only half gone. */
static int get_soon(struct shmc *cache, const char *key, struct shmc_view *view)
{
	int i, r = -ENOTCONN;

	for (i = 0; i < WAIT && r == -ENOTCONN; i++) {
		r = shmc_get(cache, key, strlen(key), view);
		if (r == -ENOTCONN)
			pause_ms(1);
	}
	return r;
}

static void reads_find_their_way_back(void **state)
{
	struct fixture *f = *state;
	struct shmc_view view;
	int round, i, is_killed;

	for (round = 0; round < 4; round++) {
		is_killed = round % 2;
		assert_int_equal(shmc_put(f->cache, "key", 3, "value", 5, NULL, WAIT), 0);
		if (is_killed)
			kill_broker(f);
		else
			stop_broker(f);
		/*
		 * A broker that was killed has said nothing, and what it left stands still: a read
		 * may answer from that. One that has stopped has said so.
		 */
		for (i = 0; i < 100; i++) {
			int r = shmc_get(f->cache, "key", 3, &view);

			if (!is_killed)
				assert_int_equal(r, -ENOTCONN);
			else
				assert_true(r == 0 || r == -ENOTCONN);
			if (!r) {
				assert_memory_equal(view.data, "value", 5);
				shmc_release(f->cache, &view);
			}
		}
		start_broker(f);
		assert_int_equal(get_soon(f->cache, "key", &view), 0);
		assert_memory_equal(view.data, "value", 5);
		shmc_release(f->cache, &view);
	}
}

static void writes_find_their_way_back(void **state)
{
	struct fixture *f = *state;
	struct shmc_usage usage;
	struct shmc_view view;
	int round;

	for (round = 0; round < 4; round++) {
		assert_int_equal(shmc_ping(f->cache, WAIT), 0);
		kill_broker(f);
		if (round % 2) {
			assert_int_equal(shmc_ping(f->cache, WAIT), -ENOTCONN);
			assert_int_equal(
				shmc_put(f->cache, "key", 3, "x", 1, NULL, WAIT), -ENOTCONN);
		}
		start_broker(f);
		/* Whether or not it noticed in between, nobody need know. */
		assert_int_equal(shmc_put(f->cache, "key", 3, &round, 4, NULL, WAIT), 0);
		assert_int_equal(shmc_get(f->cache, "key", 3, &view), 0);
		assert_memory_equal(view.data, &round, 4);
		shmc_release(f->cache, &view);
		assert_int_equal(shmc_usage(f->cache, &usage), 0);
		assert_int_equal(usage.epoch, round + 2);
		assert_int_equal(usage.broker_pid, f->broker.proc.pid);
	}
}

/*
 * A call in the middle of which the broker dies, and one that finds nobody there, come back soon.
 */
static void nobody_waits_for_a_dead_broker(void **state)
{
	struct fixture *f = *state;
	struct timespec a, b;

	freeze_broker(f);
	clock_gettime(CLOCK_MONOTONIC, &a);
	assert_int_equal(shmc_ping(f->cache, 50), -ETIMEDOUT);
	kill_broker(f);
	assert_int_equal(shmc_ping(f->cache, SHMC_TIMEOUT_NEVER), -ENOTCONN);
	assert_int_equal(shmc_ping(f->cache, SHMC_TIMEOUT_NEVER), -ENOTCONN);
	clock_gettime(CLOCK_MONOTONIC, &b);
	assert_true(b.tv_sec - a.tv_sec < 10);
	start_broker(f);
	assert_int_equal(shmc_ping(f->cache, WAIT), 0);
}

/*
 * A view stays what it is under the next broker; a cold one knows nothing of it, and it is told so.
 */
static void a_view_of_before_is_told_from_one_of_now(void **state)
{
	struct shmc_view none = {0}, before, now;
	struct fixture *f = *state;

	assert_int_equal(shmc_put(f->cache, "key", 3, "value", 5, NULL, WAIT), 0);
	assert_int_equal(shmc_get(f->cache, "key", 3, &before), 0);
	assert_int_equal(shmc_view_check(f->cache, &before), 0);
	assert_int_equal(shmc_delete(f->cache, "key", 3, WAIT), 0);
	assert_int_equal(shmc_view_check(f->cache, &before), 0);
	kill_broker(f);
	assert_int_equal(shmc_view_check(f->cache, &before), 0);
	start_broker(f);
	assert_int_equal(shmc_view_check(f->cache, &before), 0);
	assert_int_equal(shmc_put(f->cache, "key", 3, "other", 5, NULL, WAIT), 0);
	assert_int_equal(get_soon(f->cache, "key", &now), 0);
	assert_int_equal(shmc_view_check(f->cache, &now), 0);
	assert_int_equal(shmc_view_check(f->cache, &before), 0);
	assert_memory_equal(before.data, "value", 5);
	kill_broker(f);
	unlink_tier(f);
	start_broker(f);
	assert_int_equal(shmc_view_check(f->cache, &before), SHMC_GONE);
	assert_int_equal(shmc_view_check(f->cache, &now), SHMC_GONE);
	assert_memory_equal(before.data, "value", 5);
	shmc_release(f->cache, &before);
	shmc_release(f->cache, &now);
	assert_int_equal(shmc_view_check(f->cache, &none), -EINVAL);
}

/* The bytes stay where they are: nobody faults, and the session goes when the last is released. */
static void views_and_blocks_of_before_stay_mapped(void **state)
{
	struct fixture *f = *state;
	struct shmc_reservation r;
	struct shmc_view view[10];
	char key[8];
	int i;

	for (i = 0; i < 10; i++) {
		snprintf(key, sizeof(key), "k%d", i);
		assert_int_equal(shmc_put(f->cache, key, 2, key, 2, NULL, WAIT), 0);
		assert_int_equal(shmc_get(f->cache, key, 2, &view[i]), 0);
	}
	assert_int_equal(shmc_reserve(f->cache, "new", 3, 100000, NULL, &r, WAIT), 0);
	kill_broker(f);
	for (i = 0; i < 10; i++) {
		snprintf(key, sizeof(key), "k%d", i);
		assert_memory_equal(view[i].data, key, 2);
	}
	start_broker(f);
	assert_int_equal(shmc_ping(f->cache, WAIT), 0);
	for (i = 0; i < 10; i++) {
		snprintf(key, sizeof(key), "k%d", i);
		assert_memory_equal(view[i].data, key, 2);
		shmc_release(f->cache, &view[i]);
	}
	assert_true(((volatile char *)r.data)[0] == ((volatile char *)r.data)[0]);
	assert_int_equal(shmc_commit(f->cache, &r, WAIT), SHMC_GONE);
	assert_null(r.data);
	assert_int_equal(shmc_exists(f->cache, "new", 3), SHMC_MISS);
}

static void a_queue_finds_its_way_back(void **state)
{
	struct fixture *f = *state;
	struct shmc_request q[4], *done[4], *one = &q[0];
	struct shmc_queue *queue;
	struct pollfd fd;
	int i, r = -ENOTCONN;

	memset(q, 0, sizeof(q));
	assert_int_equal(shmc_queue_open(&queue, f->cache), 0);
	fd = (struct pollfd){.fd = shmc_queue_fd(queue), .events = POLLIN};
	freeze_broker(f);
	for (i = 0; i < 4; i++)
		assert_int_equal(shmc_submit(queue, &(struct shmc_request *){&q[i]}, 1), 1);
	assert_int_equal(shmc_reap(queue, done, 4, 0), 0);
	kill_broker(f);
	assert_int_equal(poll(&fd, 1, WAIT), 1);
	assert_int_equal(shmc_reap(queue, done, 4, 0), 4);
	for (i = 0; i < 4; i++)
		assert_int_equal(done[i]->result, -ENOTCONN);
	assert_int_equal(shmc_reap(queue, done, 4, 0), -ENOTCONN);
	assert_int_equal(poll(&fd, 1, 0), 0);
	start_broker(f);
	for (i = 0; i < WAIT && r == -ENOTCONN; i++) {
		r = shmc_submit(queue, &one, 1);
		if (r == -ENOTCONN)
			pause_ms(1);
	}
	assert_int_equal(r, 1);
	assert_int_equal(poll(&fd, 1, WAIT), 1);
	assert_int_equal(shmc_reap(queue, done, 4, 0), 1);
	assert_int_equal(done[0]->result, 0);
	assert_int_equal(shmc_queue_fd(queue), fd.fd);
	shmc_queue_close(queue);
}

static void thaw_broker(struct fixture *f)
{
	assert_int_equal(kill(f->broker.proc.pid, SIGCONT), 0);
}

static void *ping_main(void *arg)
{
	return (void *)(intptr_t)shmc_ping(arg, 100);
}

static int ping_from_a_thread(struct shmc *cache)
{
	pthread_t thread;
	void *result;

	assert_int_equal(pthread_create(&thread, NULL, ping_main, cache), 0);
	pthread_join(thread, &result);
	return (int)(intptr_t)result;
}

/*
 * An attach, and the first call of a thread, which needs a lane, wait for a broker that does not
 * answer as long as they were told to. What it answers too late is put to use and not lost.
 */
static void a_frozen_broker_costs_the_timeout(void **state)
{
	const struct shmc_attach_options options = {.timeout_ms = 100};
	struct fixture *f = *state;
	struct shmc *other;
	int i;

	assert_int_equal(shmc_ping(f->cache, WAIT), 0);
	freeze_broker(f);
	assert_int_equal(shmc_attach(&other, f->broker.name, &options), -ETIMEDOUT);
	for (i = 0; i < 5; i++)
		assert_int_equal(ping_from_a_thread(f->cache), -ETIMEDOUT);
	assert_int_equal(shmc_ping(f->cache, 10), -ETIMEDOUT);
	thaw_broker(f);
	assert_int_equal(shmc_ping(f->cache, WAIT), 0);
	for (i = 0; i < WAIT / 100 && ping_from_a_thread(f->cache); i++)
		;
	assert_true(i < WAIT / 100);
	/* The attach that was given up leaves no session. */
	for (i = 0; i < WAIT && broker_run_stat(f->cache, "shmcache_sessions") != 1; i++)
		pause_ms(1);
	assert_true(i < WAIT);
	assert_int_equal(shmc_attach(&other, f->broker.name, NULL), 0);
	shmc_detach(other);
}

/* --- under load ------------------------------------------------------------------------------- */

struct load {
	struct shmc *cache;
	atomic_bool is_over;
	_Atomic unsigned n_wrong, n_done, n_lost;
};

static void *load_main(void *arg)
{
	struct load *l = arg;
	struct shmc_view view;
	char key[8];
	unsigned i;
	int r;

	for (i = 0; !atomic_load(&l->is_over); i++) {
		snprintf(key, sizeof(key), "key%u", i % 16);
		if (i % 4)
			r = shmc_get(l->cache, key, strlen(key), &view);
		else
			r = shmc_put(l->cache, key, strlen(key), key, strlen(key), NULL, WAIT);
		if (r == -ENOTCONN) {
			atomic_fetch_add(&l->n_lost, 1);
			pause_ms(1);
		} else if (r && r != SHMC_MISS) {
			atomic_fetch_add(&l->n_wrong, 1);
		}
		if (i % 4 && !r) {
			if (view.size != strlen(key))
				atomic_fetch_add(&l->n_wrong, 1);
			shmc_release(l->cache, &view);
		}
		atomic_fetch_add(&l->n_done, r == 0);
	}
	return NULL;
}

static void threads_survive_restarts(void **state)
{
	enum { N = 4, ROUNDS = 6 };
	struct fixture *f = *state;
	struct load l = {.cache = f->cache};
	pthread_t thread[N];
	unsigned before;
	int i, waited;

	for (i = 0; i < N; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, load_main, &l), 0);
	for (i = 0; i < ROUNDS; i++) {
		pause_ms(50);
		if (i % 2)
			kill_broker(f);
		else
			stop_broker(f);
		pause_ms(20);
		start_broker(f);
		before = atomic_load(&l.n_done);
		for (waited = 0; waited < WAIT && atomic_load(&l.n_done) < before + 100; waited++)
			pause_ms(1);
		assert_true(atomic_load(&l.n_done) >= before + 100);
	}
	atomic_store(&l.is_over, true);
	for (i = 0; i < N; i++)
		pthread_join(thread[i], NULL);
	assert_int_equal(atomic_load(&l.n_wrong), 0);
	assert_true(atomic_load(&l.n_lost) > 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(reads_find_their_way_back),
		T(writes_find_their_way_back),
		T(nobody_waits_for_a_dead_broker),
		T(a_view_of_before_is_told_from_one_of_now),
		T(views_and_blocks_of_before_stay_mapped),
		T(a_queue_finds_its_way_back),
		T(a_frozen_broker_costs_the_timeout),
		T(threads_survive_restarts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
