/* SPDX-License-Identifier: Apache-2.0 */
/* liars.c: a holder that answers what it should not. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "shmcache/watch.h"
#include "tests/shmcache/remote/peers/raw.h"

/*
 * The link of a leads to the test, not to b. A fetch is on its way, and what comes for it is
 * wrong: it ends with a failure, the link falls with a sentence, and no byte is written where
 * none may be.
 */
#define ROOM 1000
#define GUARD 64

static struct pair p;
static struct raw control, data;
static struct link *to_liar;
static struct pair_fetch fetch;
static uint8_t to[ROOM + 2 * GUARD];
static uint64_t id;
static int listener;

static int begin_with(uint32_t silence_ms)
{
	struct link_settings a = pair_settings("a", LINK_NONE, true);
	struct link_settings b = pair_settings("b", LINK_NONE, true);
	char address[32];
	uint16_t port;
	unsigned n_up;

	a.n_lanes = 1;
	a.silence_ms = silence_ms;
	pair_begin_with(&p, &a, &b);
	assert_true(pair_run(&p, &p.a.n_up, 1));
	listener = raw_listen(&port);
	snprintf(address, sizeof(address), "127.0.0.1:%u", port);
	n_up = p.a.n_up;
	assert_int_equal(pair_link(&p, &to_liar, address), 0);
	raw_accept(&control, &p, listener);
	raw_welcome(&control, &p);
	raw_accept(&data, &p, listener);
	raw_welcome(&data, &p);
	assert_true(pair_run(&p, &p.a.n_up, n_up + 1));
	return 0;
}

static int begin(void **state)
{
	(void)state;
	return begin_with(0);
}

static int begin_impatient(void **state)
{
	(void)state;
	return begin_with(1000);
}

static void ask(void)
{
	fetch = (struct pair_fetch){.to = to + GUARD, .room = ROOM};
	memset(to, 0xee, sizeof(to));
	pair_fetch_from(&p, to_liar, &fetch, "key");
	assert_true(raw_receive(&data, &p));
	assert_int_equal(data.head.type, FRAME_FETCH);
	id = data.head.id;
}

static void head(uint64_t size)
{
	struct frame_value value = {.size = size};

	raw_send(&data, FRAME_HEAD, FRAME_OK, sizeof(value), id, 0, &value);
}

static void fell(enum link_result result, const char *word)
{
	size_t i;

	assert_true(pair_run(&p, &fetch.n_done, 1));
	assert_int_equal(fetch.result, result);
	assert_true(pair_run(&p, &p.a.n_down, 1));
	if (!strstr(p.a.down, word))
		fail_msg("'%s' is not in '%s'", word, p.a.down);
	for (i = 0; i < GUARD; i++)
		assert_true(to[i] == 0xee && to[GUARD + ROOM + i] == 0xee);
}

/* The link to the honest b never noticed. */
static int end(void **state)
{
	(void)state;
	assert_true(link_is_up(p.a.link));
	link_close(to_liar);
	raw_close(&control);
	raw_close(&data);
	close(listener);
	pair_end(&p);
	return 0;
}

static uint8_t bytes[ROOM * 2];

static void test_no_head(void **state)
{
	(void)state;
	ask();
	raw_send(&data, FRAME_DATA, 0, 10, id, 0, bytes);
	fell(LINK_UNREACHABLE, "nothing was asked for");
}

static void test_other_id(void **state)
{
	(void)state;
	ask();
	id += LINK_FETCHES_MAX;
	head(ROOM);
	fell(LINK_UNREACHABLE, "nothing was asked for");
}

static void test_two_heads(void **state)
{
	(void)state;
	ask();
	head(ROOM);
	head(ROOM - 1);
	fell(LINK_UNREACHABLE, "nothing was asked for");
}

static void test_order(void **state)
{
	(void)state;
	ask();
	head(ROOM);
	raw_send(&data, FRAME_DATA, 0, 10, id, 10, bytes);
	fell(LINK_UNREACHABLE, "wrong order");
}

static void test_beyond(void **state)
{
	(void)state;
	ask();
	head(ROOM);
	raw_send(&data, FRAME_DATA, 0, ROOM - 1, id, 0, bytes);
	raw_send(&data, FRAME_DATA, 0, 2, id, ROOM - 1, bytes);
	fell(LINK_UNREACHABLE, "beyond the end");
}

