/* SPDX-License-Identifier: Apache-2.0 */
/* clients.c: a client is killed after each instruction of each thing that it can do. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/clients/double.h"
#include "tests/step/host.h"

/*
 * What a client asks for is there wholly or not at all, however far it got with asking; and what it
 * had is given back. One client after the other does the same, each is killed one instruction
 * further on. Where it had not finished, either outcome is right, but nothing between; where it had
 * its answer, the answer counts.
 *
 * What asks the broker for something is played through a second time against one that stands still
 * until the client is dead: it then finds the request, or half of it, and the hang-up together.
 *
 * What is fetched comes from a double (tests/clients/double.h): published, delivered, or never.
 */
#define KEY 7
#define SIZE 256
#define LARGE (36 << 10) /* more than half of the staging area: it goes in three pieces */
#define OLD 1
#define NEW 2

struct client {
	struct shmc *cache;
	struct shmc_view view;
	struct shmc_reservation reservation;
	struct shmc_queue *queue;
	struct shmc_request request;
	char key[VALUE_KEY_MAX];
	size_t key_size;
	uint8_t value[LARGE];
	size_t size;
	int timeout_ms;
};

struct stretch {
	const char *name;
	uint64_t before, after; /* versions of the value; 0: there is none */
	int (*enter)(struct client *c);
	int (*run)(struct client *c);
	/*
	 * READS: without a word to the broker; ASKS: on the ring; TALKS: on the socket; SENDS: on
	 * the ring, a large value in pieces; WAITS: on the ring, for others. The last three are
	 * long.
	 */
	enum { READS, ASKS, TALKS, SENDS, WAITS } kind;
	char prefix; /* of the key, which says where it comes from */
};

static size_t size_of(const struct stretch *s)
{
	return s->kind == SENDS ? LARGE : SIZE;
}

/* --- what a client does ----------------------------------------------------------------------- */

static int attach(struct client *c)
{
	struct shmc_attach_options options = {.timeout_ms = 60000, .spin_us = UINT32_MAX};

	return shmc_attach(&c->cache, host.run.name, &options);
}

/* For what a writer would fill in place. */
static int attach_stager(struct client *c)
{
	struct shmc_attach_options options = {
		.timeout_ms = 60000, .spin_us = UINT32_MAX, .role = SHMC_ROLE_STAGER};

	shmc_detach(c->cache);
	return shmc_attach(&c->cache, host.run.name, &options);
}

static int ping(struct client *c)
{
	return shmc_ping(c->cache, c->timeout_ms);
}

static int put(struct client *c)
{
	return shmc_put(c->cache, c->key, c->key_size, c->value, c->size, NULL, c->timeout_ms);
}

static int attach_stager_and_ping(struct client *c)
{
	int r = attach_stager(c);

	return r ? r : ping(c);
}

static int delete(struct client *c)
{
	return shmc_delete(c->cache, c->key, c->key_size, c->timeout_ms);
}

static int touch(struct client *c)
{
	return shmc_touch(c->cache, c->key, c->key_size, 3600000, c->timeout_ms);
}

static int get(struct client *c)
{
	return shmc_get(c->cache, c->key, c->key_size, &c->view);
}

static int release(struct client *c)
{
	shmc_release(c->cache, &c->view);
	return 0;
}

/* With a lane that is open and a hold cell that was used before. */
static int get_and_release(struct client *c)
{
	int r = get(c);

	return r ? r : release(c);
}

static int reserve(struct client *c)
{
	return shmc_reserve(c->cache, c->key, c->key_size, SIZE, NULL, &c->reservation,
		c->timeout_ms);
}

static int ping_and_reserve(struct client *c)
{
	int r = shmc_ping(c->cache, SHMC_TIMEOUT_DEFAULT);

	return r ? r : reserve(c);
}

static int fill_and_commit(struct client *c)
{
	value_make(c->reservation.data, SIZE, KEY, NEW);
	return shmc_commit(c->cache, &c->reservation, c->timeout_ms);
}

