// SPDX-License-Identifier: Apache-2.0
/*
 * model.c - LRU, CLOCK, S3-FIFO and ARC against naive models of themselves.
 *
 * A model keeps whole keys in plain arrays, looks everything up by walking,
 * and counts bytes by adding them up each time.  It follows the papers' order
 * of steps, not ours.  Random operations with random sizes go to both; each
 * victim has to be the same.  Hashes are unique here, so that no collision of
 * ghosts can make them differ.
 */
#include <string.h>

#include "tests/shmcache/policy/common.h"

enum { N_IDS = 300, N_KEYS = 700, N_OPS = 60000, CAPACITY = 400000, LIST_MAX = 4096 };

struct item {
	uint32_t key, id;
	uint64_t size;
	unsigned freq;
};

struct list {
	struct item at[LIST_MAX]; /* oldest first */
	unsigned n;
};

struct model {
	struct list list[4];
	uint64_t p;
};

enum { A, B, GA, GB }; /* T1 T2 B1 B2; S M G -; the others use A */

static uint64_t bytes(const struct list *l)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < l->n; i++)
		sum += l->at[i].size;
	return sum;
}

static void add(struct list *l, struct item x)
{
	assert_true(l->n < LIST_MAX);
	l->at[l->n++] = x;
}

static struct item take(struct list *l, unsigned i)
{
	struct item x = l->at[i];

	assert_true(i < l->n);
	l->n--;
	memmove(&l->at[i], &l->at[i + 1], (l->n - i) * sizeof(x));
	return x;
}

static int by_key(const struct list *l, uint32_t key)
{
	for (unsigned i = 0; i < l->n; i++) {
		if (l->at[i].key == key)
			return (int)i;
	}
	return -1;
}

static int by_id(const struct list *l, uint32_t id)
{
	for (unsigned i = 0; i < l->n; i++) {
		if (l->at[i].id == id)
			return (int)i;
	}
	return -1;
}

struct rules {
	const char *name;
	void (*hit)(struct model *m, unsigned list, unsigned i);
	/* the paper's whole step: make room for x, then take it in */
	uint32_t (*room)(struct model *m, const struct item *x);
	void (*insert)(struct model *m, struct item x);
};

static void lru_hit(struct model *m, unsigned list, unsigned i)
{
	add(&m->list[A], take(&m->list[list], i));
}

static uint32_t lru_room(struct model *m, const struct item *x)
{
	(void)x;
	return take(&m->list[A], 0).id;
}

static void lru_insert(struct model *m, struct item x)
{
	add(&m->list[A], x);
}

static void clock_hit(struct model *m, unsigned list, unsigned i)
{
	m->list[list].at[i].freq = 1;
}

static uint32_t clock_room(struct model *m, const struct item *x)
{
	struct item y;

	(void)x;
	for (;;) {
		y = take(&m->list[A], 0);
		if (!y.freq)
			return y.id;
		y.freq = 0;
		add(&m->list[A], y);
	}
}

static void s3_hit(struct model *m, unsigned list, unsigned i)
{
	if (m->list[list].at[i].freq < 3)
		m->list[list].at[i].freq++;
}

static uint32_t s3_room(struct model *m, const struct item *x)
{
	struct item y;

	(void)x;
	for (;;) {
		if (m->list[A].n &&
			(bytes(&m->list[A]) >= CAPACITY / 10 || !m->list[B].n)) {
			y = take(&m->list[A], 0);
			if (y.freq > 1) {
				y.freq = 0;
				add(&m->list[B], y);
				continue;
			}
			add(&m->list[GA], y);
			while (bytes(&m->list[GA]) > CAPACITY - CAPACITY / 10)
				take(&m->list[GA], 0);
			return y.id;
		}
		y = take(&m->list[B], 0);
		if (!y.freq)
			return y.id;
		y.freq--;
		add(&m->list[B], y);
	}
}

static void s3_insert(struct model *m, struct item x)
{
	int ghost = by_key(&m->list[GA], x.key);

	if (ghost >= 0)
		take(&m->list[GA], (unsigned)ghost);
	add(&m->list[ghost >= 0 ? B : A], x);
}

static void arc_hit(struct model *m, unsigned list, unsigned i)
{
	add(&m->list[B], take(&m->list[list], i));
}

static uint64_t arc_target(const struct model *m, const struct item *x)
{
	uint64_t b1 = bytes(&m->list[GA]), b2 = bytes(&m->list[GB]), step;

	if (by_key(&m->list[GA], x->key) >= 0) {
		step = x->size * (b2 / b1 ? b2 / b1 : 1);
		return m->p + step > CAPACITY ? CAPACITY : m->p + step;
	}
	if (by_key(&m->list[GB], x->key) >= 0) {
		step = x->size * (b1 / b2 ? b1 / b2 : 1);
		return m->p > step ? m->p - step : 0;
	}
	return m->p;
}

