/* SPDX-License-Identifier: Apache-2.0 */
/* guests.c: members that are let in, and behave badly; an honest link goes on beside them. */
#include "tests/shmcache/remote/peers/visit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static struct visit v;
static const uint8_t secret[FRAME_TOKEN_SIZE];

static struct raw control, data;

static void join(void)
{
	static uint64_t link = 10;
	struct frame_hello hello;

	link++;
	raw_connect(&control, v.port);
	assert_true(raw_knock(&control, &v.p));
	raw_make_hello(&control, &hello, "c", false, link, NULL);
	raw_hello(&control, &hello);
	assert_true(raw_receive(&control, &v.p));
	raw_connect(&data, v.port);
	assert_true(raw_knock(&data, &v.p));
	raw_make_hello(&data, &hello, "c", true, link, secret);
	raw_hello(&data, &hello);
	assert_true(raw_receive(&data, &v.p));
	assert_int_equal(data.head.type, FRAME_WELCOME);
}

/* The lane says why, both are closed, and what was asked for is given up. */
static void shown_out(struct raw *r, const char *word)
{
	unsigned n_left = v.p.b.n_left;
	const char *sentence = raw_refusal(r, &v.p);

	if (!strstr(sentence, word))
		fail_msg("'%s' is not in '%s'", word, sentence);
	raw_close(&control);
	raw_close(&data);
	assert_true(pair_run(&v.p, &v.p.b.n_left, n_left + 1));
	assert_int_equal(v.p.b.n_requests, v.p.b.n_gone);
}

static void test_manners(void **state)
{
	struct frame head = {0};
	unsigned i;

	(void)state;
	join();
	raw_bytes(&control, &head, sizeof(head));
	shown_out(&control, "no frame");
	join();
	raw_send(&control, FRAME_FETCH, 0, 3, 1, 0, "key");
	shown_out(&control, "may not be sent there");
	join();
	raw_send(&control, FRAME_DATA, 0, 3, 1, 0, "key");
	shown_out(&control, "may not be sent there");
	join();
	raw_send(&data, FRAME_FETCH, 0, ABI_KEY_SIZE_MAX + 1, 1, 0, NULL);
	shown_out(&data, "wrong size");
	join();
	raw_send(&control, FRAME_LOOKUP, 0, 3, 1, 1, "abc");
	shown_out(&control, "not what it says");
	join();
	raw_send(&data, FRAME_FETCH, 0, 3, 1, 0, "key");
	raw_send(&data, FRAME_FETCH, 0, 3, 1, 0, "key");
	shown_out(&data, "same number");
	join();
	for (i = 0; i <= LINK_FETCHES_MAX; i++)
		raw_send(&data, FRAME_FETCH, 0, 3, i, 0, "key");
	shown_out(&data, "more fetches");
	join();
	raw_send(&data, FRAME_CREDIT, 0, 0, 0, 1, NULL);
	shown_out(&data, "credit");
	join();
	raw_send(&data, FRAME_REFUSE, 0, 3, 0, 0, "bye");
	shown_out(&data, "");
}

/* One more than there may be. Who has a link already may have it anew. */
static void test_guests(void **state)
{
	struct raw r[8], again;
	struct frame_hello hello;
	char name[8];
	unsigned i;

	(void)state;
	/* With a, they are eight. */
	for (i = 0; i < 8; i++) {
		snprintf(name, sizeof(name), "c%u", i);
		raw_connect(&r[i], v.port);
		assert_true(raw_knock(&r[i], &v.p));
		raw_make_hello(&r[i], &hello, name, false, 1, NULL);
		raw_hello(&r[i], &hello);
		if (i == 7)
			break;
		assert_true(raw_receive(&r[i], &v.p));
		assert_int_equal(r[i].head.type, FRAME_WELCOME);
	}
	visit_refused(&v, &r[7], FRAME_REFUSE_FULL, "8 members have links here already");
	raw_connect(&again, v.port);
	assert_true(raw_knock(&again, &v.p));
	raw_make_hello(&again, &hello, "c3", false, 2, NULL);
	raw_hello(&again, &hello);
	assert_true(raw_receive(&again, &v.p));
	assert_int_equal(again.head.type, FRAME_WELCOME);
	/* The old one is hung up on. */
	assert_string_equal(raw_refusal(&r[3], &v.p), "");
	assert_int_equal(v.p.b.n_left, 1);
	assert_string_equal(v.p.b.why, "it came again");
	for (i = 0; i < 7; i++)
		raw_close(&r[i]);
	raw_close(&again);
	assert_true(pair_run(&v.p, &v.p.b.n_left, 8));
}

