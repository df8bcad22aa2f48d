/* SPDX-License-Identifier: Apache-2.0 */
/* endurance-client.c: one client of the long run: so much of the cache, so much of the machine. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "clients/shmcache.h"
#include "tests/soak/endurance.h"
#include "tests/soak/mix.h"

/*
 * A client works in turns: changes and look-ups, then a fixed piece of work that has nothing to do
 * with the cache and uses of the machine what the cache uses: copies, look-ups that miss the
 * processor's caches, and messages to and fro with another thread. What the machine gives varies
 * from minute to minute, and for both alike; their ratio is what can be compared over an hour.
 *
 * Only calls are timed, not the making and checking of values.
 */
#define N_CHANGES 16
#define N_GETS 64
#define N_KEPT 8
#define TIMEOUT_MS 120000
#define COPY_SIZE (1U << 20)
#define CHASE_WORDS (1U << 20)
#define CHASE_STEPS 8000
#define N_ECHOES 8

struct client {
	struct endurance *run;
	struct shmc *cache;
	uint64_t random, life, n_versions;
	struct endurance_window turn; /* of this turn alone */
	struct shmc_view kept[N_KEPT];
	uint64_t kept_key[N_KEPT];
	uint8_t *value, *from, *to;
	uint32_t *chase, at;
	int echo;
	uint64_t begin_ns, begin_cpu_ns;
};

uint64_t endurance_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static uint64_t cpu_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void clock_begin(struct client *c)
{
	c->begin_cpu_ns = cpu_now();
	c->begin_ns = endurance_now();
}

static void clock_end(struct client *c, _Atomic uint64_t *ns, _Atomic uint64_t *cpu_ns)
{
	*ns += endurance_now() - c->begin_ns;
	*cpu_ns += cpu_now() - c->begin_cpu_ns;
}

static void check(struct client *c, const struct shmc_view *view, uint64_t key)
{
	uint64_t version;

	if (value_is(view->data, view->size, key, &version))
		return;
	fprintf(stderr, "seed %llu, client %llu: wrong bytes under key %llu\n",
		(unsigned long long)c->run->seed, (unsigned long long)c->life,
		(unsigned long long)key);
	atomic_fetch_add(&c->run->n_wrong, 1);
}

static void expect(struct client *c, const char *what, int r)
{
	if (r == SHMC_NOSPACE)
		c->turn.n_nospace++;
	else if (r && r != SHMC_MISS) {
		fprintf(stderr, "seed %llu, client %llu: %s: %s\n",
			(unsigned long long)c->run->seed, (unsigned long long)c->life, what,
			shmc_strerror(r));
		atomic_fetch_add(&c->run->n_wrong, 1);
		_exit(1);
	}
}

/* --- the cache -------------------------------------------------------------------------------- */

static int fill_in_place(struct client *c, const char *key, size_t key_size, size_t size)
{
	struct shmc_reservation block;
	int r = shmc_reserve(c->cache, key, key_size, size, NULL, &block, TIMEOUT_MS);

	if (r)
		return r;
	memcpy(block.data, c->value, size);
	return shmc_commit(c->cache, &block, TIMEOUT_MS);
}

static void change(struct client *c, uint64_t number)
{
	unsigned kind = mix_any(&c->random, 10);
	size_t size = mix_size(&c->random);
	char key[VALUE_KEY_MAX];
	size_t key_size = value_key(ENDURANCE_PREFIX, number, key);
	int r = 0;

	value_make(c->value, size, number, ++c->n_versions << 24 | c->life);
	clock_begin(c);
	if (kind == 0)
		r = shmc_delete(c->cache, key, key_size, TIMEOUT_MS);
	if (r == 0 || r == SHMC_MISS)
		r = kind <= 2 ? fill_in_place(c, key, key_size, size)
			      : shmc_put(c->cache, key, key_size, c->value, size, NULL, TIMEOUT_MS);
	clock_end(c, &c->turn.ops_ns, &c->turn.ops_cpu_ns);
	expect(c, "change", r);
	c->turn.n_ops += 1 + (kind <= 2);
	c->turn.n_bytes += size;
}

/* A view is kept for some turns, whatever becomes of the entry. */
static void keep(struct client *c, struct shmc_view *view, uint64_t key)
{
	unsigned i = mix_any(&c->random, N_KEPT);

	if (c->kept[i].data)
		check(c, &c->kept[i], c->kept_key[i]);
	shmc_release(c->cache, &c->kept[i]);
	c->kept[i] = *view;
	c->kept_key[i] = key;
	view->data = NULL;
}

