// SPDX-License-Identifier: Apache-2.0
/* replay.c - the trace readers, the replay itself and Belady's bound. */
#include <endian.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "bench/replay-run.h"
#include "shmcache/policy/policy.h"

static char *file_make(const void *content, size_t size, const char *suffix)
{
	char *path;
	int fd;

	assert_true(asprintf(&path, "/tmp/replay-test-XXXXXX%s", suffix) > 0);
	fd = mkstemps(path, (int)strlen(suffix));
	assert_true(fd >= 0);
	assert_int_equal(write(fd, content, size), (ssize_t)size);
	close(fd);
	return path;
}

static int load(struct trace *t, const void *content, size_t size, const char *suffix,
	struct trace_error *error)
{
	char *path = file_make(content, size, suffix);
	int r = trace_load(t, path, TRACE_GUESS, 0, error);

	if (r) /* whatever is wrong, the file is named */
		assert_ptr_equal(strstr(error->text, path), error->text);
	unlink(path);
	free(path);
	return r;
}

static void jsonl_fails(const char *text, const char *where)
{
	struct trace_error error = {0};
	struct trace t = {0};

	assert_int_equal(load(&t, text, strlen(text), ".jsonl", &error), -EINVAL);
	if (!strstr(error.text, where))
		fail_msg("'%s' is not in '%s'", where, error.text);
	assert_null(t.reads);
}

static void test_jsonl(void **state)
{
	static const char text[] =
		"{\"timestamp\": 0, \"input_length\": 9, \"output_length\": 5, "
		"\"hash_ids\": [7, 8, 18446744073709551615]}\n"
		"{\"hash_ids\":[],\"timestamp\":1}\n"
		"  {\"hash_ids\" : [ 8 ]}"; /* no newline at the end */
	struct trace_error error = {0};
	struct trace t;

	(void)state;
	assert_int_equal(load(&t, text, strlen(text), ".jsonl", &error), 0);
	assert_int_equal(t.n_reads, 4);
	assert_int_equal(t.n_keys, 3);
	assert_true(t.chained);
	assert_int_equal(t.reads[1].key, t.reads[3].key);
	assert_int_not_equal(t.reads[0].key, t.reads[2].key);
	assert_int_equal(t.reads[2].position, 2);
	assert_int_equal(t.reads[2].group, 1);
	assert_int_equal(t.reads[3].position, 0);
	assert_int_equal(t.reads[3].group, 3);
	assert_int_equal(t.reads[3].size, TRACE_BLOCK_SIZE);
	trace_free(&t);
	/* by content, where the name says nothing */
	assert_int_equal(load(&t, text, strlen(text), ".txt", &error), 0);
	assert_int_equal(t.n_reads, 4);
	trace_free(&t);
}

static void test_jsonl_bad(void **state)
{
	(void)state;
	jsonl_fails("{\"hash_ids\": [1]}\njunk\n", ":2: column 1: expected '{'");
	jsonl_fails("{\"hash_ids\": [1]}\n\n", ":2: column 2: expected '{'");
	jsonl_fails("{\"hash_ids\": [1, ]}\n", ":1: column 18: expected a whole number");
	jsonl_fails("{\"hash_ids\": [1 2]}\n", ":1: column 17: expected ',' or ']'");
	jsonl_fails("{\"hash_ids\": [-1]}\n", "a whole number");
	jsonl_fails("{\"hash_ids\": [1.5]}\n", "a whole number");
	jsonl_fails("{\"hash_ids\": [01]}\n", "a whole number");
	jsonl_fails("{\"hash_ids\": [1e3]}\n", "',' or ']'");
	jsonl_fails("{\"hash_ids\": [18446744073709551616]}\n", "below 2^64");
	jsonl_fails("{\"timestamp\": 1}\n", "expected a member hash_ids");
	jsonl_fails("{\"hash_ids\": [1]} x\n", "the end of the line");
	jsonl_fails("{\"hash_ids\": [1], \"hash_ids\": [2]}\n", "only once");
	jsonl_fails("{\"hash_ids\": [1], \"type\": \"x\"}\n", "a whole number");
	jsonl_fails("{\"hash_ids\": [1", ":1: column 16: expected ',' or ']'");
	jsonl_fails("{\"hash_ids", "the end of a name");
	jsonl_fails("{\"hash_ids\": []}\n", "no reads");
	jsonl_fails("", "no reads");
}

