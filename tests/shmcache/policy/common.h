/* SPDX-License-Identifier: Apache-2.0 */
/* common.h - what the tests of the policies share. */
#ifndef TESTS_POLICY_COMMON_H
#define TESTS_POLICY_COMMON_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "shmcache/policy/policy.h"

/* S. Vigna's splitmix64: any seed is a good one. */
static inline uint64_t test_random(uint64_t *state)
{
	uint64_t x = *state += UINT64_C(0x9e3779b97f4a7c15);

	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

static inline uint64_t test_hash(uint64_t key)
{
	return test_random(&key);
}

/* POLICY_TEST_SEED repeats a run. */
static inline uint64_t test_seed(void)
{
	const char *s = getenv("POLICY_TEST_SEED");
	uint64_t seed = s ? strtoull(s, NULL, 0) : 20231023;

	print_message("seed %llu\n", (unsigned long long)seed);
	return seed;
}

static inline struct policy *test_new(const char *name, uint64_t capacity, uint32_t n)
{
	struct policy *p = NULL;

	assert_int_equal(policy_new(&p, name, capacity, n), 0);
	assert_string_equal(policy_name(p), name);
	return p;
}

static inline void test_put(
	struct policy *p, uint32_t id, uint64_t key, uint64_t size, uint8_t priority)
{
	policy_insert(p, id,
		&(struct policy_entry){
			.hash = test_hash(key), .size = size, .priority = priority});
	assert_true(policy_resident(p, id));
}

/* Evict the victim and say who it was. */
static inline uint32_t test_pop(struct policy *p)
{
	uint32_t id = policy_victim(p, NULL);

	/* asked again, it names the same */
	assert_int_equal(policy_victim(p, NULL), id);
	assert_true(!id || policy_resident(p, id));
	policy_evict(p, id);
	assert_false(policy_resident(p, id));
	return id;
}

/*
 * A cache of n entries of equal size over keys below n_keys, for hit ratios.
 * Ids are handed out from 1, those of evicted entries again.
 */
struct test_cache {
	struct policy *policy;
	uint32_t *id_of;  /* by key */
	uint32_t *key_of; /* by id */
	uint32_t n, n_max;
	uint64_t n_hits, n_reads;
};

enum { TEST_SIZE = 4096 };

static inline void test_cache_init(
	struct test_cache *c, const char *name, uint32_t n_max, uint32_t n_keys)
{
	*c = (struct test_cache){
		.policy = test_new(name, (uint64_t)n_max * TEST_SIZE, n_max + 1),
		.id_of = calloc(n_keys, sizeof(uint32_t)),
		.key_of = calloc(n_max + 1, sizeof(uint32_t)),
		.n_max = n_max,
	};
	assert_non_null(c->id_of);
	assert_non_null(c->key_of);
}

static inline void test_cache_deinit(struct test_cache *c)
{
	policy_free(c->policy);
	free(c->id_of);
	free(c->key_of);
}

static inline bool test_cache_read(struct test_cache *c, uint32_t key)
{
	struct policy_entry e = {.hash = test_hash(key), .size = TEST_SIZE};
	uint32_t id = c->id_of[key];

	c->n_reads++;
	if (id) {
		c->n_hits++;
		policy_hit(c->policy, id);
		return true;
	}
	if (c->n < c->n_max) {
		id = ++c->n;
	} else {
		id = policy_victim(c->policy, &e);
		assert_in_range(id, 1, c->n_max);
		policy_evict(c->policy, id);
		c->id_of[c->key_of[id]] = 0;
	}
	policy_insert(c->policy, id, &e);
	c->id_of[key] = id;
	c->key_of[id] = key;
	return false;
}

static inline double test_cache_ratio(const struct test_cache *c)
{
	return (double)c->n_hits / (double)c->n_reads;
}

#endif