/* One frame after the other, for ever. */
static void test_endless(void **state)
{
	unsigned i;

	(void)state;
	ask();
	head(ROOM);
	for (i = 0; i < 200; i++)
		raw_send(&data, FRAME_DATA, 0, 10, id, i * 10, bytes);
	fell(LINK_UNREACHABLE, "beyond the end");
}

static void test_early_end(void **state)
{
	(void)state;
	ask();
	head(ROOM);
	raw_send(&data, FRAME_DATA, 0, 10, id, 0, bytes);
	raw_send(&data, FRAME_END, FRAME_OK, 0, id, 0, NULL);
	fell(LINK_UNREACHABLE, "too early");
}

static void test_end_alone(void **state)
{
	(void)state;
	ask();
	raw_send(&data, FRAME_END, FRAME_OK, 0, id, 0, NULL);
	fell(LINK_UNREACHABLE, "nothing was asked for");
}

static void test_frame_size(void **state)
{
	(void)state;
	ask();
	head(ROOM);
	raw_send(&data, FRAME_DATA, 0, FRAME_DATA_MAX + 1, id, 0, NULL);
	fell(LINK_UNREACHABLE, "wrong size");
}

static void test_empty_value(void **state)
{
	(void)state;
	ask();
	head(0);
	fell(LINK_UNREACHABLE, "value of a wrong size");
}

static void test_wrong_lane(void **state)
{
	(void)state;
	ask();
	raw_send(&control, FRAME_DATA, 0, 10, id, 0, bytes);
	fell(LINK_UNREACHABLE, "may not be sent there");
}

static void test_found(void **state)
{
	(void)state;
	ask();
	raw_send(&control, FRAME_FOUND, 0, 3, 1, 3, "\1\1\1");
	fell(LINK_UNREACHABLE, "not what it says");
}

static void test_unasked(void **state)
{
	(void)state;
	ask();
	raw_send(&control, FRAME_ERASED, FRAME_OK, 0, 1, 0, NULL);
	fell(LINK_UNREACHABLE, "nothing was asked for");
}

/* It shows signs of life, and answers nothing: what is asked of it does not gather without end. */
static void test_unanswered(void **state)
{
	struct link_item item = {"key", 3};
	unsigned n = 0, n_signs = 0;

	(void)state;
	while (n <= LINK_QUESTIONS_MAX && link_lookup(to_liar, n, FRAME_LOOKUP_KEYS, &item, 1) == 1)
		n++;
	assert_int_equal(n, LINK_QUESTIONS_MAX);
	assert_int_equal(link_erase(to_liar, n, "key", 3), -EAGAIN);
	while (n_signs < 60 && !p.a.n_down && raw_receive(&control, &p)) {
		if (control.head.type != FRAME_PING)
			continue;
		raw_send(&control, FRAME_PONG, 0, 0, 0, control.head.argument, NULL);
		n_signs++;
	}
	assert_int_equal(p.a.n_down, 1);
	assert_non_null(strstr(p.a.down, "does not answer what it was asked"));
}

static void test_refusal(void **state)
{
	(void)state;
	ask();
	raw_send(&data, FRAME_REFUSE, FRAME_REFUSE_FULL, 9, 0, 0, "no \033room\n");
	fell(LINK_UNREACHABLE, "it refuses: no ?room?");
}

static void test_hangs_up(void **state)
{
	(void)state;
	ask();
	head(ROOM);
	raw_send(&data, FRAME_DATA, 0, 500, id, 0, bytes);
	raw_close(&data);
	fell(LINK_UNREACHABLE, "hung up");
}

/*
 * The data lanes are answered by somebody else than the control lane, or by the same one in another
 * life.
 */
static void test_other_lanes(void **state)
{
	static const uint8_t right[FRAME_TOKEN_SIZE], wrong[FRAME_TOKEN_SIZE] = {1};
	unsigned i, n_up = p.a.n_up;

	(void)state;
	for (i = 0; i < 2; i++) {
		/* It comes again by itself. */
		raw_close(&control);
		raw_close(&data);
		if (!i)
			assert_true(pair_run(&p, &p.a.n_down, 1));
		raw_accept(&control, &p, listener);
		raw_welcome(&control, &p);
		raw_accept(&data, &p, listener);
		raw_welcome_as(&data, &p, RAW_INCARNATION + i, i ? right : wrong);
		assert_true(pair_run(&p, &p.a.n_down, i + 2));
		assert_non_null(strstr(p.a.down, i ? "of another broker" : "does not know the secret"));
	}
	assert_int_equal(p.a.n_up, n_up);
}

