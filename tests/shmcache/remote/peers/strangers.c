/* SPDX-License-Identifier: Apache-2.0 */
/* strangers.c: whoever connects and should not have, while an honest link goes on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "shmcache/watch.h"
#include "tests/shmcache/remote/peers/raw.h"

static struct pair p;
static uint16_t port;

static int begin(void **state)
{
	(void)state;
	pair_begin(&p, LINK_NONE, true);
	port = link_net_port(p.b.net);
	return pair_run(&p, &p.a.n_up, 1) ? 0 : -1;
}

static struct link_net_stats stats(void)
{
	struct link_net_stats s;

	link_net_get_stats(p.b.net, &s);
	return s;
}

/* Whatever was tried: nobody is left over, and the honest link never noticed. */
static int end(void **state)
{
	int i;

	(void)state;
	for (i = 0; i < 400 && stats().n_strangers; i++)
		pair_rest(&p, 10);
	assert_int_equal(stats().n_strangers, 0);
	assert_int_equal(stats().n_guests, 1);
	assert_int_equal(p.a.n_down, 0);
	assert_int_equal(p.a.n_up, 1);
	pair_end(&p);
	return 0;
}

static void expect(struct raw *r, enum frame_refusal reason, const char *word)
{
	uint64_t n = stats().n_refused[reason];
	const char *sentence = raw_refusal(r, &p);

	if (!strstr(sentence, word))
		fail_msg("'%s' is not in '%s'", word, sentence);
	assert_int_equal(r->head.flags, reason);
	assert_true(stats().n_refused[reason] >= n);
	assert_true(stats().n_refused[reason] > 0);
	raw_close(r);
}

static void test_version(void **state)
{
	struct raw r;

	(void)state;
	raw_connect(&r, port);
	raw_send(&r, FRAME_KNOCK, 0, 0, FRAME_HELLO_MAGIC, FRAME_VERSION + 1, NULL);
	expect(&r, FRAME_REFUSE_VERSION, "version 2");
	raw_connect(&r, port);
	raw_send(&r, FRAME_KNOCK, 0, 0, 12345, FRAME_VERSION, NULL);
	expect(&r, FRAME_REFUSE_PROTOCOL, "no shmcache");
}

/* A good hello but for one thing. */
static void spoiled(
	void (*spoil)(struct frame_hello *), enum frame_refusal reason, const char *word)
{
	struct frame_hello hello;
	struct raw r;

	raw_connect(&r, port);
	assert_true(raw_knock(&r, &p));
	raw_make_hello(&r, &hello, "c", false, 1, NULL);
	spoil(&hello);
	raw_hello(&r, &hello);
	expect(&r, reason, word);
}

static void spoil_version(struct frame_hello *h)
{
	h->version++;
}

static void spoil_nonce(struct frame_hello *h)
{
	h->nonce[0] ^= 1;
}

static void spoil_cluster(struct frame_hello *h)
{
	memcpy(h->cluster, "west", 5);
}

static void spoil_to(struct frame_hello *h)
{
	memcpy(h->to, "d", 2);
}

static void spoil_from(struct frame_hello *h)
{
	memcpy(h->from, "stranger", 9);
}

static void spoil_own(struct frame_hello *h)
{
	memcpy(h->from, "b", 2);
}

static void spoil_name(struct frame_hello *h)
{
	memset(h->from, 'x', sizeof(h->from));
}

static void spoil_lanes(struct frame_hello *h)
{
	h->n_lanes = 200;
}

static void spoil_window(struct frame_hello *h)
{
	h->window = 1;
}

static void spoil_link(struct frame_hello *h)
{
	h->is_data = 1;
}

static void test_hello(void **state)
{
	(void)state;
	spoiled(spoil_version, FRAME_REFUSE_VERSION, "version 2");
	spoiled(spoil_nonce, FRAME_REFUSE_REPLAY, "replay");
	spoiled(spoil_cluster, FRAME_REFUSE_CLUSTER, "west");
	spoiled(spoil_to, FRAME_REFUSE_NAME, "asks for d");
	spoiled(spoil_from, FRAME_REFUSE_STRANGER, "no member");
	spoiled(spoil_own, FRAME_REFUSE_NAME, "two members");
	spoiled(spoil_name, FRAME_REFUSE_PROTOCOL, "name");
	spoiled(spoil_lanes, FRAME_REFUSE_PROTOCOL, "lanes");
	spoiled(spoil_window, FRAME_REFUSE_PROTOCOL, "no sense");
	spoiled(spoil_link, FRAME_REFUSE_TOKEN, "no link");
}