/* Adapts and replaces; several times for one newcomer, adapting only once. */
static uint32_t arc_room(struct model *m, const struct item *x)
{
	uint64_t t1 = bytes(&m->list[A]);
	bool in_b2 = by_key(&m->list[GB], x->key) >= 0;
	bool from_t1 =
		m->list[A].n && (!m->list[B].n || t1 > m->p || (in_b2 && t1 == m->p));
	struct item y = take(&m->list[from_t1 ? A : B], 0);

	add(&m->list[from_t1 ? GA : GB], y);
	return y.id;
}

static void arc_insert(struct model *m, struct item x)
{
	bool known = false;

	for (unsigned l = GA; l <= GB; l++) {
		int i = by_key(&m->list[l], x.key);

		if (i >= 0) {
			take(&m->list[l], (unsigned)i);
			known = true;
		}
	}
	add(&m->list[known ? B : A], x);
	while (m->list[GA].n && bytes(&m->list[A]) + bytes(&m->list[GA]) > CAPACITY)
		take(&m->list[GA], 0);
	while (m->list[GB].n && bytes(&m->list[A]) + bytes(&m->list[B]) +
						bytes(&m->list[GA]) +
						bytes(&m->list[GB]) >
					2 * CAPACITY)
		take(&m->list[GB], 0);
}

struct run {
	struct policy *p;
	struct model m;
	const struct rules *rules;
	bool is_arc;
	bool equal_sizes; /* so that bounds are met exactly, too */
	uint64_t seed;
	unsigned n_evicted;
};

static uint64_t used(const struct run *r)
{
	return bytes(&r->m.list[A]) + bytes(&r->m.list[B]);
}

static bool find(struct run *r, uint32_t key, unsigned *list, unsigned *i)
{
	for (*list = A; *list <= B; (*list)++) {
		int at = by_key(&r->m.list[*list], key);

		if (at >= 0) {
			*i = (unsigned)at;
			return true;
		}
	}
	return false;
}

static void miss(struct run *r, uint32_t key)
{
	static const unsigned sizes[] = {64, 100, 4096, 777, 15000};
	struct item x = {.key = key};
	struct policy_entry e = {.hash = test_hash(key)};

	e.size = x.size = r->equal_sizes ? 4000 : sizes[test_random(&r->seed) % 5];
	if (r->is_arc)
		r->m.p = arc_target(&r->m, &x);
	while (used(r) + x.size > CAPACITY) {
		uint32_t want = r->rules->room(&r->m, &x);

		assert_int_equal(policy_victim(r->p, &e), want);
		policy_evict(r->p, want);
		assert_false(policy_resident(r->p, want));
		r->n_evicted++;
	}
	do
		x.id = 1 + (uint32_t)(test_random(&r->seed) % (N_IDS - 1));
	while (policy_resident(r->p, x.id));
	r->rules->insert(&r->m, x);
	policy_insert(r->p, x.id, &e);
}

static void step(struct run *r)
{
	uint64_t roll = test_random(&r->seed) % 100;
	/* half of the traffic on a tenth of the keys */
	uint32_t key =
		(uint32_t)(test_random(&r->seed) % (roll % 2 ? N_KEYS / 10 : N_KEYS));
	unsigned list, i;

	if (!find(r, key, &list, &i)) {
		miss(r, key);
	} else if (roll < 5) {
		policy_remove(r->p, take(&r->m.list[list], i).id);
	} else {
		uint32_t id = r->m.list[list].at[i].id;

		r->rules->hit(&r->m, list, i);
		policy_hit(r->p, id);
	}
	/* noise: hits and removals of whoever is not there */
	uint32_t id = (uint32_t)(test_random(&r->seed) % (N_IDS + 20));
	if (by_id(&r->m.list[A], id) < 0 && by_id(&r->m.list[B], id) < 0) {
		assert_false(policy_resident(r->p, id));
		policy_hit(r->p, id);
		policy_remove(r->p, id);
		policy_evict(r->p, id);
	}
}

static void run_sizes(const struct rules *rules, bool equal_sizes)
{
	struct run *r = calloc(1, sizeof(*r));

	assert_non_null(r);
	r->rules = rules;
	r->equal_sizes = equal_sizes;
	r->is_arc = rules->room == arc_room;
	r->seed = test_seed();
	r->p = test_new(rules->name, CAPACITY, N_IDS);
	for (unsigned i = 0; i < N_OPS; i++)
		step(r);
	assert_true(r->n_evicted > N_OPS / 20);
	policy_free(r->p);
	free(r);
}

static void run(const struct rules *rules)
{
	run_sizes(rules, false);
	run_sizes(rules, true);
}

static void test_lru(void **state)
{
	(void)state;
	run(&(struct rules){"lru", lru_hit, lru_room, lru_insert});
}

static void test_clock(void **state)
{
	(void)state;
	run(&(struct rules){"clock", clock_hit, clock_room, lru_insert});
}

static void test_s3fifo(void **state)
{
	(void)state;
	run(&(struct rules){"s3fifo", s3_hit, s3_room, s3_insert});
}

static void test_arc(void **state)
{
	(void)state;
	run(&(struct rules){"arc", arc_hit, arc_room, arc_insert});
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lru),
		cmocka_unit_test(test_clock),
		cmocka_unit_test(test_s3fifo),
		cmocka_unit_test(test_arc),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
