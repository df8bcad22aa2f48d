/* SPDX-License-Identifier: Apache-2.0 */
/* hold.c: an entry is taken away under a reader, at each instruction of its read. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/step/host.h"

/*
 * A reader stands still at some instruction of shmc_get(), the value is replaced, the broker frees
 * what it may, and others fill what was freed. Then the reader goes on. If its hold was there in
 * time, it gets the old value, unharmed; if not, its second look tells, it starts over, and gets
 * the new one. Every second reader does not live to see it: it is killed some way behind, in the
 * second look or in what follows from it, and what it held comes back.
 *
 * What shmc_fetch() was given and nobody else can find is not replaced: there it is the client
 * itself who lets go of it, and may not do so before it holds it.
 */
#define KEPT 's'
#define DELIVERED 'd'
#define KEY 7
#define OTHERS 100 /* keys from here on */
#define N_OTHERS 8
#define SIZE 1000 /* as the double makes them */

static int reader_get(struct shmc *cache, const char *key, size_t size, struct shmc_view *view)
{
	return *key == KEPT ? shmc_get(cache, key, size, view)
			    : shmc_fetch(cache, key, size, NULL, view, NULL, 60000);
}

static int reader_main(void *context)
{
	const char *prefix = context;
	struct shmc_attach_options options = {.timeout_ms = 60000, .spin_us = UINT32_MAX};
	char key[VALUE_KEY_MAX];
	size_t size = value_key(*prefix, KEY, key);
	struct shmc_view view;
	struct shmc *cache;
	uint64_t version;

	if (shmc_attach(&cache, host.run.name, &options) || reader_get(cache, key, size, &view))
		return 1;
	shmc_release(cache, &view);
	tracer_mark();
	told->result = reader_get(cache, key, size, &view);
	told->is_done = true;
	tracer_mark();
	/* What it has may no more change, whatever becomes of the entry. */
	if (told->result || !value_is(view.data, view.size, KEY, &version))
		return 2;
	told->is_checked = true;
	tracer_mark();
	return 0;
}

/* Replace the value, and fill the room of the old one, if that is free, with others. */
static void take_away(uint64_t version)
{
	struct timespec while_it_reclaims = {.tv_nsec = 15000000};
	unsigned i;

	host_put(KEPT, KEY, version, SIZE);
	nanosleep(&while_it_reclaims, NULL);
	for (i = 0; i < N_OTHERS; i++)
		host_put(KEPT, OTHERS + i, version, SIZE);
}

static void start(struct tracer *t, char prefix)
{
	memset(told, 0, sizeof(*told));
	if (tracer_start(t, reader_main, &prefix))
		fail_msg("the reader did not get there: %d", t->status);
	host_pause();
}

static void play(
	const struct trail *trail, char prefix, size_t i, bool is_killed, uint64_t *random)
{
	unsigned n = (unsigned)(value_random(random) % trail->n);
	struct tracer *t = &host.victim;
	char where[64];
	int r;

	snprintf(where, sizeof(where), "taken away at instruction %zu", i);
	start(t, prefix);
	r = trail_go(trail, t, i);
	take_away(i + 2);
	while (is_killed && !r && n--)
		r = tracer_step(t);
	/* To the end of the get, and to where the bytes were looked at; both are marks. */
	while (!is_killed && r >= 0 && !told->is_checked)
		r = tracer_run(t);
	if (r < 0)
		fail_msg("%s: the bytes are not those that were put (%d)", where, t->status);
	tracer_kill(t);
	host_quiet(where);
	if (i % HOST_CHECK_EACH == 0 || host.is_soak)
		host_whole(where);
}

static void record(struct trail *trail, char prefix)
{
	struct tracer *t = &host.victim;

	start(t, prefix);
	if (trail_record(trail, t))
		fail_msg("the reader ended by itself: %d", t->status);
	tracer_kill(t);
}

static void test_taken_away(void **state)
{
	uint64_t random = host.seed;
	struct trail trail = {0};
	size_t i;

	(void)state;
	take_away(1);
	record(&trail, KEPT);
	for (i = 0; i < trail.n; i++) {
		play(&trail, KEPT, i, false, &random);
		if (i % 2 || host.is_soak)
			play(&trail, KEPT, i, true, &random);
	}
	host_whole("at the end");
	print_message("%zu instructions, the value taken away at each; nothing found\n", trail.n);
	trail_forget(&trail);
}

/* The first system call wakes the broker, and the answer comes; nobody has anything before. */
static void test_delivered(void **state)
{
	enum { EACH = 3 };
	uint64_t random = host.seed;
	struct trail trail = {.pause = host_pause};
	unsigned n_plays = 0;
	size_t i;

	(void)state;
	record(&trail, DELIVERED);
	for (i = 0; i < trail.n; i++) {
		if (!host.is_soak && (!trail.place[i].n_calls || (i + host.seed) % EACH))
			continue;
		play(&trail, DELIVERED, i, n_plays % 2, &random);
		n_plays++;
	}
	host_whole("at the end");
	print_message("%zu instructions of a fetch, at %u of them the block was wanted; nothing found\n",
		trail.n, n_plays);
	trail_forget(&trail);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_taken_away, host_ready, host_over),
		cmocka_unit_test_setup_teardown(test_delivered, host_ready, host_over),
	};

	host_begin(argv);
	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, host_setup, host_teardown);
}