/* What was said once, word for word, on another connection. */
static void test_replay(void **state)
{
	struct frame_hello hello;
	struct raw r, again;

	(void)state;
	raw_connect(&r, port);
	assert_true(raw_knock(&r, &p));
	raw_make_hello(&r, &hello, "c", false, 5, NULL);
	raw_hello(&r, &hello);
	assert_true(raw_receive(&r, &p));
	assert_int_equal(r.head.type, FRAME_WELCOME);
	raw_connect(&again, port);
	assert_true(raw_knock(&again, &p));
	raw_hello(&again, &hello);
	expect(&again, FRAME_REFUSE_REPLAY, "replay");
	/* Nor may an older link take the place of a newer one. */
	raw_connect(&again, port);
	assert_true(raw_knock(&again, &p));
	raw_make_hello(&again, &hello, "c", false, 4, NULL);
	raw_hello(&again, &hello);
	expect(&again, FRAME_REFUSE_REPLAY, "newer link");
	assert_int_equal(stats().n_guests, 2);
	raw_close(&r);
	assert_true(pair_run(&p, &p.b.n_left, 1));
}

static const uint8_t secret[FRAME_TOKEN_SIZE], other[FRAME_TOKEN_SIZE] = {1};

/* A token that is good for another connection, or for another lane, of the same link. */
static void spoiled_token(bool of_nonce)
{
	struct frame_hello hello;
	struct raw r;

	raw_connect(&r, port);
	assert_true(raw_knock(&r, &p));
	r.greet.nonce[0] ^= of_nonce;
	raw_make_hello(&r, &hello, "c", true, 5, secret);
	hello.nonce[0] ^= of_nonce;
	if (!of_nonce)
		hello.window *= 2;
	raw_hello(&r, &hello);
	expect(&r, FRAME_REFUSE_TOKEN, "no link");
}

/* With a token of its own, but the link has not got it; or has it already. */
static void wrong_lane(uint8_t number, const char *word)
{
	const struct hello_self self = {"test", "c", 7, 0};
	const struct hello_lane lane = {true, number, (uint8_t)(number + 1), 5, 4 << 20};
	struct frame_hello hello;
	struct raw r;

	raw_connect(&r, port);
	assert_true(raw_knock(&r, &p));
	hello_make(&hello, &self, "b", &lane, &r.greet, secret);
	raw_hello(&r, &hello);
	expect(&r, FRAME_REFUSE_TOKEN, word);
}

static void test_data_lane(void **state)
{
	struct frame_hello hello;
	struct raw control, r;

	(void)state;
	raw_connect(&control, port);
	assert_true(raw_knock(&control, &p));
	raw_make_hello(&control, &hello, "c", false, 5, NULL);
	raw_hello(&control, &hello);
	assert_true(raw_receive(&control, &p));
	assert_int_equal(control.head.type, FRAME_WELCOME);
	spoiled_token(true);
	spoiled_token(false);
	wrong_lane(1, "no link");
	/* With a token that another secret made. */
	raw_connect(&r, port);
	assert_true(raw_knock(&r, &p));
	raw_make_hello(&r, &hello, "c", true, 5, other);
	raw_hello(&r, &hello);
	expect(&r, FRAME_REFUSE_TOKEN, "no link");
	raw_connect(&r, port);
	assert_true(raw_knock(&r, &p));
	raw_make_hello(&r, &hello, "c", true, 5, secret);
	raw_hello(&r, &hello);
	assert_true(raw_receive(&r, &p));
	assert_int_equal(r.head.type, FRAME_WELCOME);
	wrong_lane(0, "there already");
	raw_close(&r);
	raw_close(&control);
	assert_true(pair_run(&p, &p.b.n_left, 1));
}

static void test_silence(void **state)
{
	struct raw r[5];
	unsigned i;

	(void)state;
	for (i = 0; i < 5; i++)
		raw_connect(&r[i], port);
	raw_bytes(&r[1], "", 1);
	assert_true(raw_knock(&r[2], &p));
	assert_int_equal(stats().n_strangers, 5);
	for (i = 0; i < 600 && stats().n_strangers; i++)
		pair_rest(&p, 10);
	assert_int_equal(stats().n_strangers, 0);
	for (i = 0; i < 5; i++) {
		assert_string_equal(raw_refusal(&r[i], &p), "");
		raw_close(&r[i]);
	}
	assert_int_equal(stats().n_refused[0], 5);
}

/*
 * More than there is room for: who has been there longest goes, who has something to say is
 * heard.
 */