static int abort_it(struct client *c)
{
	return shmc_abort(c->cache, &c->reservation, c->timeout_ms);
}

static int pin(struct client *c)
{
	return shmc_pin(c->cache, c->key, c->key_size, 0, c->timeout_ms);
}

static int unpin(struct client *c)
{
	return shmc_unpin(c->cache, c->key, c->key_size, c->timeout_ms);
}

static int have_everything(struct client *c)
{
	int r = pin(c);

	if (!r)
		r = get(c);
	return r ? r : reserve(c);
}

static int detach(struct client *c)
{
	shmc_detach(c->cache);
	return 0;
}

/* Of what comes from elsewhere every byte is right. */
static int judge_view(const struct shmc_view *view)
{
	uint64_t version;

	return value_is(view->data, view->size, KEY, &version) ? 0 : -EBADMSG;
}

static int fetch(struct client *c)
{
	int r = shmc_fetch(c->cache, c->key, c->key_size, NULL, &c->view, NULL, c->timeout_ms);

	return r ? r : judge_view(&c->view);
}

static int fetch_and_release(struct client *c)
{
	int r = fetch(c);

	return r ? r : release(c);
}

/* Nobody answers: it stays out. */
static int fetch_in_vain(struct client *c)
{
	int r = shmc_fetch(c->cache, c->key, c->key_size, NULL, &c->view, NULL, 0);

	return r == -ETIMEDOUT ? 0 : r;
}

static int open_queue(struct client *c)
{
	return shmc_queue_open(&c->queue, c->cache);
}

/* Submit, take, and let go. */
static int fetch_by_queue(struct client *c)
{
	struct shmc_request *q = &c->request, *done;
	int r;

	*q = (struct shmc_request){
		.operation = SHMC_OP_FETCH, .key = c->key, .key_size = c->key_size};
	r = shmc_submit(c->queue, &q, 1);
	if (r == 1)
		r = shmc_reap(c->queue, &done, 1, c->timeout_ms);
	if (r != 1)
		return r ? r : -ETIMEDOUT;
	r = q->result ? q->result : judge_view(&q->view);
	shmc_release(c->cache, &q->view);
	return r;
}

/* One delivered and held, one on its way. */
static int have_fetched(struct client *c)
{
	char key[VALUE_KEY_MAX];
	int r = shmc_fetch(c->cache, key, value_key('d', KEY, key), NULL, &c->view, NULL, c->timeout_ms);

	return r ? r : fetch_in_vain(c);
}

/* --- one client ------------------------------------------------------------------------------- */

struct play {
	const struct stretch *stretch;
	bool is_frozen;
};

static int client_main(void *context)
{
	const struct play *play = context;
	const struct stretch *s = play->stretch;
	struct client c = {.timeout_ms = SHMC_TIMEOUT_DEFAULT, .size = size_of(s)};

	c.key_size = value_key(s->prefix, KEY, c.key);
	value_make(c.value, c.size, KEY, NEW);
	if (s->run != attach)
		told->result = attach(&c);
	if (!told->result && s->enter)
		told->result = s->enter(&c);
	if (told->result)
		return 1;
	/* Nobody is going to answer: ask, and don't wait. */
	if (play->is_frozen)
		c.timeout_ms = 0;
	tracer_mark();
	told->result = s->run(&c);
	told->is_done = true;
	tracer_mark();
	return 0;
}

static void prepare(const struct stretch *s)
{
	uint64_t is = host_version(s->prefix, KEY);

	if (is == s->before)
		return;
	if (s->before)
		host_put(s->prefix, KEY, s->before, size_of(s));
	else
		host_delete(s->prefix, KEY);
}

struct tally {
	unsigned n_kills, n_lost, n_old, n_new;
};

