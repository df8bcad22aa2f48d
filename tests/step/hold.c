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
 * time, it gets the old value, unharmed; if not, its second look tells, it starts over, and gets the
 * new one. Every second reader does not live to see it: it is killed some way behind, in the second
 * look or in what follows from it, and what it held comes back.
 */
#define KEY 7
#define OTHERS 100 /* keys from here on */
#define N_OTHERS 8
#define SIZE 256

static int reader_main(void *context)
{
	struct shmc_attach_options options = {.timeout_ms = 60000, .spin_us = UINT32_MAX};
	char key[VALUE_KEY_MAX];
	size_t size = value_key('s', KEY, key);
	struct shmc_view view;
	struct shmc *cache;
	uint64_t version;

	(void)context;
	if (shmc_attach(&cache, host.run.name, &options) || shmc_get(cache, key, size, &view))
		return 1;
	shmc_release(cache, &view);
	tracer_mark();
	told->result = shmc_get(cache, key, size, &view);
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

	host_put(KEY, version, SIZE);
	nanosleep(&while_it_reclaims, NULL);
	for (i = 0; i < N_OTHERS; i++)
		host_put(OTHERS + i, version, SIZE);
}

static void start(struct tracer *t)
{
	memset(told, 0, sizeof(*told));
	if (tracer_start(t, reader_main, NULL))
		fail_msg("the reader did not get there: %d", t->status);
	host_pause();
}

static void play(const struct trail *trail, size_t i, bool is_killed, uint64_t *random)
{
	unsigned n = (unsigned)(value_random(random) % trail->n);
	struct tracer *t = &host.victim;
	char where[64];
	int r;

	snprintf(where, sizeof(where), "taken away at instruction %zu", i);
	start(t);
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

static void test_taken_away(void **state)
{
	uint64_t random = host.seed;
	struct trail trail = {0};
	struct tracer *t = &host.victim;
	size_t i;

	(void)state;
	take_away(1);
	start(t);
	if (trail_record(&trail, t))
		fail_msg("the reader ended by itself: %d", t->status);
	tracer_kill(t);
	for (i = 0; i < trail.n; i++) {
		play(&trail, i, false, &random);
		if (i % 2 || host.is_soak)
			play(&trail, i, true, &random);
	}
	host_whole("at the end");
	print_message("%zu instructions, the value taken away at each; nothing found\n", trail.n);
	trail_forget(&trail);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test_teardown(test_taken_away, host_over)};

	(void)argc;
	host_begin(argv);
	return cmocka_run_group_tests(tests, host_setup, host_teardown);
}
