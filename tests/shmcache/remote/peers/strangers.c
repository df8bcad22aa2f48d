/* SPDX-License-Identifier: Apache-2.0 */
/* strangers.c: whoever connects and should not have, while an honest link goes on. */
#include "shmcache/watch.h"
#include "tests/shmcache/remote/peers/visit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static struct visit v;

static void test_version(void **state)
{
	static const char hello_of_tls[] =
		"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 and what a TLS client says";
	struct raw r;

	(void)state;
	raw_connect(&r, v.port);
	raw_send(&r, FRAME_KNOCK, 0, 0, FRAME_HELLO_MAGIC, FRAME_VERSION + 1, NULL);
	visit_refused(&v, &r, FRAME_REFUSE_VERSION, "version 2");
	raw_connect(&r, v.port);
	raw_send(&r, FRAME_KNOCK, 0, 0, 12345, FRAME_VERSION, NULL);
	visit_refused(&v, &r, FRAME_REFUSE_PROTOCOL, "no shmcache");
	/* Two who don't agree on security find no frame of each other's. */
	raw_connect(&r, v.port);
	raw_bytes(&r, hello_of_tls, sizeof(hello_of_tls) - 1);
	visit_refused(&v, &r, FRAME_REFUSE_PROTOCOL, "that is TLS");
}

/* A good hello but for one thing. */
static void spoiled(
	void (*spoil)(struct frame_hello *), enum frame_refusal reason, const char *word)
{
	struct frame_hello hello;
	struct raw r;

	raw_connect(&r, v.port);
	assert_true(raw_knock(&r, &v.p));
	raw_make_hello(&r, &hello, "c", false, 1, NULL);
	spoil(&hello);
	raw_hello(&r, &hello);
	visit_refused(&v, &r, reason, word);
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
	raw_connect(&r, v.port);
	assert_true(raw_knock(&r, &v.p));
	raw_make_hello(&r, &hello, "c", false, 5, NULL);
	raw_hello(&r, &hello);
	assert_true(raw_receive(&r, &v.p));
	assert_int_equal(r.head.type, FRAME_WELCOME);
	raw_connect(&again, v.port);
	assert_true(raw_knock(&again, &v.p));
	raw_hello(&again, &hello);
	visit_refused(&v, &again, FRAME_REFUSE_REPLAY, "replay");
	/* Nor may an older link take the place of a newer one. */
	raw_connect(&again, v.port);
	assert_true(raw_knock(&again, &v.p));
	raw_make_hello(&again, &hello, "c", false, 4, NULL);
	raw_hello(&again, &hello);
	visit_refused(&v, &again, FRAME_REFUSE_REPLAY, "newer link");
	assert_int_equal(visit_stats(&v).n_guests, 2);
	raw_close(&r);
	assert_true(pair_run(&v.p, &v.p.b.n_left, 1));
}

static const uint8_t secret[FRAME_TOKEN_SIZE], other[FRAME_TOKEN_SIZE] = {1};

/* A token that is good for another connection, or for another lane, of the same link. */
static void spoiled_token(bool of_nonce)
{
	struct frame_hello hello;
	struct raw r;

	raw_connect(&r, v.port);
	assert_true(raw_knock(&r, &v.p));
	r.greet.nonce[0] ^= of_nonce;
	raw_make_hello(&r, &hello, "c", true, 5, secret);
	hello.nonce[0] ^= of_nonce;
	if (!of_nonce)
		hello.window *= 2;
	raw_hello(&r, &hello);
	visit_refused(&v, &r, FRAME_REFUSE_TOKEN, "no link");
}

/* With a token of its own, but the link has not got it; or has it already. */
static void wrong_lane(uint8_t number, const char *word)
{
	const struct hello_self self = {"test", "c", 7, 0};
	const struct hello_lane lane = {true, number, (uint8_t)(number + 1), 5, 4 << 20};
	struct frame_hello hello;
	struct raw r;

	raw_connect(&r, v.port);
	assert_true(raw_knock(&r, &v.p));
	hello_make(&hello, &self, "b", &lane, &r.greet, secret);
	raw_hello(&r, &hello);
	visit_refused(&v, &r, FRAME_REFUSE_TOKEN, word);
}