static void test_crowd(void **state)
{
	struct raw r[3 * LINK_STRANGERS_MAX / 2], honest;
	struct frame_hello hello;
	unsigned i;

	(void)state;
	for (i = 0; i < 3 * LINK_STRANGERS_MAX / 2; i++) {
		raw_connect(&r[i], port);
		if (i % 16 == 15)
			pair_rest(&p, 5);
	}
	pair_rest(&p, 50);
	assert_true(stats().n_strangers <= LINK_STRANGERS_MAX);
	raw_connect(&honest, port);
	assert_true(raw_knock(&honest, &p));
	raw_make_hello(&honest, &hello, "c", false, 5, NULL);
	raw_hello(&honest, &hello);
	assert_true(raw_receive(&honest, &p));
	assert_int_equal(honest.head.type, FRAME_WELCOME);
	for (i = 0; i < 3 * LINK_STRANGERS_MAX / 2; i++)
		raw_close(&r[i]);
	raw_close(&honest);
	assert_true(pair_run(&p, &p.b.n_left, 1));
}

static void hear_all(void)
{
	while (watch_wait(p.epoll, 0))
		;
}

/* The same before the clock has gone on: nobody is the longest there by it. */
static void test_rush(void **state)
{
	struct raw r[LINK_STRANGERS_MAX + 32], honest;
	struct frame_hello hello;
	unsigned i;

	(void)state;
	for (i = 0; i < LINK_STRANGERS_MAX + 32; i++) {
		if (i == LINK_STRANGERS_MAX)
			raw_connect(&honest, port);
		raw_connect(&r[i], port);
		if (i % 16 == 15)
			hear_all();
	}
	assert_int_equal(stats().n_strangers, LINK_STRANGERS_MAX);
	assert_true(raw_knock(&honest, &p));
	raw_make_hello(&honest, &hello, "c", false, 5, NULL);
	raw_hello(&honest, &hello);
	assert_true(raw_receive(&honest, &p));
	assert_int_equal(honest.head.type, FRAME_WELCOME);
	for (i = 0; i < LINK_STRANGERS_MAX + 32; i++)
		raw_close(&r[i]);
	raw_close(&honest);
	assert_true(pair_run(&p, &p.b.n_left, 1));
}

static void test_random(void **state)
{
	uint8_t bytes[600];
	unsigned seed = 0, i, n;
	struct raw r;

	(void)state;
	if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed))
		seed = 1;
	print_message("seed %u\n", seed);
	for (i = 0; i < 3000; i++) {
		raw_connect(&r, port);
		for (n = 0; n < sizeof(bytes); n++)
			bytes[n] = (uint8_t)(rand_r(&seed) >> 7);
		/* Some begin well. */
		if (i % 3 == 1)
			memcpy(bytes,
				&(struct frame){FRAME_MAGIC, (uint8_t)(i % 24), 0, i % 700, 0, 0},
				sizeof(struct frame));
		if (i % 3 == 2)
			raw_send(&r, FRAME_KNOCK, 0, 0, FRAME_HELLO_MAGIC, FRAME_VERSION, NULL);
		raw_bytes(&r, bytes, 1 + (unsigned)rand_r(&seed) % sizeof(bytes));
		if (i % 16 == 0)
			pair_rest(&p, 1);
		raw_close(&r);
	}
	pair_rest(&p, 100);
	assert_int_equal(p.b.n_arrived, 1);
}

/* --- known, and bad manners ------------------------------------------------------------------ */

static struct raw control, data;

static void join(void)
{
	static uint64_t link = 10;
	struct frame_hello hello;

	link++;
	raw_connect(&control, port);
	assert_true(raw_knock(&control, &p));
	raw_make_hello(&control, &hello, "c", false, link, NULL);
	raw_hello(&control, &hello);
	assert_true(raw_receive(&control, &p));
	raw_connect(&data, port);
	assert_true(raw_knock(&data, &p));
	raw_make_hello(&data, &hello, "c", true, link, secret);
	raw_hello(&data, &hello);
	assert_true(raw_receive(&data, &p));
	assert_int_equal(data.head.type, FRAME_WELCOME);
}

