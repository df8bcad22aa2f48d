/* SPDX-License-Identifier: Apache-2.0 */
/* link.c: a link between two honest brokers, and what happens when one of them goes. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <time.h>

#include <cmocka.h>

#include "ipc/hash.h"
#include "tests/shmcache/remote/peers/abort.h"

#define SIZE (9U << 20) /* more than two windows */

static uint8_t *value, *copy;

static void begin_up(struct pair *p)
{
	pair_begin(p, LINK_NONE, true);
	assert_true(pair_run(p, &p->a.n_up, 1));
}

/* A fetch is asked for, and not answered. */
static void begin_asking(struct pair *p, struct pair_fetch *f)
{
	begin_up(p);
	pair_fetch(p, f, "key");
	assert_true(pair_run(p, &p->b.n_requests, 1));
}

static void test_up(void **state)
{
	struct link_stats stats;
	struct pair p;

	(void)state;
	begin_up(&p);
	assert_true(link_is_up(p.a.link));
	assert_int_equal(p.b.n_arrived, 1);
	assert_string_equal(link_guest_name(p.b.guest), "a");
	link_get_stats(p.a.link, &stats);
	assert_true(stats.free == UINT64_MAX);
	link_net_set_free(p.b.net, 12345);
	/* It stays, without a word from anybody else. */
	pair_rest(&p, 3500);
	assert_int_equal(p.a.n_down, 0);
	assert_int_equal(p.b.n_left, 0);
	link_get_stats(p.a.link, &stats);
	assert_true(stats.rtt_ns > 0);
	assert_int_equal(stats.free, 12345);
	assert_false(stats.is_refused);
	pair_end(&p);
}

/* Found out before there is a link, not by each. */
static void test_congestion(void **state)
{
	struct link_settings s = pair_settings("a", LINK_NONE, true);
	struct pair_end e = {0};

	(void)state;
	s.congestion = "nonsense";
	assert_int_equal(pair_end_begin(&e, -1, &s), -ENOENT);
	assert_non_null(strstr(e.why, "nonsense"));
	close(e.log.fd);
	s.congestion = "reno";
	assert_int_equal(pair_end_begin(&e, -1, &s), 0);
	link_net_free(e.net);
	close(e.log.fd);
}