static void test_data_lane(void **state)
{
	struct frame_hello hello;
	struct raw control, r;

	(void)state;
	raw_connect(&control, v.port);
	assert_true(raw_knock(&control, &v.p));
	raw_make_hello(&control, &hello, "c", false, 5, NULL);
	raw_hello(&control, &hello);
	assert_true(raw_receive(&control, &v.p));
	assert_int_equal(control.head.type, FRAME_WELCOME);
	spoiled_token(true);
	spoiled_token(false);
	wrong_lane(1, "no link");
	/* With a token that another secret made. */
	raw_connect(&r, v.port);
	assert_true(raw_knock(&r, &v.p));
	raw_make_hello(&r, &hello, "c", true, 5, other);
	raw_hello(&r, &hello);
	visit_refused(&v, &r, FRAME_REFUSE_TOKEN, "no link");
	raw_connect(&r, v.port);
	assert_true(raw_knock(&r, &v.p));
	raw_make_hello(&r, &hello, "c", true, 5, secret);
	raw_hello(&r, &hello);
	assert_true(raw_receive(&r, &v.p));
	assert_int_equal(r.head.type, FRAME_WELCOME);
	wrong_lane(0, "there already");
	raw_close(&r);
	raw_close(&control);
	assert_true(pair_run(&v.p, &v.p.b.n_left, 1));
}

static void test_silence(void **state)
{
	struct raw r[5];
	unsigned i;

	(void)state;
	for (i = 0; i < 5; i++)
		raw_connect(&r[i], v.port);
	raw_bytes(&r[1], "", 1);
	assert_true(raw_knock(&r[2], &v.p));
	assert_int_equal(visit_stats(&v).n_strangers, 5);
	for (i = 0; i < 600 && visit_stats(&v).n_strangers; i++)
		pair_rest(&v.p, 10);
	assert_int_equal(visit_stats(&v).n_strangers, 0);
	for (i = 0; i < 5; i++) {
		assert_string_equal(raw_refusal(&r[i], &v.p), "");
		raw_close(&r[i]);
	}
	assert_int_equal(visit_stats(&v).n_refused[0], 5);
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
		raw_connect(&r[i], v.port);
		if (i % 16 == 15)
			pair_rest(&v.p, 5);
	}
	pair_rest(&v.p, 50);
	assert_true(visit_stats(&v).n_strangers <= LINK_STRANGERS_MAX);
	raw_connect(&honest, v.port);
	assert_true(raw_knock(&honest, &v.p));
	raw_make_hello(&honest, &hello, "c", false, 5, NULL);
	raw_hello(&honest, &hello);
	assert_true(raw_receive(&honest, &v.p));
	assert_int_equal(honest.head.type, FRAME_WELCOME);
	for (i = 0; i < 3 * LINK_STRANGERS_MAX / 2; i++)
		raw_close(&r[i]);
	raw_close(&honest);
	assert_true(pair_run(&v.p, &v.p.b.n_left, 1));
}

static void hear_all(void)
{
	while (watch_wait(v.p.epoll, 0))
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
			raw_connect(&honest, v.port);
		raw_connect(&r[i], v.port);
		if (i % 16 == 15)
			hear_all();
	}
	assert_int_equal(visit_stats(&v).n_strangers, LINK_STRANGERS_MAX);
	assert_true(raw_knock(&honest, &v.p));
	raw_make_hello(&honest, &hello, "c", false, 5, NULL);
	raw_hello(&honest, &hello);
	assert_true(raw_receive(&honest, &v.p));
	assert_int_equal(honest.head.type, FRAME_WELCOME);
	for (i = 0; i < LINK_STRANGERS_MAX + 32; i++)
		raw_close(&r[i]);
	raw_close(&honest);
	assert_true(pair_run(&v.p, &v.p.b.n_left, 1));
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
		raw_connect(&r, v.port);
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
			pair_rest(&v.p, 1);
		raw_close(&r);
	}
	pair_rest(&v.p, 100);
	assert_int_equal(v.p.b.n_arrived, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		VISIT_TEST(test_version),
		VISIT_TEST(test_hello),
		VISIT_TEST(test_replay),
		VISIT_TEST(test_data_lane),
		VISIT_TEST(test_silence),
		VISIT_TEST(test_crowd),
		VISIT_TEST(test_rush),
		VISIT_TEST(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