static void test_jsonl_zero_byte(void **state)
{
	static const char text[] = "{\"hash_ids\": [1]}\0}\n";
	struct trace_error error = {0};
	struct trace t = {0};

	(void)state;
	assert_int_equal(load(&t, text, sizeof(text) - 1, ".jsonl", &error), -EINVAL);
	assert_non_null(strstr(error.text, "zero bytes"));
}

struct record {
	uint32_t time;
	uint64_t id;
	uint32_t size;
	int64_t next;
};

static void encode(unsigned char *raw, const struct record *x)
{
	uint32_t time = htole32(x->time), size = htole32(x->size);
	uint64_t id = htole64(x->id), next = htole64((uint64_t)x->next);

	memcpy(raw, &time, 4);
	memcpy(raw + 4, &id, 8);
	memcpy(raw + 12, &size, 4);
	memcpy(raw + 16, &next, 8);
}

static const struct record records[] = {
	{0, UINT64_C(0xfedcba9876543210), 100, 3},
	{0, 1, UINT32_MAX, -1},
	{5, 2, 0, INT64_MAX},
	{6, UINT64_C(0xfedcba9876543210), 200, INT64_MAX},
};
enum { N_RECORDS = 4, RAW_SIZE = N_RECORDS * TRACE_ORACLE_RECORD_SIZE };

static void encode_all(unsigned char *raw, const struct record *x)
{
	for (unsigned i = 0; i < N_RECORDS; i++)
		encode(raw + i * TRACE_ORACLE_RECORD_SIZE, &x[i]);
}

static void test_oracle(void **state)
{
	/* byte by byte what libCacheSim writes for the first record */
	static const unsigned char first[TRACE_ORACLE_RECORD_SIZE] = {0, 0, 0, 0, 0x10,
		0x32, 0x54, 0x76, 0x98, 0xba, 0xdc, 0xfe, 100, 0, 0, 0, 3};
	unsigned char raw[RAW_SIZE];
	struct trace_error error = {0};
	struct trace t;

	(void)state;
	encode_all(raw, records);
	assert_memory_equal(raw, first, sizeof(first));
	assert_int_equal(load(&t, raw, sizeof(raw), "", &error), 0);
	assert_int_equal(t.n_reads, 3);
	assert_int_equal(t.n_skipped, 1);
	assert_int_equal(t.n_keys, 2);
	assert_false(t.chained);
	assert_int_equal(t.reads[0].key, t.reads[2].key);
	assert_int_equal(t.reads[0].size, 100);
	assert_int_equal(t.reads[1].size, UINT32_MAX);
	assert_int_equal(t.reads[2].size, 200);
	trace_free(&t);
}

static void oracle_fails(const void *raw, size_t size, const char *where)
{
	struct trace_error error = {0};
	struct trace t = {0};

	assert_int_equal(load(&t, raw, size, ".oracleGeneral", &error), -EINVAL);
	if (!strstr(error.text, where))
		fail_msg("'%s' is not in '%s'", where, error.text);
	assert_null(t.reads);
}

static void test_oracle_bad(void **state)
{
	struct record bad[N_RECORDS];
	unsigned char raw[RAW_SIZE];

	(void)state;
	encode_all(raw, records);
	oracle_fails(raw, RAW_SIZE - 1, "record 3: cut short, 23 of 24 bytes");
	oracle_fails(raw, 1, "record 0: cut short, 1 of 24 bytes");
	oracle_fails(raw, 0, "no reads");

	memcpy(bad, records, sizeof(bad));
	bad[2].next = -2;
	encode_all(raw, bad);
	oracle_fails(raw, RAW_SIZE, "record 2: the next access is negative");
	bad[2].next = 1;
	encode_all(raw, bad);
	oracle_fails(raw, RAW_SIZE, "record 2: the next access lies in the past");
	memcpy(bad, records, sizeof(bad));
	bad[3].time = 4;
	encode_all(raw, bad);
	oracle_fails(raw, RAW_SIZE, "record 3: time runs backwards");
}

static void test_missing(void **state)
{
	struct trace_error error = {0};
	struct trace t = {0};

	(void)state;
	assert_int_equal(
		trace_load(&t, "/nonexistent/t.jsonl", TRACE_GUESS, 0, &error), -ENOENT);
	assert_non_null(strstr(error.text, "/nonexistent/t.jsonl"));
	assert_int_equal(
		trace_load(&t, "/nonexistent/t", TRACE_GUESS, 0, &error), -ENOENT);
}