static void look_up(struct client *c)
{
	uint64_t number[N_GETS], missed[N_GETS];
	char key[N_GETS][VALUE_KEY_MAX];
	size_t key_size[N_GETS];
	struct shmc_view view[N_GETS];
	unsigned i, n_missed = 0;
	int r[N_GETS];

	for (i = 0; i < N_GETS; i++) {
		number[i] = mix_any(&c->random, (unsigned)c->run->n_keys);
		key_size[i] = value_key(ENDURANCE_PREFIX, number[i], key[i]);
	}
	clock_begin(c);
	for (i = 0; i < N_GETS; i++)
		r[i] = shmc_get(c->cache, key[i], key_size[i], &view[i]);
	clock_end(c, &c->turn.ops_ns, &c->turn.ops_cpu_ns);
	for (i = 0; i < N_GETS; i++) {
		expect(c, "get", r[i]);
		if (r[i]) {
			missed[n_missed++] = number[i];
			continue;
		}
		check(c, &view[i], number[i]);
		if (i == 0)
			keep(c, &view[i], number[i]);
		if (view[i].data)
			shmc_release(c->cache, &view[i]);
	}
	c->turn.n_ops += N_GETS;
	c->turn.n_gets += N_GETS;
	c->turn.n_misses += n_missed;
	/* What was evicted comes back, as the callers of a cache do it. */
	for (i = 0; i < n_missed; i++)
		change(c, missed[i]);
}

/* --- the machine ------------------------------------------------------------------------------ */

static void *echo_main(void *context)
{
	int fd = *(int *)context;
	char byte;

	while (read(fd, &byte, 1) == 1 && write(fd, &byte, 1) == 1)
		;
	return NULL;
}

static void reference_open(struct client *c)
{
	static int fds[2];
	pthread_t thread;
	uint32_t i, j, word;

	c->from = malloc(COPY_SIZE);
	c->to = malloc(COPY_SIZE);
	c->chase = malloc(CHASE_WORDS * sizeof(*c->chase));
	if (!c->from || !c->to || !c->chase || socketpair(AF_UNIX, SOCK_STREAM, 0, fds) ||
		pthread_create(&thread, NULL, echo_main, &fds[1]))
		_exit(1);
	c->echo = fds[0];
	memset(c->from, 1, COPY_SIZE);
	/* One ring through all words: Sattolo. */
	for (i = 0; i < CHASE_WORDS; i++)
		c->chase[i] = i;
	for (i = CHASE_WORDS - 1; i; i--) {
		j = mix_any(&c->random, i);
		word = c->chase[i];
		c->chase[i] = c->chase[j];
		c->chase[j] = word;
	}
}

static void reference(struct client *c)
{
	char byte = 0;
	unsigned i;

	clock_begin(c);
	memcpy(c->to, c->from, COPY_SIZE);
	c->from[c->at % COPY_SIZE] = c->to[(c->at + 1) % COPY_SIZE];
	for (i = 0; i < CHASE_STEPS; i++)
		c->at = c->chase[c->at];
	for (i = 0; i < N_ECHOES; i++)
		if (write(c->echo, &byte, 1) != 1 || read(c->echo, &byte, 1) != 1)
			_exit(1);
	clock_end(c, &c->turn.reference_ns, &c->turn.reference_cpu_ns);
	c->turn.n_reference++;
}

/* --- a life ----------------------------------------------------------------------------------- */

static void add(_Atomic uint64_t *to, uint64_t n)
{
	atomic_fetch_add_explicit(to, n, memory_order_relaxed);
}

static void tell(struct client *c)
{
	uint64_t begin_ns = c->run->begin_ns;
	uint64_t at = begin_ns ? (endurance_now() - begin_ns) / c->run->window_ns : UINT64_MAX;
	struct endurance_window *t = &c->turn, *w;

	w = &c->run->window[at < c->run->n_windows ? at : ENDURANCE_WINDOWS];
	add(&w->n_ops, t->n_ops);
	add(&w->n_bytes, t->n_bytes);
	add(&w->ops_ns, t->ops_ns);
	add(&w->ops_cpu_ns, t->ops_cpu_ns);
	add(&w->n_reference, t->n_reference);
	add(&w->reference_ns, t->reference_ns);
	add(&w->reference_cpu_ns, t->reference_cpu_ns);
	add(&w->n_gets, t->n_gets);
	add(&w->n_misses, t->n_misses);
	add(&w->n_nospace, t->n_nospace);
	add(&w->n_lives, t->n_lives);
	memset(t, 0, sizeof(*t));
}

static _Noreturn void end(struct client *c)
{
	struct shmc_reservation block;

	switch (c->life % 3) {
	case 0:
		shmc_detach(c->cache);
		_exit(0);
	case 1: /* without a word, views held */
		_exit(0);
	default: /* in the middle of a put */
		(void)shmc_reserve(c->cache, "open", 4, 1 << 20, NULL, &block, TIMEOUT_MS);
		raise(SIGKILL);
		_exit(1);
	}
}

_Noreturn void endurance_client(struct endurance *run, uint64_t life)
{
	struct client c = {.run = run, .life = life, .random = run->seed * 1000003 + life};
	unsigned n_turns, i, j;

	n_turns = 100 + mix_any(&c.random, 1500);
	c.value = malloc(MIX_SIZE_MAX);
	if (!c.value)
		_exit(1);
	reference_open(&c);
	expect(&c, "attach", shmc_attach(&c.cache, run->name,
		&(struct shmc_attach_options){.timeout_ms = TIMEOUT_MS}));
	c.turn.n_lives = 1;
	for (i = 0; i < n_turns; i++) {
		for (j = 0; j < N_CHANGES; j++)
			change(&c, mix_any(&c.random, (unsigned)run->n_keys));
		look_up(&c);
		reference(&c);
		tell(&c);
	}
	end(&c);
}
