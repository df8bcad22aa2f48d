/* SPDX-License-Identifier: Apache-2.0 */
/* events.c: subscriptions, against a broker: what is heard, lost, and that nobody waits. */
#include <errno.h>
#include <setjmp.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/support/broker-run.h"

enum { WAIT = 20000, N_FLOOD = 8000, FLOOD_KEY = 1000 };

static struct broker_run broker;
static struct shmc *cache;

static int group_setup(void **state)
{
	(void)state;
	if (broker_run_start(&broker, &(struct broker_run_options){.cpu = PROC_CPU_ANY}, NULL, NULL))
		return -1;
	return shmc_attach(&cache, broker.name, NULL);
}

static int group_teardown(void **state)
{
	(void)state;
	shmc_detach(cache);
	/* The last test killed it. */
	(void)broker_run_stop(&broker);
	(void)broker_run_unlink(broker.name);
	return 0;
}

static void put(const char *key, const char *value)
{
	assert_int_equal(shmc_put(cache, key, strlen(key), value, strlen(value), NULL, WAIT), 0);
}

static void assert_next(struct shmc_events *events, enum shmc_event_kind kind, unsigned flags,
	const char *key)
{
	struct shmc_event event;

	assert_int_equal(shmc_events_next(events, &event, WAIT), 0);
	assert_int_equal(event.kind, kind);
	assert_int_equal(event.flags, flags);
	assert_int_equal(event.key_size, strlen(key));
	assert_memory_equal(event.key, key, event.key_size);
}

static struct shmc_events *subscribe(unsigned kinds)
{
	struct shmc_events *events;

	assert_int_equal(shmc_events_open(cache, kinds, WAIT, &events), 0);
	return events;
}

static void hears_what_it_asked_for(void **state)
{
	struct shmc_events *all = subscribe(0), *deleted = subscribe(1U << SHMC_EVENT_DELETED);
	struct shmc_event event;
	char byte;

	(void)state;
	put("a", "1");
	put("a", "22");
	assert_int_equal(shmc_delete(cache, "a", 1, WAIT), 0);
	assert_next(all, SHMC_EVENT_STORED, 0, "a");
	assert_next(all, SHMC_EVENT_STORED, SHMC_EVENT_REPLACED, "a");
	assert_next(all, SHMC_EVENT_DELETED, 0, "a");
	assert_int_equal(shmc_events_next(all, &event, 0), SHMC_MISS);
	assert_int_equal(shmc_events_next(all, &event, 30), SHMC_MISS);
	assert_next(deleted, SHMC_EVENT_DELETED, 0, "a");
	assert_int_equal(shmc_events_next(deleted, &event, 0), SHMC_MISS);
	/* A read is heard of, sooner or later. */
	put("b", "x");
	assert_next(all, SHMC_EVENT_STORED, 0, "b");
	assert_int_equal(shmc_read(cache, "b", 1, &byte, 1, NULL), 0);
	assert_next(all, SHMC_EVENT_ACCESSED, 0, "b");
	assert_int_equal(shmc_events_open(cache, 16, WAIT, &all), -EINVAL);
	shmc_events_close(deleted);
	shmc_events_close(all);
	shmc_events_close(NULL);
}

static int polled(struct shmc_events *events, int timeout_ms)
{
	struct pollfd fd = {.fd = shmc_events_fd(events), .events = POLLIN};

	return poll(&fd, 1, timeout_ms);
}

static void read_all(struct shmc_events *events)
{
	struct shmc_event event;

	while (!shmc_events_next(events, &event, 0))
		;
	/* And what says that there was something. */
	while (polled(events, 0))
		assert_int_equal(shmc_events_next(events, &event, 0), SHMC_MISS);
}

/* An event loop: nothing is readable until something comes, and then it is, again and again. */
static void wakes_an_event_loop(void **state)
{
	struct shmc_events *stored = subscribe(1U << SHMC_EVENT_STORED);
	struct shmc_events *deleted = subscribe(1U << SHMC_EVENT_DELETED);
	unsigned i;

	(void)state;
	assert_int_equal(shmc_events_fd(NULL), -EINVAL);
	assert_true(shmc_events_fd(stored) >= 0);
	for (i = 0; i < 20; i++) {
		read_all(stored);
		read_all(deleted);
		put("loop", "1");
		assert_int_equal(polled(stored, WAIT), 1);
		/* He was asleep as well, and told in one go if he was. */
		assert_int_equal(polled(deleted, 0), 0);
		assert_next(stored, SHMC_EVENT_STORED, i ? SHMC_EVENT_REPLACED : 0, "loop");
	}
	assert_int_equal(shmc_delete(cache, "loop", 4, WAIT), 0);
	assert_int_equal(polled(deleted, WAIT), 1);
	assert_next(deleted, SHMC_EVENT_DELETED, 0, "loop");
	shmc_events_close(stored);
	shmc_events_close(deleted);
}

static void outlives_the_handle(void **state)
{
	struct shmc_events *events;
	struct shmc *other;

	(void)state;
	assert_int_equal(shmc_attach(&other, broker.name, NULL), 0);
	assert_int_equal(shmc_events_open(other, 0, WAIT, &events), 0);
	shmc_detach(other);
	put("c", "1");
	assert_next(events, SHMC_EVENT_STORED, 0, "c");
	shmc_events_close(events);
}