static void test_made(void **state)
{
	struct trace_error error = {0};
	struct trace a, b;

	(void)state;
	for (unsigned i = 0; trace_kinds(i); i++) {
		char spec[64];

		snprintf(spec, sizeof(spec), "%s:reads=20000,keys=500", trace_kinds(i));
		assert_int_equal(trace_make(&a, spec, 5, &error), 0);
		assert_int_equal(trace_make(&b, spec, 5, &error), 0);
		assert_int_equal(a.n_reads, 20000);
		assert_memory_equal(a.reads, b.reads, 20000 * sizeof(*a.reads));
		trace_free(&b);
		trace_free(&a);
	}
	assert_int_equal(trace_make(&a, "zipf:keys=0", 5, &error), -EINVAL);
	assert_int_equal(trace_make(&a, "zipf:keys=x", 5, &error), -EINVAL);
	assert_int_equal(trace_make(&a, "zipf:keys=10;reads=5", 5, &error), -EINVAL);
	assert_non_null(strstr(error.text, "keys=10;reads=5"));
	assert_int_equal(trace_make(&a, "zipper", 5, &error), -EINVAL);
}

/* The most hits by trying every choice there is. */
static unsigned best_hits(
	const struct trace *t, size_t i, unsigned resident, unsigned n_max)
{
	unsigned key, best = 0, hits;

	if (i == t->n_reads)
		return 0;
	key = 1u << t->reads[i].key;
	if (resident & key)
		return 1 + best_hits(t, i + 1, resident, n_max);
	if ((unsigned)__builtin_popcount(resident) < n_max)
		return best_hits(t, i + 1, resident | key, n_max);
	best = best_hits(t, i + 1, resident, n_max);
	for (unsigned out = 1; out <= resident; out <<= 1) {
		if (!(resident & out))
			continue;
		hits = best_hits(t, i + 1, (resident & ~out) | key, n_max);
		best = hits > best ? hits : best;
	}
	return best;
}

static void test_belady(void **state)
{
	struct trace_error error;
	uint64_t n_hits;
	struct trace t;

	(void)state;
	for (uint64_t seed = 1; seed < 40; seed++) {
		assert_int_equal(
			trace_make(&t, "zipf:keys=6,reads=16,alpha=0.4", seed, &error),
			0);
		for (unsigned n = 1; n <= 3; n++) {
			assert_int_equal(replay_belady(&n_hits, &t, n), 0);
			assert_int_equal(n_hits, best_hits(&t, 0, 0, n));
		}
		trace_free(&t);
	}
}

/* LRU by its definition: a hit is a read with fewer than n other keys since. */
static uint64_t lru_hits(const struct trace *t, uint64_t n)
{
	uint32_t *at = calloc(t->n_keys, sizeof(*at)), len = 0;
	uint64_t hits = 0;

	assert_non_null(at);
	for (size_t i = 0; i < t->n_reads; i++) {
		uint32_t j = 0;

		while (j < len && at[j] != t->reads[i].key)
			j++;
		hits += j < len && j < n;
		len += j == len;
		memmove(&at[1], &at[0], j * sizeof(*at));
		at[0] = t->reads[i].key;
	}
	free(at);
	return hits;
}

static void test_lru(void **state)
{
	static const uint64_t sizes[] = {1, 7, 50, 300, 1999, 5000};
	struct replay_options o = {.policy = "lru"};
	struct replay_result res;
	struct trace_error error;
	struct trace t;

	(void)state;
	assert_int_equal(trace_make(&t, "zipf:keys=2000,reads=30000", 3, &error), 0);
	for (unsigned i = 0; i < 6; i++) {
		o.size = sizes[i];
		assert_int_equal(replay_run(&res, &t, &o), 0);
		assert_int_equal(res.n_hits, lru_hits(&t, sizes[i]));
		assert_int_equal(res.n_reads, 30000);
	}
	trace_free(&t);
}