/* What was cancelled keeps its slot until its end is told. Who never does so is given up. */
static void test_stuck(void **state)
{
	struct timespec t;
	uint64_t now_ms;
	unsigned i;

	(void)state;
	ask();
	head(ROOM);
	while (!fetch.size)
		pair_rest(&p, 1);
	link_fetch_cancel(&fetch.fetch);
	clock_gettime(CLOCK_MONOTONIC, &t);
	now_ms = (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
	/* A minute in which we did not listen ourselves. */
	link_net_tick(p.a.net, now_ms += 60000);
	assert_int_equal(p.a.n_down, 0);
	/* Eleven seconds in which everything else is as it should be, of a clock that is ours. */
	for (i = 0; i < 40 && !p.a.n_down; i++) {
		raw_send(&control, FRAME_PONG, 0, 0, 0, 0, NULL);
		while (watch_wait(p.epoll, 10))
			;
		link_net_tick(p.a.net, now_ms += 300);
	}
	assert_int_equal(p.a.n_down, 1);
	assert_string_equal(p.a.down, "it does not end what was cancelled");
}

/* Its kernel is there, and it is not: as behind SIGSTOP. */
static void test_silent(void **state)
{
	(void)state;
	ask();
	fell(LINK_UNREACHABLE, "does not answer");
}

/* More than anybody has room for: the fetch says no, and the link goes on. */
static void test_huge(void **state)
{
	(void)state;
	ask();
	head(INT64_MAX);
	assert_true(pair_run(&p, &fetch.n_done, 1));
	assert_int_equal(fetch.result, LINK_CANCELLED);
	do
		assert_true(raw_receive(&data, &p));
	while (data.head.type != FRAME_CANCEL);
	assert_true(link_is_up(to_liar));
	raw_send(&data, FRAME_END, FRAME_CANCELLED, 0, id, 0, NULL);
	ask();
	raw_send(&data, FRAME_HEAD, FRAME_CANCELLED, 0, id, 0, NULL);
	assert_true(pair_run(&p, &fetch.n_done, 1));
	assert_int_equal(fetch.result, LINK_REFUSED);
	assert_true(link_is_up(to_liar));
}

/* After a cancel not one byte is written, though they come. */
static void test_cancelled(void **state)
{
	size_t i;

	(void)state;
	ask();
	head(ROOM);
	raw_send(&data, FRAME_DATA, 0, 500, id, 0, bytes);
	while (to[GUARD + 499] == 0xee)
		pair_rest(&p, 1);
	raw_bytes(&data, &(struct frame){FRAME_MAGIC, FRAME_DATA, 0, 500, id, 500},
		sizeof(struct frame));
	raw_bytes(&data, bytes, 100);
	while (to[GUARD + 599] == 0xee)
		pair_rest(&p, 1);
	link_fetch_cancel(&fetch.fetch);
	memset(to, 0xee, sizeof(to));
	raw_bytes(&data, bytes, 400);
	raw_send(&data, FRAME_END, FRAME_OK, 0, id, 0, NULL);
	pair_rest(&p, 100);
	for (i = 0; i < sizeof(to); i++)
		assert_int_equal(to[i], 0xee);
	assert_int_equal(fetch.n_done, 1);
	assert_true(link_is_up(to_liar));
}

#define CASE(name) cmocka_unit_test_setup_teardown(test_##name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(no_head),
		CASE(other_id),
		CASE(two_heads),
		CASE(order),
		CASE(beyond),
		CASE(endless),
		CASE(early_end),
		CASE(end_alone),
		CASE(frame_size),
		CASE(empty_value),
		CASE(wrong_lane),
		CASE(found),
		CASE(unasked),
		cmocka_unit_test_setup_teardown(test_unanswered, begin_impatient, end),
		CASE(refusal),
		CASE(hangs_up),
		CASE(silent),
		CASE(other_lanes),
		CASE(stuck),
		CASE(huge),
		CASE(cancelled),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
