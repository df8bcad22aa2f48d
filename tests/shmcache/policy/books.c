// SPDX-License-Identifier: Apache-2.0
/* books.c - what holds of every policy: residency, mixed sizes, memory. */
#include <string.h>

#include "tests/shmcache/policy/common.h"

enum { N_IDS = 2000, N_OPS = 200000 };
#define GIB (UINT64_C(1) << 30)

/* 64 B to 1 GiB, each octave as likely as any other. */
static uint64_t mixed_size(uint64_t *seed)
{
	uint64_t low = UINT64_C(64) << test_random(seed) % 24;

	return low + test_random(seed) % (low + 1);
}

struct world {
	uint64_t size[N_IDS]; /* 0: not resident */
	uint64_t used;
	unsigned n;
};

static void gone(struct world *w, uint32_t id)
{
	assert_true(w->size[id] > 0);
	w->used -= w->size[id];
	w->size[id] = 0;
	w->n--;
}

static uint32_t free_id(const struct world *w, uint64_t *seed)
{
	uint32_t id;

	do
		id = 1 + (uint32_t)(test_random(seed) % (N_IDS - 1));
	while (w->size[id]);
	return id;
}

static void mixed_put(struct policy *p, struct world *w, uint64_t *seed)
{
	struct policy_entry e = {
		.hash = test_hash(test_random(seed) % 5000),
		.size = mixed_size(seed),
		.group = test_random(seed) % 4,
		.position = (uint32_t)test_random(seed) % 100,
		.priority = test_random(seed) % 8 ? 0 : (uint8_t)test_random(seed),
	};
	uint32_t id;

	while (w->used + e.size > 4 * GIB || w->n > N_IDS / 2) {
		id = policy_victim(p, &e);
		assert_in_range(id, 1, N_IDS - 1);
		assert_true(w->size[id] > 0);
		assert_int_equal(policy_victim(p, &e), id);
		policy_evict(p, id);
		gone(w, id);
	}
	id = free_id(w, seed);
	policy_insert(p, id, &e);
	w->size[id] = e.size;
	w->used += e.size;
	w->n++;
}

static void mixed_step(struct policy *p, struct world *w, uint64_t *seed)
{
	uint32_t id = (uint32_t)(test_random(seed) % (N_IDS + 10));
	bool resident = id < N_IDS && w->size[id];

	assert_int_equal(policy_resident(p, id), resident);
	switch (test_random(seed) % 16) {
	case 0:
		policy_remove(p, id);
		break;
	case 1: /* any resident id may be evicted */
		policy_evict(p, id);
		break;
	case 2:
	case 3:
	case 4:
	case 5:
	case 6:
		mixed_put(p, w, seed);
		return;
	default:
		policy_hit(p, id);
		return;
	}
	if (resident)
		gone(w, id);
}

static void test_mixed(void **state)
{
	for (unsigned i = 0; policy_names(i); i++) {
		struct world *w = calloc(1, sizeof(*w));
		uint64_t seed = test_seed();
		struct policy *p = test_new(policy_names(i), 4 * GIB, N_IDS);

		(void)state;
		assert_non_null(w);
		for (unsigned op = 0; op < N_OPS; op++)
			mixed_step(p, w, &seed);
		/* all that is left comes out, each once */
		while (w->n)
			gone(w, test_pop(p));
		assert_int_equal(policy_victim(p, NULL), 0);
		assert_int_equal(w->used, 0);
		policy_free(p);
		free(w);
	}
}

/* Bytes of books per resident entry, beside what any policy has. */
static uint64_t books_allowed(const char *name, uint64_t n)
{
	if (!strcmp(name, "lru") || !strcmp(name, "clock"))
		return 20 * n + 65536;
	if (!strcmp(name, "gittins")) /* 20 + 2, and 1 / 4 of slack in the memo */
		return 45 * n / 2 + 32768 * 18 + 65536;
	return 20 * n + 32 * n + 65536; /* as many ghosts, with their buckets */
}

static void test_memory(void **state)
{
	enum { N = 200000 };

	(void)state;
	for (unsigned i = 0; policy_names(i); i++) {
		uint64_t seed = test_seed(), books;
		struct test_cache c;

		test_cache_init(&c, policy_names(i), N, 4 * N);
		for (uint32_t op = 0; op < 6 * N; op++)
			test_cache_read(&c, (uint32_t)(test_random(&seed) % (4 * N)));
		books = policy_books_size(c.policy);
		print_message(
			"%s: %.1f B per entry\n", policy_names(i), (double)books / N);
		assert_in_range(books, 20 * N, books_allowed(policy_names(i), N));
		test_cache_deinit(&c);
	}
}

/* A sparse space of ids costs what is used of it. */
static void test_sparse(void **state)
{
	(void)state;
	for (unsigned i = 0; policy_names(i); i++) {
		struct policy *p = test_new(policy_names(i), GIB, UINT32_C(1) << 28);

		test_put(p, 1, 1, 64, 0);
		test_put(p, (UINT32_C(1) << 28) - 1, 2, 64, 0);
		assert_true(policy_books_size(p) < 8 << 20);
		assert_int_equal(test_pop(p), 1);
		assert_int_equal(test_pop(p), (UINT32_C(1) << 28) - 1);
		policy_free(p);
	}
}

/* Sizes past what the books can tell are clamped, and come out again. */
static void test_huge(void **state)
{
	(void)state;
	for (unsigned i = 0; policy_names(i); i++) {
		struct policy *p = test_new(policy_names(i), UINT64_MAX / 2, 10);

		for (uint32_t id = 1; id < 10; id++)
			test_put(p, id, id, UINT64_C(1) << 60, 0);
		for (uint32_t id = 1; id < 10; id++)
			assert_int_not_equal(test_pop(p), 0);
		assert_int_equal(test_pop(p), 0);
		policy_free(p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mixed),
		cmocka_unit_test(test_memory),
		cmocka_unit_test(test_sparse),
		cmocka_unit_test(test_huge),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