/* The lowest role, which may read, may listen. */
static void a_reader_may_listen(void **state)
{
	struct shmc_attach_options options = {.role = SHMC_ROLE_READER};
	struct shmc_events *events;
	struct shmc *other;

	(void)state;
	assert_int_equal(shmc_attach(&other, broker.name, &options), 0);
	assert_int_equal(shmc_events_open(other, 0, WAIT, &events), 0);
	shmc_events_close(events);
	shmc_detach(other);
}

static void a_child_can_not(void **state)
{
	struct shmc_events *events = subscribe(0);
	struct shmc_event event;
	int status;
	pid_t pid = fork();

	(void)state;
	if (!pid)
		_exit(shmc_events_next(events, &event, 0) == -ECHILD ? 0 : 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	shmc_events_close(events);
}

/* --- a subscriber that stands still ----------------------------------------------------------- */

struct told {
	uint64_t n_heard, n_lost, n_ends; /* up to and with the end that was heard */
};

/* Counts what it hears until a key "end" comes, with a number behind it, and tells. */
static void listener(int told, int go)
{
	struct shmc_events *events = NULL;
	struct told t = {0};
	struct shmc_event event;
	struct shmc *own;
	bool is_over = false;

	if (shmc_attach(&own, broker.name, NULL) || shmc_events_open(own, 0, WAIT, &events))
		_exit(1);
	(void)!write(go, "", 1);
	while (!is_over && !shmc_events_next(events, &event, WAIT)) {
		if (event.kind == SHMC_EVENT_LOST)
			t.n_lost += event.n_lost;
		else
			t.n_heard++;
		is_over = event.kind != SHMC_EVENT_LOST && event.key_size == 4 &&
			!memcmp(event.key, "end", 3);
		if (is_over)
			t.n_ends = (uint64_t)((const char *)event.key)[3];
	}
	_exit(write(told, &t, sizeof(t)) != sizeof(t) || !is_over);
}

/* Until one is heard: while the ring is full, it is lost as anything else. */
static void put_ends(int told)
{
	struct pollfd fd = {.fd = told, .events = POLLIN};
	char key[] = "end0";

	for (key[3] = 1; !poll(&fd, 1, 50); key[3]++) {
		put(key, "1");
		assert_true(key[3] < 100);
	}
}

/*
 * Stopped, more events than the ring holds, going on: each event was heard or counted as lost, and
 * each put was answered while nobody read.
 */
static void a_stopped_one_loses_and_counts(void **state)
{
	int told[2], go[2], status;
	char key[FLOOD_KEY];
	struct told t;
	unsigned i;
	pid_t pid;

	(void)state;
	assert_int_equal(pipe(told) | pipe(go), 0);
	pid = fork();
	if (!pid)
		listener(told[1], go[1]);
	assert_int_equal(read(go[0], key, 1), 1);
	assert_int_equal(kill(pid, SIGSTOP), 0);
	assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
	memset(key, 'k', sizeof(key));
	for (i = 0; i < N_FLOOD; i++) {
		snprintf(key, 16, "%015u", i % 100);
		assert_int_equal(shmc_put(cache, key, sizeof(key), "v", 1, NULL, WAIT), 0);
	}
	assert_int_equal(kill(pid, SIGCONT), 0);
	put_ends(told[0]);
	assert_int_equal(read(told[0], &t, sizeof(t)), sizeof(t));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_true(t.n_lost > 0);
	assert_int_equal(t.n_heard + t.n_lost, N_FLOOD + t.n_ends);
	close(told[0]);
	close(told[1]);
	close(go[0]);
	close(go[1]);
}

/* Sessions of subscribers are counted, and come back. */
static void leaves_no_session(void **state)
{
	struct shmc_events *events[4];
	unsigned i;

	(void)state;
	for (i = 0; i < 4; i++)
		events[i] = subscribe(0);
	for (i = 0; i < 4; i++)
		shmc_events_close(events[i]);
	/* The gauge is behind by a bit. All that is left is the handle's. */
	for (i = 0; i < 1000 && broker_run_stat(cache, "shmcache_sessions") != 1; i++)
		usleep(10000);
	assert_int_equal(broker_run_stat(cache, "shmcache_sessions"), 1);
}

/* The broker is killed: what it wrote is read, then the end is told. The last test. */
static void hears_of_the_end(void **state)
{
	struct shmc_events *events = subscribe(0);
	struct shmc_event event;

	(void)state;
	put("last", "1");
	assert_int_equal(kill(broker.proc.pid, SIGKILL), 0);
	assert_int_equal(polled(events, WAIT), 1);
	assert_next(events, SHMC_EVENT_STORED, 0, "last");
	assert_int_equal(polled(events, WAIT), 1);
	assert_int_equal(shmc_events_next(events, &event, WAIT), -ENOTCONN);
	shmc_events_close(events);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hears_what_it_asked_for),
		cmocka_unit_test(wakes_an_event_loop),
		cmocka_unit_test(outlives_the_handle),
		cmocka_unit_test(a_reader_may_listen),
		cmocka_unit_test(a_child_can_not),
		cmocka_unit_test(a_stopped_one_loses_and_counts),
		cmocka_unit_test(leaves_no_session),
		cmocka_unit_test(hears_of_the_end),
	};

	return cmocka_run_group_tests_name("events", tests, group_setup, group_teardown);
}
