/* SPDX-License-Identifier: Apache-2.0 */
/* bell.c: a bell wakes its thread at once, not twice within its pause, and never too seldom. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <unistd.h>
#include <urcu.h>
#include <cmocka.h>

#include "shmcache/bell.h"
#include "tests/shmcache/rig.h"

#define STORED (1U << EVENT_STORED)
#define PATIENCE_MS 60000

static struct rig rig;
static struct events_reader reader;
static struct bell bell;
static int epoll;
static unsigned kinds; /* of the last time that it was woken */

static void woken(struct watch *watch, uint32_t events)
{
	(void)events;
	kinds = bell_take(watch->owner, &rig.store);
}

static int setup(void **state)
{
	const void *region;
	size_t size;
	int fd;

	(void)state;
	rig_init(&rig, MIB, 4 * MIB);
	rig_open(&rig, false);
	epoll = epoll_create1(EPOLL_CLOEXEC);
	bell = (struct bell){.timer = {.ready = woken, .owner = &bell}};
	return store_subscribe(&rig.store, STORED, &fd, &region, &size) ||
		events_reader_init(&reader, region, size);
}

static int teardown(void **state)
{
	(void)state;
	bell_close(&bell, &rig.store, epoll);
	bell_close(&bell, &rig.store, epoll);
	close(epoll);
	rig_check(&rig);
	rig_remove(&rig);
	return rig_leftovers() ? -1 : 0;
}

static void sleep_until_stored(void)
{
	uint8_t key[ABI_KEY_SIZE_MAX];
	uint64_t n_lost;
	struct event e;

	while (events_read(&reader, &e, key, &n_lost) == EVENTS_GOT)
		;
	assert_true(store_bell_arm(&rig.store, &bell.store, STORED, reader.position));
}

static void test_pause(void **state)
{
	(void)state;
	/* A pause that no test waits for. */
	assert_int_equal(bell_open(&bell, &rig.store, epoll, UINT64_C(1000000000000)), 0);
	assert_int_equal(watch_wait(epoll, 0), 0);
	sleep_until_stored();
	rig_put(&rig, 1, 1, 100);
	assert_int_equal(watch_wait(epoll, PATIENCE_MS), 1);
	assert_int_equal(kinds, STORED);
	/* It was a moment ago. */
	sleep_until_stored();
	rig_put(&rig, 1, 1, 100);
	bell_ring(&bell);
	assert_int_equal(watch_wait(epoll, 20), 0);
}

static void test_at_once(void **state)
{
	(void)state;
	assert_int_equal(bell_open(&bell, &rig.store, epoll, 1), 0);
	bell_ring(&bell);
	assert_int_equal(watch_wait(epoll, PATIENCE_MS), 1);
	assert_int_equal(kinds, 0);
	sleep_until_stored();
	rig_put(&rig, 1, 1, 100);
	assert_int_equal(watch_wait(epoll, PATIENCE_MS), 1);
	assert_int_equal(kinds, STORED);
	assert_int_equal(watch_wait(epoll, 0), 0);
}

/* --- one who writes, and one who sleeps ------------------------------------------------------- */

#define N_EVENTS 20000

static void *write_events(void *argument)
{
	uint64_t i;

	(void)argument;
	rcu_register_thread();
	for (i = 0; i < N_EVENTS; i++) {
		rig_put(&rig, i % 10, i, 100);
		/* Now and then he has time to fall asleep. */
		if (i % 100 == 0)
			usleep(200);
	}
	rcu_unregister_thread();
	return NULL;
}

/* All is heard, by one who looks when he is woken and at no other time. */
static void test_none_is_slept_over(void **state)
{
	uint8_t key[ABI_KEY_SIZE_MAX];
	uint64_t n = 0, n_lost = 0;
	enum events_result result;
	pthread_t writer;
	struct event e;

	(void)state;
	assert_int_equal(bell_open(&bell, &rig.store, epoll, 100000), 0);
	sleep_until_stored();
	assert_int_equal(pthread_create(&writer, NULL, write_events, NULL), 0);
	while (n < N_EVENTS) {
		assert_int_equal(watch_wait(epoll, PATIENCE_MS), 1);
		while ((result = events_read(&reader, &e, key, &n_lost)) != EVENTS_NONE)
			n += result == EVENTS_LOST ? n_lost : 1;
		if (n < N_EVENTS &&
			!store_bell_arm(&rig.store, &bell.store, STORED, reader.position))
			bell_ring(&bell);
	}
	assert_int_equal(n, N_EVENTS);
	assert_int_equal(pthread_join(writer, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_pause, setup, teardown),
		cmocka_unit_test_setup_teardown(test_at_once, setup, teardown),
		cmocka_unit_test_setup_teardown(test_none_is_slept_over, setup, teardown),
	};

	return RIG_RUN(tests);
}