/*
 * Questions that nobody answers yet: as many as may be open are read, and what else is said is
 * heard. With one more it is over.
 */
static void test_questions(void **state)
{
	unsigned i, n = v.p.b.n_lookups;

	(void)state;
	v.p.b.keeps_questions = true;
	join();
	for (i = 0; i < LINK_QUESTIONS_MAX; i++)
		raw_send(&control, FRAME_LOOKUP, FRAME_LOOKUP_KEYS, 3, i, 1, "\1\0a");
	raw_send(&control, FRAME_PING, 0, 0, 0, 77, NULL);
	assert_true(raw_receive(&control, &v.p));
	assert_int_equal(control.head.type, FRAME_PONG);
	assert_int_equal(control.head.argument, 77);
	assert_int_equal(v.p.b.n_lookups, n + LINK_QUESTIONS_MAX);
	raw_send(&control, FRAME_ERASE, 0, 3, i, 0, "key");
	shown_out(&control, "more questions");
	assert_int_equal(v.p.b.n_erases, 0);
}

/*
 * Answers that nobody takes: in the end nothing more is read. Sockets hold some megabytes of
 * either.
 */
static void test_answers(void **state)
{
	const struct frame ping = {FRAME_MAGIC, FRAME_PING, 0, 0, 0, 0};
	static struct frame pings[1000];
	size_t n = 0, still = 0, i;
	ssize_t sent;

	(void)state;
	for (i = 0; i < 1000; i++)
		pings[i] = ping;
	join();
	while (still < 100 && n < (64 << 20)) {
		sent = send(control.fd, (const uint8_t *)pings + n % sizeof(ping), sizeof(pings) - sizeof(ping),
			MSG_DONTWAIT | MSG_NOSIGNAL);
		n += sent > 0 ? (size_t)sent : 0;
		still = sent > 0 ? 0 : still + 1;
		if (sent <= 0)
			pair_rest(&v.p, 1);
	}
	assert_true(n < (64 << 20));
	raw_close(&control);
	raw_close(&data);
	assert_true(pair_run(&v.p, &v.p.b.n_left, 1));
}

/* A guest who says nothing more, though his connections stand. */
static void test_mute(void **state)
{
	unsigned n_left = v.p.b.n_left;

	(void)state;
	join();
	assert_true(pair_run(&v.p, &v.p.b.n_left, n_left + 1));
	assert_string_equal(v.p.b.why, "it is silent");
	raw_close(&control);
	raw_close(&data);
}

/* A body without an end is no longer than a value: the holder sends as far as there is credit. */
static void test_no_credit(void **state)
{
	static uint8_t value[6 << 20];
	uint8_t bytes[4096];
	struct link_net_stats before;
	int i;

	(void)state;
	v.p.b.value = value;
	v.p.b.value_size = sizeof(value);
	before = visit_stats(&v);
	join();
	raw_send(&data, FRAME_FETCH, 0, 3, 1, 0, "key");
	for (i = 0; i < 20000; i++) {
		if (recv(data.fd, bytes, sizeof(bytes), MSG_DONTWAIT) <= 0)
			pair_rest(&v.p, 1);
		if (visit_stats(&v).bytes_out - before.bytes_out > 4 << 20)
			break;
	}
	/* It has sent its window's four frames, and now it waits. */
	for (i = 0; i < 2000; i++)
		if (recv(data.fd, bytes, sizeof(bytes), MSG_DONTWAIT) <= 0 && i > 1500)
			pair_rest(&v.p, 1);
	assert_true(visit_stats(&v).bytes_out - before.bytes_out < (4 << 20) + 4096);
	assert_int_equal(v.p.b.n_sent, 0);
	raw_close(&data);
	raw_close(&control);
	assert_true(pair_run(&v.p, &v.p.b.n_left, 1));
	assert_int_equal(v.p.b.n_unsent, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		VISIT_TEST(test_manners),
		VISIT_TEST(test_guests),
		VISIT_TEST(test_questions),
		VISIT_TEST(test_answers),
		VISIT_TEST(test_mute),
		VISIT_TEST(test_no_credit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