/* Who was stopped himself, and knows nothing of the others' silence, blames nobody for it. */
static void test_stopped(void **state)
{
	struct timespec t;
	uint64_t now_ms;
	struct pair p;
	unsigned i;

	(void)state;
	begin_up(&p);
	clock_gettime(CLOCK_MONOTONIC, &t);
	now_ms = (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
	/* At the first they see what they have heard last, and nothing comes until the second. */
	for (i = 0; i < 2; i++, now_ms += 4 * LINK_SILENCE_MS) {
		link_net_tick(p.a.net, now_ms);
		link_net_tick(p.b.net, now_ms);
	}
	assert_int_equal(p.a.n_down, 0);
	assert_int_equal(p.b.n_left, 0);
	pair_end(&p);
}

static void test_questions(void **state)
{
	struct link_item items[3] = {{"a1", 2}, {"b", 1}, {"a2", 2}};
	struct frame_notice notices[300] = {0};
	struct pair p;

	(void)state;
	pair_begin(&p, LINK_NONE, true);
	assert_int_equal(link_lookup(p.a.link, 1, FRAME_LOOKUP_KEYS, items, 3), -107);
	assert_true(pair_run(&p, &p.a.n_up, 1));
	assert_int_equal(link_lookup(p.a.link, 1, FRAME_LOOKUP_KEYS, items, 3), 3);
	assert_int_equal(link_erase(p.a.link, 2, "key", 3), 0);
	assert_int_equal(link_announce(p.a.link, notices, 300), 0);
	assert_true(pair_run(&p, &p.b.n_notices, 300));
	assert_true(pair_run(&p, &p.a.n_erased, 1));
	assert_int_equal(p.a.n_found, 1);
	assert_int_equal(p.a.n_holders, 4);
	assert_int_equal(p.b.n_lookups, 3);
	pair_end(&p);
}

/* Who has no answer, as one without a directory who is asked for it, says so: that is no lie. */
static void test_no_answer(void **state)
{
	struct link_item item = {"name of 16 bytes", 16};
	struct pair p;

	(void)state;
	begin_up(&p);
	p.b.knows_nothing = true;
	assert_int_equal(link_lookup(p.a.link, 1, FRAME_LOOKUP_NAMES, &item, 1), 1);
	assert_true(pair_run(&p, &p.a.n_found, 1));
	assert_int_equal(p.a.n_down, 0);
	pair_end(&p);
}

/* Sizes about every limit: of a frame, of the buffer, of the window. */
static const uint64_t sizes[] = {1, 2, 4096, 16383, 16384, 16385, 65536, FRAME_DATA_MAX - 1,
	FRAME_DATA_MAX, FRAME_DATA_MAX + 1, 4 << 20, (4 << 20) + 1, SIZE};
#define N_SIZES (sizeof(sizes) / sizeof(sizes[0]))

static void test_fetch(void **state)
{
	struct pair_fetch f = {.to = copy, .room = SIZE};
	struct pair p;
	size_t i;

	(void)state;
	begin_up(&p);
	p.b.value = value;
	for (i = 0; i < N_SIZES; i++) {
		p.b.value_size = sizes[i];
		p.b.sum = XXH3_64bits(value, sizes[i]);
		memset(copy, 0, SIZE);
		pair_fetch(&p, &f, "key");
		assert_true(pair_run(&p, &f.n_done, (unsigned)i + 1));
		assert_int_equal(f.result, LINK_OK);
		assert_memory_equal(copy, value, sizes[i]);
	}
	assert_true(pair_run(&p, &p.b.n_sent, N_SIZES));
	pair_end(&p);
}

/* Who asks sees how far it is, and may tell a slow one from one that stands still. */
static void test_progress(void **state)
{
	struct pair_fetch f = {.to = copy, .room = SIZE};
	uint64_t n_seen = 0;
	unsigned n_between = 0;
	struct pair p;

	(void)state;
	begin_up(&p);
	p.b.value = value;
	p.b.value_size = SIZE;
	p.b.sum = XXH3_64bits(value, SIZE);
	pair_fetch(&p, &f, "key");
	while (!f.n_done) {
		pair_turn(&p);
		assert_true(f.n_come >= n_seen);
		n_seen = f.n_come;
		n_between += n_seen > 0 && n_seen < SIZE;
	}
	assert_true(n_between > 0);
	assert_int_equal(f.n_come, SIZE);
	pair_end(&p);
}

/* More at once than there are slots, in turn on the lanes. */
static void test_many(void **state)
{
	static struct pair_fetch f[400];
	unsigned n = 0, i;
	struct pair p;

	(void)state;
	memset(f, 0, sizeof(f));
	begin_up(&p);
	p.b.value = value;
	p.b.value_size = 20000;
	p.b.sum = XXH3_64bits(value, 20000);
	for (i = 0; i < 400; i++) {
		f[i].to = copy + (size_t)i * 20000;
		f[i].room = 20000;
		f[i].n_all = &n;
		pair_fetch(&p, &f[i], i % 3 ? "key" : "-none");
	}
	assert_true(pair_run(&p, &n, 400));
	for (i = 0; i < 400; i++) {
		assert_int_equal(f[i].result, i % 3 ? LINK_OK : LINK_MISS);
		if (i % 3)
			assert_memory_equal(f[i].to, value, 20000);
	}
	pair_end(&p);
}

/* What is asked for before a kick goes with it, and not before. */
static void test_together(void **state)
{
	struct pair_fetch f[3];
	struct link_stats before, after;
	struct pair p;
	unsigned i;

	(void)state;
	memset(f, 0, sizeof(f));
	begin_up(&p);
	link_get_stats(p.a.link, &before);
	for (i = 0; i < 3; i++)
		pair_ask(p.a.link, &f[i], "key");
	pair_rest(&p, 20);
	assert_int_equal(p.b.n_requests, 0);
	link_get_stats(p.a.link, &after);
	assert_int_equal(after.bytes_out, before.bytes_out);
	link_kick(p.a.link);
	assert_true(pair_run(&p, &p.b.n_requests, 3));
	pair_end(&p);
}

static void test_corrupt(void **state)
{
	struct pair_fetch f = {.to = copy, .room = SIZE};
	struct pair p;

	(void)state;
	begin_up(&p);
	p.b.value = value;
	p.b.value_size = 100000;
	p.b.sum = XXH3_64bits(value, 100000) + 1;
	pair_fetch(&p, &f, "key");
	assert_true(pair_run(&p, &f.n_done, 1));
	assert_int_equal(f.result, LINK_CORRUPT);
	/* In one piece, too. */
	p.b.value_size = 100;
	pair_fetch(&p, &f, "key");
	assert_true(pair_run(&p, &f.n_done, 2));
	assert_int_equal(f.result, LINK_CORRUPT);
	pair_end(&p);
}

static void test_cancel(void **state)
{
	struct pair_fetch f = {.to = copy, .room = SIZE}, g = f;
	struct pair p;

	(void)state;
	begin_up(&p);
	/* Unanswered. */
	pair_fetch(&p, &f, "key");
	assert_true(pair_run(&p, &p.b.n_requests, 1));
	link_fetch_cancel(&f.fetch);
	assert_int_equal(f.n_done, 1);
	assert_int_equal(f.result, LINK_CANCELLED);
	assert_true(pair_run(&p, &p.b.n_gone, 1));
	/* On its way: not one byte more is written. */
	p.b.value = value;
	p.b.value_size = SIZE;
	p.b.sum = XXH3_64bits(value, SIZE);
	memset(copy, 0, SIZE);
	pair_fetch(&p, &f, "key");
	while (!copy[0])
		pair_rest(&p, 1);
	if (f.n_done == 1) {
		link_fetch_cancel(&f.fetch);
		memset(copy, 0, SIZE);
	}
	/* Not wanted when its size is known. */
	g.is_unwanted = true;
	pair_fetch(&p, &g, "key");
	assert_true(pair_run(&p, &g.n_done, 1));
	assert_int_equal(g.result, LINK_CANCELLED);
	pair_rest(&p, 100);
	if (f.result == LINK_CANCELLED)
		assert_int_equal(copy[SIZE - 1], 0);
	/* And others go on. */
	g.is_unwanted = false;
	pair_fetch(&p, &g, "key");
	assert_true(pair_run(&p, &g.n_done, 2));
	assert_int_equal(g.result, LINK_OK);
	assert_memory_equal(copy, value, SIZE);
	assert_int_equal(p.a.n_down, 0);
	pair_end(&p);
}

static void test_busy(void **state)
{
	struct pair_fetch f = {.to = copy, .room = SIZE};
	struct pair p;

	(void)state;
	begin_asking(&p, &f);
	link_refuse(p.b.requests[0], FRAME_BUSY);
	assert_true(pair_run(&p, &f.n_done, 1));
	assert_int_equal(f.result, LINK_BUSY);
	pair_end(&p);
}

static void test_abort(void **state)
{
	struct link_settings a = pair_settings("a", LINK_NONE, true), b = a;
	struct pair p;

	(void)state;
	b.name = "b";
	a.window = b.window = ABORT_SIZE;
	pair_begin_with(&p, &a, &b);
	assert_true(pair_run(&p, &p.a.n_up, 1));
	abort_in_the_middle(&p);
	pair_end(&p);
}

static void test_holder_goes(void **state)
{
	struct pair_fetch f = {.to = copy, .room = SIZE};
	struct pair p;

	(void)state;
	begin_asking(&p, &f);
	link_net_free(p.b.net);
	p.b.net = NULL;
	assert_int_equal(p.b.n_gone, 1);
	assert_int_equal(p.b.n_left, 1);
	struct link_settings s = pair_settings("b", LINK_NONE, true);
	assert_int_equal(pair_end_begin(&p.b, p.epoll, &s), 0);
	assert_true(pair_run(&p, &p.a.n_down, 1));
	assert_int_equal(f.result, LINK_UNREACHABLE);
	/* Nothing is asked of a link that is down. */
	pair_fetch(&p, &f, "key");
	assert_int_equal(f.n_done, 2);
	assert_int_equal(f.result, LINK_UNREACHABLE);
	/* It comes back. */
	assert_int_equal(link_net_listen(p.b.net, p.address, p.b.why), 0);
	assert_true(pair_run(&p, &p.a.n_up, 2));
	pair_end(&p);
}

static void test_requester_goes(void **state)
{
	struct pair_fetch f = {.to = copy, .room = SIZE}, g = f;
	struct pair p;

	(void)state;
	begin_asking(&p, &f);
	p.b.value = value;
	p.b.value_size = SIZE;
	pair_fetch(&p, &g, "key");
	link_close(p.a.link);
	p.a.link = NULL;
	assert_int_equal(f.result, LINK_CANCELLED);
	assert_true(pair_run(&p, &p.b.n_left, 1));
	assert_int_equal(p.b.n_gone + p.b.n_unsent + p.b.n_sent, g.n_done ? 2 : 1);
	pair_end(&p);
}

static int begin(void **state)
{
	unsigned seed = 4711;
	size_t i;

	(void)state;
	value = malloc(SIZE);
	copy = malloc(SIZE);
	for (i = 0; i < SIZE; i++)
		value[i] = (uint8_t)(rand_r(&seed) >> 7 | 1);
	return 0;
}

static int end(void **state)
{
	(void)state;
	free(value);
	free(copy);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_up),
		cmocka_unit_test(test_congestion),
		cmocka_unit_test(test_stopped),
		cmocka_unit_test(test_questions),
		cmocka_unit_test(test_no_answer),
		cmocka_unit_test(test_fetch),
		cmocka_unit_test(test_progress),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_together),
		cmocka_unit_test(test_corrupt),
		cmocka_unit_test(test_cancel),
		cmocka_unit_test(test_busy),
		cmocka_unit_test(test_abort),
		cmocka_unit_test(test_holder_goes),
		cmocka_unit_test(test_requester_goes),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