/* The lane says why, both are closed, and what was asked for is given up. */
static void shown_out(struct raw *r, const char *word)
{
	unsigned n_left = p.b.n_left;
	const char *sentence = raw_refusal(r, &p);

	if (!strstr(sentence, word))
		fail_msg("'%s' is not in '%s'", word, sentence);
	raw_close(&control);
	raw_close(&data);
	assert_true(pair_run(&p, &p.b.n_left, n_left + 1));
	assert_int_equal(p.b.n_requests, p.b.n_gone);
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
		raw_connect(&r[i], port);
		assert_true(raw_knock(&r[i], &p));
		raw_make_hello(&r[i], &hello, name, false, 1, NULL);
		raw_hello(&r[i], &hello);
		if (i == 7)
			break;
		assert_true(raw_receive(&r[i], &p));
		assert_int_equal(r[i].head.type, FRAME_WELCOME);
	}
	expect(&r[7], FRAME_REFUSE_FULL, "8 members have links here already");
	raw_connect(&again, port);
	assert_true(raw_knock(&again, &p));
	raw_make_hello(&again, &hello, "c3", false, 2, NULL);
	raw_hello(&again, &hello);
	assert_true(raw_receive(&again, &p));
	assert_int_equal(again.head.type, FRAME_WELCOME);
	/* The old one is hung up on. */
	assert_string_equal(raw_refusal(&r[3], &p), "");
	assert_int_equal(p.b.n_left, 1);
	assert_string_equal(p.b.why, "it came again");
	for (i = 0; i < 7; i++)
		raw_close(&r[i]);
	raw_close(&again);
	assert_true(pair_run(&p, &p.b.n_left, 8));
}

/* Questions that nobody answers: so many are read, and no more until they are. */
static void test_questions(void **state)
{
	unsigned i, n = p.b.n_lookups;

	(void)state;
	p.b.keeps_questions = true;
	join();
	for (i = 0; i < 1000; i++)
		raw_send(&control, FRAME_LOOKUP, FRAME_LOOKUP_KEYS, 3, i, 1, "\1\0a");
	assert_true(pair_run(&p, &p.b.n_lookups, n + 256));
	pair_rest(&p, 200);
	assert_int_equal(p.b.n_lookups, n + 256);
	raw_close(&control);
	raw_close(&data);
	assert_true(pair_run(&p, &p.b.n_left, 1));
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
			pair_rest(&p, 1);
	}
	assert_true(n < (64 << 20));
	raw_close(&control);
	raw_close(&data);
	assert_true(pair_run(&p, &p.b.n_left, 1));
}

/* A guest who says nothing more, though his connections stand. */
static void test_mute(void **state)
{
	unsigned n_left = p.b.n_left;

	(void)state;
	join();
	assert_true(pair_run(&p, &p.b.n_left, n_left + 1));
	assert_string_equal(p.b.why, "it is silent");
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
	p.b.value = value;
	p.b.value_size = sizeof(value);
	before = stats();
	join();
	raw_send(&data, FRAME_FETCH, 0, 3, 1, 0, "key");
	for (i = 0; i < 20000; i++) {
		if (recv(data.fd, bytes, sizeof(bytes), MSG_DONTWAIT) <= 0)
			pair_rest(&p, 1);
		if (stats().bytes_out - before.bytes_out > 4 << 20)
			break;
	}
	/* It has sent its window's four frames, and now it waits. */
	for (i = 0; i < 2000; i++)
		if (recv(data.fd, bytes, sizeof(bytes), MSG_DONTWAIT) <= 0 && i > 1500)
			pair_rest(&p, 1);
	assert_true(stats().bytes_out - before.bytes_out < (4 << 20) + 4096);
	assert_int_equal(p.b.n_sent, 0);
	raw_close(&data);
	raw_close(&control);
	assert_true(pair_run(&p, &p.b.n_left, 1));
	assert_int_equal(p.b.n_unsent, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_version, begin, end),
		cmocka_unit_test_setup_teardown(test_hello, begin, end),
		cmocka_unit_test_setup_teardown(test_replay, begin, end),
		cmocka_unit_test_setup_teardown(test_data_lane, begin, end),
		cmocka_unit_test_setup_teardown(test_silence, begin, end),
		cmocka_unit_test_setup_teardown(test_crowd, begin, end),
		cmocka_unit_test_setup_teardown(test_rush, begin, end),
		cmocka_unit_test_setup_teardown(test_random, begin, end),
		cmocka_unit_test_setup_teardown(test_manners, begin, end),
		cmocka_unit_test_setup_teardown(test_guests, begin, end),
		cmocka_unit_test_setup_teardown(test_questions, begin, end),
		cmocka_unit_test_setup_teardown(test_answers, begin, end),
		cmocka_unit_test_setup_teardown(test_mute, begin, end),
		cmocka_unit_test_setup_teardown(test_no_credit, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
