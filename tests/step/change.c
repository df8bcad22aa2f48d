/* SPDX-License-Identifier: Apache-2.0 */
/* change.c: the kills, and what is asked of each. */
#include "tests/step/change.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include <urcu.h>

#include "tests/step/books.h"
#include "tests/step/successor.h"
#include "tests/step/trail.h"

/*
 * The store is opened once and brought into a state (scene.c); from there each child, a fork with
 * private books of its own and the same shared memory, does the same, and is killed one instruction
 * further on. What it leaves is opened as a new broker would (successor.c). Then the memory is put
 * back as it was.
 *
 * What must hold: the start is warm; the books agree; each key has the value that it had before or
 * the one that it has when nobody is killed, to the last byte, and nothing else is there; the
 * latter alone, once the change was answered; no two values overlap; and what was opened takes,
 * gives and drops values like any other store, until nothing is lost. Where a client was viewing a
 * value that the change removes, it still has it, from the new broker too; see view.c. And a broker
 * that nobody kills has its own books in order.
 *
 * As a kill changes nothing by itself, what one leaves is the same as what the last one left unless
 * the instruction between wrote to shared memory. Of those few are made, and they are opened again
 * in a soak only.
 */
static struct {
	/* Versions before the change and after it. */
	uint8_t before[SCENE_KEYS], after[SCENE_KEYS];
	bool is_soak;
	unsigned seed;
} all;

void change_answered(void)
{
	scene.told->is_answered = true;
}

bool change_put(struct call *c)
{
	const struct scene_value *value = &c->value[c->version];

	return store_put(STORE, WORKER, &c->key, &c->options, value->bytes, value->size) ==
		ABI_STATUS_OK;
}

void change_enter_some(void)
{
	scene_put_all(40);
}

void change_enter_viewed(void)
{
	change_enter_some();
	scene_view(5);
}

static void prepare(struct call *c, const struct change *change)
{
	unsigned v;

	c->key = rig_index_key(&scene.rig, change->key, c->bytes[0]);
	c->other = rig_index_key(&scene.rig, change->other, c->bytes[1]);
	c->version = change->version;
	for (v = 1; v <= SCENE_VERSIONS; v++)
		scene_value_make(&c->value[v], change->key, v);
}

/* Behind the second mark comes only who is let live. */
static int child_main(void *context)
{
	static struct call c;
	char why[256] = "";

	prepare(&c, context);
	tracer_mark();
	if (!((const struct change *)context)->run(&c))
		_exit(1);
	change_answered();
	tracer_mark();
	view_let_go(&scene.told->view, &scene.rig);
	if (!books_at_rest(&scene.rig, why, sizeof(why)))
		_exit(0);
	fprintf(stderr, "at rest, %s\n", why);
	_exit(2);
}

/* Whether it was looked at. */
static bool check_kill(const struct change *change, const struct trail *trail, size_t i)
{
	const struct trail_place *at = &trail->place[i];
	static uint8_t found[SCENE_KEYS];
	char where[96];
	unsigned k;

	if (!scene_has_changed() && i && !all.is_soak)
		return false;
	snprintf(where, sizeof(where), "%s, killed %u instructions behind system call %u",
		change->name, at->n_steps, at->n_calls);
	memset(found, 0, sizeof(found));
	successor_look(where, change->key, found);
	for (k = 0; k < SCENE_KEYS; k++)
		if (found[k] != all.before[k] && found[k] != all.after[k])
			fail_msg("%s: key %u has version %u; it had %u, and was to have %u", where,
				k, found[k], all.before[k], all.after[k]);
	if (scene.told->is_answered && memcmp(found, all.after, sizeof(found)))
		fail_msg("%s: what was answered is not so", where);
	return true;
}

/* One that is not killed. */
static void check_living(const struct change *change)
{
	struct tracer t;

	if (tracer_start(&t, child_main, (void *)change) || tracer_run(&t) != TRACER_MARK ||
		tracer_run(&t) != -ECHILD || t.status)
		fail_msg("%s: the books of who was not killed do not balance: %d", change->name, t.status);
	scene_restore();
}