/* By bytes nothing larger than the cache is put, and all books are bytes. */
static void test_bytes(void **state)
{
	struct replay_options o = {.size = 64 << 20, .by_bytes = true};
	struct replay_result res;
	struct trace_error error;
	struct trace t;

	(void)state;
	assert_int_equal(
		trace_make(&t, "zipf:keys=2000,reads=30000,mixed=1", 3, &error), 0);
	for (unsigned i = 0; (o.policy = policy_names(i)); i++) {
		o.size = 64 << 20;
		assert_int_equal(replay_run(&res, &t, &o), 0);
		assert_true(res.n_hits > 0 && res.n_hits < 30000 - t.n_keys);
		assert_true(res.n_bytes_hit > 0 && res.n_bytes_hit < res.n_bytes);
		o.size = 63; /* smaller than any */
		assert_int_equal(replay_run(&res, &t, &o), 0);
		assert_int_equal(res.n_hits, 0);
		o.size = UINT64_C(1) << 40; /* larger than all: only first reads miss */
		assert_int_equal(replay_run(&res, &t, &o), 0);
		assert_int_equal(res.n_hits, 30000 - t.n_keys);
	}
	trace_free(&t);
}

/*
 * So many percent of all reads, not of the trace's; those that the cache has no room for don't
 * count.
 */
static void test_one_offs_counted(void **state)
{
	static const unsigned percents[] = {0, 1, 10, 25, 50, 75, 99};
	struct replay_options o = {.policy = "lru", .size = 100};
	struct replay_result res;
	struct trace_error error;
	struct trace t;

	(void)state;
	assert_int_equal(trace_make(&t, "zipf:keys=2000,reads=3000", 3, &error), 0);
	for (unsigned i = 0; i < sizeof(percents) / sizeof(percents[0]); i++) {
		o.one_off_percent = percents[i];
		assert_int_equal(replay_run(&res, &t, &o), 0);
		assert_int_equal(res.n_one_offs, 3000 * percents[i] / (100 - percents[i]));
		assert_int_equal(res.n_reads, 3000);
	}
	o.by_bytes = true;
	o.size = 63;
	assert_int_equal(replay_run(&res, &t, &o), 0);
	assert_int_equal(res.n_one_offs, 0);
	trace_free(&t);
}

/*
 * Each policy loses little by half of all reads being of keys that nobody asks for again, by
 * entries and by bytes: they are unproven. What the trace itself misses may be that, too, and is
 * found when it comes again.
 */
static void test_one_offs(void **state)
{
	struct replay_options o = {.size = 0};
	struct replay_result alone, beside, fetched;
	struct trace_error error;
	struct trace t;

	(void)state;
	assert_int_equal(trace_make(&t, "zipf:keys=2000,reads=30000", 3, &error), 0);
	for (unsigned i = 0; (o.policy = policy_names(i)); i++)
		for (unsigned j = 0; j < 2; j++) {
			o.by_bytes = j;
			o.size = 500 * (j ? t.reads[0].size : 1);
			o.one_off_percent = 0;
			o.unproven = false;
			assert_int_equal(replay_run(&alone, &t, &o), 0);
			o.one_off_percent = 50;
			assert_int_equal(replay_run(&beside, &t, &o), 0);
			o.one_off_percent = 0;
			o.unproven = true;
			assert_int_equal(replay_run(&fetched, &t, &o), 0);
			assert_int_equal(beside.n_one_offs, 30000);
			assert_true(beside.n_hits + 30000 / 50 > alone.n_hits);
			assert_true(fetched.n_hits + 30000 / 50 > alone.n_hits);
		}
	trace_free(&t);
}

/* Points of the hit ratio that the default loses in two tiers. */
static double points_lost(const struct trace *t, uint64_t size, unsigned upper_percent)
{
	struct replay_options o = {.size = size,
		.upper_percent = upper_percent,
		.demote_at = 95,
		.demote_to = 90,
		.promote_after = 2};
	struct replay_result one, two;

	assert_int_equal(replay_run(&one, t, &o), 0);
	assert_int_equal(replay_run_tiers(&two, t, &o), 0);
	assert_true(two.n_hits_below > 0 && two.n_hits_below < two.n_hits);
	assert_true(two.n_demotions > 0 && two.n_promotions > 0);
	return 100 * ((double)one.n_hits - (double)two.n_hits) / (double)t->n_reads;
}

/* Two tiers are as good as one of both sizes, whatever the policy finds in the traffic. */
static void test_tiers(void **state)
{
	static const char *const specs[] = {"zipf:keys=20000,reads=100000",
		"zipf-loop:keys=12000,reads=100000", "shift:keys=6000,reads=100000"};
	struct trace_error error;
	struct trace t;

	(void)state;
	for (unsigned i = 0; i < sizeof(specs) / sizeof(specs[0]); i++) {
		assert_int_equal(trace_make(&t, specs[i], 3, &error), 0);
		for (unsigned percent = 25; percent <= 75; percent += 25)
			assert_true(points_lost(&t, 2000, percent) < 2);
		trace_free(&t);
	}
}