static void judge(const struct play *play, const struct trail_place *at, struct tally *n)
{
	const struct stretch *s = play->stretch;
	char where[128];
	uint64_t is;

	snprintf(where, sizeof(where), "%s%s, killed %u instructions behind system call %u",
		s->name, play->is_frozen ? ", broker frozen" : "", at->n_steps, at->n_calls);
	host_quiet(where);
	/* What the dead had asked others for may come all the same. */
	if (s->prefix != 's')
		host_answered(where);
	is = host_version(s->prefix, KEY);
	if (is != s->before && is != s->after)
		fail_msg("%s: version %llu is there", where, (unsigned long long)is);
	if (!play->is_frozen && told->is_done && told->result)
		fail_msg("%s: %s", where, shmc_strerror(told->result));
	if (told->is_done && !told->result && is != s->after)
		fail_msg("%s: what was answered is not there", where);
	n->n_old += is == s->before;
	n->n_new += is == s->after;
	if (++n->n_kills % HOST_CHECK_EACH == 0 || host.is_soak)
		host_whole(where);
}

/* A client that stands at its first mark. */
static void begin(const struct play *play, struct tracer *t)
{
	prepare(play->stretch);
	memset(told, 0, sizeof(*told));
	if (tracer_start(t, client_main, (void *)play)) {
		host_there(play->stretch->name);
		fail_msg("%s: the client did not get there, status 0x%x: %s", play->stretch->name,
			(unsigned)t->status, shmc_strerror(told->result));
	}
	if (play->is_frozen)
		host_freeze(true);
	else
		host_pause();
}

static void end(struct tracer *t)
{
	tracer_kill(t);
	host_freeze(false);
}

/*
 * Bring a client to place @i and kill it there. Where it takes another way each time than the one
 * that was recorded (the clock had carried into the seconds), the last one is taken as many steps
 * along its own.
 */
#define TRIES 3

static void kill_at(const struct play *play, const struct trail *trail, size_t i, struct tally *n)
{
	struct tracer *t = &host.victim;
	int tries, r;

	for (tries = 1, r = TRAIL_LOST; r == TRAIL_LOST && tries <= TRIES; tries++) {
		begin(play, t);
		r = tries < TRIES ? trail_go(trail, t, i) : trail_walk(trail, t, i);
		end(t);
		if (r < 0)
			fail_msg("%s: the client ended by itself: %d", play->stretch->name, t->status);
		judge(play, &trail->place[i], n);
	}
	n->n_lost += tries > TRIES;
}

/*
 * The long ones hardly ever touch what is shared, and talk to the broker by system calls. What is
 * not near one of these is visited now and then; in a soak all the same. Copying is one instruction
 * that is executed over and over, into what only a later one hands over: of that there are samples.
 */
static bool is_skipped(const struct stretch *s, const struct trail *trail, size_t i)
{
	enum { NEAR = 8, EACH = 5, EACH_WAIT = 16, TIMES = 4, EACH_COPY = 1024 };
	const struct trail_place *p = &trail->place[i];
	unsigned each = s->kind == WAITS ? EACH_WAIT : EACH;

	if (s->kind == SENDS && p->nth > TIMES)
		return (i + host.seed) % EACH_COPY;
	return s->kind >= TALKS && !host.is_soak && p->n_steps >= NEAR && i + NEAR < trail->n &&
		p[NEAR].n_calls == p->n_calls && (i + host.seed) % each;
}

/*
 * Of what is fetched, the two that come to somebody who is dead by then: as an entry, and as a
 * delivery that nobody takes. Whatever else comes, a broker that stands still finds the same.
 */
static bool is_frozen_too(const struct stretch *s)
{
	return s->kind == ASKS || (s->run == fetch && (s->prefix == 'p' || s->prefix == 'd'));
}