static void record(const struct change *change, struct trail *trail)
{
	struct tracer t;

	if (tracer_start(&t, child_main, (void *)change) || trail_record(trail, &t))
		fail_msg("%s: the child ended by itself: %d", change->name, t.status);
	tracer_kill(&t);
	successor_look(change->name, change->key, all.after);
	scene_restore();
	successor_look(change->name, change->key, all.before);
	scene_restore();
	check_living(change);
	scene_has_changed();
}

/*
 * Before and behind each instruction that writes to shared memory, and now and then between, where
 * nothing can differ; in a soak everywhere. Who searches for a window hardly ever writes, and to be
 * brought into the middle of a search takes a child milliseconds.
 */
static bool is_skipped(const struct trail *trail, size_t i)
{
	enum { EACH = 8, BETWEEN_MAX = 512 };
	bool is_before = i + 1 < trail->n && trail->place[i + 1].is_new;
	size_t each = trail->n > EACH * BETWEEN_MAX ? trail->n / BETWEEN_MAX : EACH;

	return !all.is_soak && i && !trail->place[i].is_new && !is_before && (i + all.seed) % each;
}

/* A child to place @i, by @go, and no further. Whether it got there. */
static bool kill_one(const struct change *change, const struct trail *trail, size_t i,
	int (*go)(const struct trail *trail, struct tracer *t, size_t i))
{
	struct tracer t;
	int r;

	scene_restore();
	r = tracer_start(&t, child_main, (void *)change);
	if (!r)
		r = go(trail, &t, i);
	tracer_kill(&t);
	if (r < 0)
		fail_msg("%s: the child ended by itself: %d", change->name, t.status);
	return !r;
}

static void test_change(void **state)
{
	const struct change *change = *state;
	unsigned n_opened = 0, n_lost = 0;
	struct trail trail = {.look = scene_has_changed};
	unsigned n_kills = 0;
	size_t i;

	record(change, &trail);
	assert_int_equal(all.after[change->key], change->version);
	for (i = 0; i < trail.n; i++) {
		if (is_skipped(&trail, i))
			continue;
		n_kills++;
		if (!kill_one(change, &trail, i, trail_go)) {
			kill_one(change, &trail, i, trail_walk);
			n_lost++;
		}
		n_opened += check_kill(change, &trail, i);
	}
	print_message("%s: %zu instructions, %u system calls; %u kills, %u of them on another way; "
		      "%u different images opened; nothing found\n",
		change->name, trail.n, trail.place[trail.n - 1].n_calls, n_kills, n_lost, n_opened);
	/* Or it was no change. */
	assert_true(n_opened > 1 || !memcmp(all.before, all.after, sizeof(all.before)));
	trail_forget(&trail);
}

static int setup(void **state)
{
	const struct change *change = *state;

	memset(all.before, 0, sizeof(all.before));
	memset(all.after, 0, sizeof(all.after));
	return scene_open(&change->size, change->enter);
}

static int teardown(void **state)
{
	(void)state;
	return scene_close();
}

int change_main(int argc, char **argv, const char *group, const struct change *changes, size_t n)
{
	struct CMUnitTest *tests;
	size_t i;
	int r = tracer_is_allowed();

	if (r) {
		printf("SKIP: a child can't be traced here: %s\n", strerror(-r));
		return 77;
	}
	tests = calloc(n, sizeof(*tests));
	if (!tests || tracer_settle(argv))
		return 1;
	rig_begin();
	rcu_register_thread();
	tracer_pin();
	all.seed = tracer_seed();
	all.is_soak = getenv("SHMCACHE_SOAK") && atoi(getenv("SHMCACHE_SOAK"));
	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	for (i = 0; i < n; i++)
		tests[i] = (struct CMUnitTest){
			changes[i].name, test_change, setup, teardown, (void *)&changes[i]};
	r = _cmocka_run_group_tests(group, tests, n, NULL, NULL);
	free(tests);
	rcu_unregister_thread();
	return r;
}