/* Every policy in every mix of sizes, some larger than a tier: the books hold. */
static void test_tiers_bytes(void **state)
{
	struct replay_options o = {.by_bytes = true,
		.demote_at = 95,
		.demote_to = 90,
		.promote_after = 1};
	struct replay_result res;
	struct trace_error error;
	struct trace t;

	(void)state;
	assert_int_equal(
		trace_make(&t, "zipf:keys=2000,reads=30000,mixed=1", 3, &error), 0);
	for (unsigned i = 0; (o.policy = policy_names(i)); i++) {
		for (o.upper_percent = 10; o.upper_percent < 100; o.upper_percent += 40) {
			o.size = 32 << 20;
			assert_int_equal(replay_run_tiers(&res, &t, &o), 0);
			assert_true(res.n_hits > 0 && res.n_hits < 30000 - t.n_keys);
			assert_true(res.n_demotions > 0 && res.n_promotions > 0);
		}
	}
	trace_free(&t);
}

/* Blocks 1 2 3, then 1 9 3: the last 3 is a hit that nobody can use. */
static void test_usable(void **state)
{
	static const char text[] =
		"{\"hash_ids\": [1, 2, 3]}\n{\"hash_ids\": [1, 9, 3]}\n"
		"{\"hash_ids\": [3]}\n";
	struct replay_options o = {.policy = "lru", .size = 10};
	struct trace_error error = {0};
	struct replay_result res;
	struct trace t;

	(void)state;
	assert_int_equal(load(&t, text, strlen(text), ".jsonl", &error), 0);
	assert_int_equal(replay_run(&res, &t, &o), 0);
	assert_int_equal(res.n_hits, 3);
	assert_int_equal(res.n_usable, 2);
	trace_free(&t);
}

/*
 * SHMCACHE_TRACE names the public conversation trace, which is not in the
 * tree.  LRU and ARC are known; the default has to be no worse than either.
 */
static void test_conversation(void **state)
{
	static const struct {
		uint64_t size;
		double lru, arc;
	} known[] = {{1000, .0445, .0529}, {3000, .0650, .0871}, {10000, .2112, .2251},
		{30000, .3257, .3108}, {50000, .3546, .3433}};
	const char *path = getenv("SHMCACHE_TRACE");
	struct replay_options o = {0};
	struct replay_result lru, arc, ours;
	struct trace_error error;
	struct trace t;

	(void)state;
	if (!path)
		skip();
	if (trace_load(&t, path, TRACE_JSONL, 0, &error))
		fail_msg("%s", error.text);
	for (unsigned i = 0; i < 5; i++) {
		o.size = known[i].size;
		o.policy = "lru";
		assert_int_equal(replay_run(&lru, &t, &o), 0);
		o.policy = "arc";
		assert_int_equal(replay_run(&arc, &t, &o), 0);
		o.policy = NULL;
		assert_int_equal(replay_run(&ours, &t, &o), 0);
		assert_float_equal(
			(double)lru.n_hits / (double)t.n_reads, known[i].lru, 5e-5);
		assert_float_equal(
			(double)arc.n_hits / (double)t.n_reads, known[i].arc, 5e-5);
		assert_true(ours.n_hits >= lru.n_hits);
		assert_true(ours.n_hits >= arc.n_hits);
		assert_true(points_lost(&t, known[i].size, 50) < 2);
	}
	trace_free(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_jsonl),
		cmocka_unit_test(test_jsonl_bad),
		cmocka_unit_test(test_jsonl_zero_byte),
		cmocka_unit_test(test_oracle),
		cmocka_unit_test(test_oracle_bad),
		cmocka_unit_test(test_missing),
		cmocka_unit_test(test_made),
		cmocka_unit_test(test_belady),
		cmocka_unit_test(test_lru),
		cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_one_offs_counted),
		cmocka_unit_test(test_one_offs),
		cmocka_unit_test(test_tiers),
		cmocka_unit_test(test_tiers_bytes),
		cmocka_unit_test(test_usable),
		cmocka_unit_test(test_conversation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