static void play_all(const struct stretch *s, bool is_frozen)
{
	struct play play = {s, is_frozen};
	struct trail trail = {.pause = is_frozen ? NULL : host_pause};
	struct tally n = {0};
	struct tracer *t = &host.victim;
	size_t i;

	begin(&play, t);
	if (trail_record(&trail, t))
		fail_msg("%s: the client ended by itself: %d", s->name, t->status);
	end(t);
	host_quiet(s->name);
	for (i = 0; i < trail.n; i++)
		if (!is_skipped(s, &trail, i))
			kill_at(&play, &trail, i, &n);
	host_whole(s->name);
	print_message("%s%s: %zu instructions, %u system calls; %u kills, %u of them on another "
		      "way; %u times it was as before, %u times as asked for; nothing found\n",
		s->name, is_frozen ? ", broker frozen" : "", trail.n,
		trail.place[trail.n - 1].n_calls, n.n_kills, n.n_lost, n.n_old, n.n_new);
	trail_forget(&trail);
	/* Else it was not the stretch that it is meant to be. */
	assert_true(n.n_old && n.n_new);
}

/* --- the stretches ---------------------------------------------------------------------------- */

static const struct stretch stretches[] = {
	{"attach", OLD, OLD, NULL, attach, TALKS, 's'},
	{"open a lane", OLD, OLD, NULL, get, TALKS, 's'},
	{"ping", OLD, OLD, ping, ping, ASKS, 's'},
	{"put", 0, NEW, ping, put, ASKS, 's'},
	{"replace", OLD, NEW, ping, put, ASKS, 's'},
	{"put in pieces", OLD, NEW, attach_stager_and_ping, put, SENDS, 's'},
	{"touch", OLD, OLD, ping, touch, ASKS, 's'},
	{"delete", OLD, 0, ping, delete, ASKS, 's'},
	{"hold", OLD, OLD, get_and_release, get, READS, 's'},
	{"release", OLD, OLD, get, release, READS, 's'},
	{"reserve", OLD, OLD, ping, reserve, ASKS, 's'},
	{"fill and commit", OLD, NEW, ping_and_reserve, fill_and_commit, ASKS, 's'},
	{"abort", OLD, OLD, ping_and_reserve, abort_it, ASKS, 's'},
	{"pin", OLD, OLD, ping, pin, ASKS, 's'},
	{"unpin", OLD, OLD, pin, unpin, ASKS, 's'},
	{"detach", OLD, OLD, have_everything, detach, TALKS, 's'},
	{"fetch, published", 0, DOUBLE_VERSION, ping, fetch, WAITS, 'p'},
	{"fetch, delivered", 0, 0, ping, fetch, WAITS, 'd'},
	{"fetch, delivered again", 0, 0, fetch_and_release, fetch_and_release, WAITS, 'd'},
	{"fetch, gone and asked again", 0, 0, ping, fetch, WAITS, 'v'},
	{"fetch, never answered", 0, 0, ping, fetch_in_vain, WAITS, 'n'},
	{"fetch by a queue", 0, 0, open_queue, fetch_by_queue, WAITS, 'd'},
	{"release what was fetched", 0, 0, fetch, release, READS, 'd'},
	{"detach with fetches out", 0, 0, have_fetched, detach, TALKS, 'n'},
};

static void test_running(void **state)
{
	play_all(*state, false);
}

static void test_frozen(void **state)
{
	play_all(*state, true);
}

int main(int argc, char **argv)
{
	enum { N = sizeof(stretches) / sizeof(stretches[0]) };
	struct CMUnitTest tests[2 * N];
	char name[2 * N][64];
	size_t i, n = 0;

	host_begin(argv);
	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	for (i = 0; i < 2 * N; i++) {
		if (i >= N && !is_frozen_too(&stretches[i - N]))
			continue;
		snprintf(name[n], sizeof(name[n]), "%s%s", stretches[i % N].name,
			i < N ? "" : ", broker frozen");
		tests[n] = (struct CMUnitTest){name[n], i < N ? test_running : test_frozen,
			host_ready, host_over, (void *)&stretches[i % N]};
		n++;
	}
	return _cmocka_run_group_tests("step-clients", tests, n, host_setup, host_teardown);
}
