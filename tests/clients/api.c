/* SPDX-License-Identifier: Apache-2.0 */
/* api.c: every call of the library, against a broker. */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/support/broker-run.h"

enum { WAIT = 20000, TIER = 64 << 20 };

static struct broker_run broker;

static int group_setup(void **state)
{
	(void)state;
	return broker_run_start(
		&broker, &(struct broker_run_options){.cpu = PROC_CPU_ANY}, NULL, NULL);
}

static int group_teardown(void **state)
{
	(void)state;
	return broker_run_stop(&broker);
}

static struct shmc *attach_as(enum shmc_role role)
{
	struct shmc_attach_options options = {.role = role, .timeout_ms = WAIT};
	struct shmc *cache;

	assert_int_equal(shmc_attach(&cache, broker.name, &options), 0);
	assert_int_equal(shmc_role(cache), role);
	assert_string_equal(shmc_name(cache), broker.name);
	return cache;
}

static int setup_as(void **state, enum shmc_role role)
{
	struct shmc *cache = attach_as(role);

	assert_int_equal(shmc_flush(cache, NULL, 0, NULL, WAIT),
		role == SHMC_ROLE_READER ? -EACCES : 0);
	*state = cache;
	return 0;
}

static int setup(void **state)
{
	return setup_as(state, SHMC_ROLE_WRITER);
}

static int setup_stager(void **state)
{
	return setup_as(state, SHMC_ROLE_STAGER);
}

static int setup_reader(void **state)
{
	return setup_as(state, SHMC_ROLE_READER);
}

static int teardown(void **state)
{
	shmc_detach(*state);
	return 0;
}

static void put(struct shmc *cache, const char *key, const char *value)
{
	assert_int_equal(
		shmc_put(cache, key, strlen(key), value, strlen(value), NULL, WAIT), 0);
}

static void assert_value(struct shmc *cache, const char *key, const void *value, size_t size)
{
	struct shmc_view view;

	assert_int_equal(shmc_get(cache, key, strlen(key), &view), 0);
	assert_int_equal(view.size, size);
	assert_memory_equal(view.data, value, size);
	assert_int_equal((uintptr_t)view.data % 64, 0);
	if (size >= 64 << 10)
		assert_int_equal((uintptr_t)view.data % 4096, 0);
	shmc_release(cache, &view);
}

static uint8_t *pattern(size_t size, unsigned seed)
{
	uint8_t *value = malloc(size);
	size_t i;

	assert_non_null(value);
	for (i = 0; i < size; i++)
		value[i] = (uint8_t)((i + seed) * 2654435761U >> 23);
	return value;
}

/* --- attaching -------------------------------------------------------------------------------- */

static int attach_why(const char *name, struct shmc_attach_options options, char *why)
{
	struct shmc *cache = (void *)1;
	int r;

	options.why = why;
	options.why_size = 200;
	r = shmc_attach(&cache, name, &options);
	if (r)
		assert_ptr_equal(cache, (void *)1);
	return r;
}

static void an_attach_that_fails_says_why(void **state)
{
	static const char *const bad[] = {"", "a/b", "..", "a b", "a\xc3\xa9"};
	const struct shmc_attach_options none = {0};
	char why[200], name[80];
	size_t i;

	(void)state;
	memset(name, 'x', sizeof(name));
	name[49] = '\0';
	for (i = 0; i < 5; i++) {
		assert_int_equal(attach_why(bad[i], none, why), -EINVAL);
		assert_true(strlen(why) > 10);
	}
	assert_int_equal(attach_why(name, none, why), -EINVAL);
	assert_int_equal(attach_why("no-such-cache-anywhere", none, why), -ENOENT);
	assert_non_null(strstr(why, "no-such-cache-anywhere"));
	assert_int_equal(attach_why(broker.name, (struct shmc_attach_options){.role = 4}, why),
		-EINVAL);
	assert_int_equal(attach_why(broker.name,
		(struct shmc_attach_options){.timeout_ms = -2}, why), -EINVAL);
	assert_int_equal(shmc_attach(NULL, broker.name, NULL), -EINVAL);
	shmc_detach(NULL);
}

/* --- values ----------------------------------------------------------------------------------- */

static void what_is_put_is_got(void **state)
{
	static const size_t sizes[] = {1, 2, 63, 64, 65, 1000, 4096, 31000, 65535, 65536, 65537,
		100000, 524288, 600000, 1 << 20, (1 << 20) + 1, 5000000, 16 << 20};
	struct shmc *cache = *state;
	char key[32];
	uint8_t *value;
	size_t i;

	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		snprintf(key, sizeof(key), "value of %zu bytes", sizes[i]);
		value = pattern(sizes[i], (unsigned)i);
		assert_int_equal(
			shmc_put(cache, key, strlen(key), value, sizes[i], NULL, WAIT), 0);
		assert_value(cache, key, value, sizes[i]);
		free(value);
	}
}

static void a_put_replaces_unless_told_otherwise(void **state)
{
	const struct shmc_put_options absent = {.flags = SHMC_IF_ABSENT};
	struct shmc *cache = *state;
	uint8_t *large = pattern(300000, 1);
	struct shmc_view old;

	put(cache, "key", "one");
	assert_int_equal(shmc_get(cache, "key", 3, &old), 0);
	put(cache, "key", "two!");
	assert_value(cache, "key", "two!", 4);
	assert_memory_equal(old.data, "one", 3);
	shmc_release(cache, &old);
	assert_int_equal(shmc_put(cache, "key", 3, "x", 1, &absent, WAIT), SHMC_EXISTS);
	assert_int_equal(shmc_put(cache, "key", 3, large, 300000, &absent, WAIT), SHMC_EXISTS);
	assert_value(cache, "key", "two!", 4);
	assert_int_equal(shmc_put(cache, "new", 3, "x", 1, &absent, WAIT), 0);
	assert_int_equal(shmc_put(cache, "large", 5, large, 300000, &absent, WAIT), 0);
	assert_value(cache, "large", large, 300000);
	free(large);
}

static void a_value_may_not_be_larger_than_the_tier(void **state)
{
	struct shmc *cache = *state;
	uint8_t *value = calloc(1, TIER + 1);

	assert_int_equal(shmc_put(cache, "key", 3, value, TIER + 1, NULL, WAIT), -EFBIG);
	assert_int_equal(
		shmc_put(cache, "key", 3, value, SHMC_VALUE_SIZE_MAX + 1, NULL, WAIT), -EFBIG);
	assert_int_equal(shmc_put(cache, "key", 3, value, 0, NULL, WAIT), -EINVAL);
	assert_int_equal(shmc_put(cache, "key", 0, value, 1, NULL, WAIT), -EINVAL);
	assert_int_equal(shmc_put(cache, "key", 1025, value, 1, NULL, WAIT), -EINVAL);
	assert_int_equal(shmc_put(cache, NULL, 3, value, 1, NULL, WAIT), -EINVAL);
	assert_int_equal(shmc_ping(cache, WAIT), 0);
	free(value);
}

static void what_is_deleted_is_gone_but_for_its_views(void **state)
{
	struct shmc *cache = *state;
	struct shmc_view view;

	put(cache, "key", "value");
	assert_int_equal(shmc_exists(cache, "key", 3), 0);
	assert_int_equal(shmc_get(cache, "key", 3, &view), 0);
	assert_int_equal(shmc_delete(cache, "key", 3, WAIT), 0);
	assert_int_equal(shmc_delete(cache, "key", 3, WAIT), SHMC_MISS);
	assert_int_equal(shmc_exists(cache, "key", 3), SHMC_MISS);
	assert_memory_equal(view.data, "value", 5);
	shmc_release(cache, &view);
}

static void an_entry_says_what_was_put_with_it(void **state)
{
	const struct shmc_put_options options = {.tier = SHMC_TIER_DRAM, .priority = 3,
		.ttl_ms = 100000, .group = 77, .position = 5};
	struct shmc *cache = *state;
	struct shmc_entry e;

	assert_int_equal(shmc_put(cache, "key", 3, "value", 5, &options, WAIT), 0);
	assert_int_equal(shmc_stat(cache, "key", 3, &e), 0);
	assert_int_equal(e.key_size, 3);
	assert_int_equal(e.value_size, 5);
	assert_int_equal(e.tier, SHMC_TIER_DRAM);
	assert_int_equal(e.priority, 3);
	assert_int_equal(e.group, 77);
	assert_int_equal(e.position, 5);
	assert_in_range(e.ttl_ms, 80000, 100020);
	assert_int_equal(shmc_stat(cache, "kez", 3, &e), SHMC_MISS);
}

/* However slow this machine is now: nothing here depends on being in time. */
static void time_runs_out_and_is_renewed(void **state)
{
	const struct shmc_put_options soon = {.ttl_ms = 60}, later = {.ttl_ms = 3600000};
	struct shmc *cache = *state;
	struct shmc_entry e;

	assert_int_equal(shmc_put(cache, "a", 1, "value", 5, &soon, WAIT), 0);
	assert_int_equal(shmc_put(cache, "b", 1, "value", 5, &later, WAIT), 0);
	assert_int_equal(shmc_put(cache, "c", 1, "value", 5, &later, WAIT), 0);
	assert_int_equal(shmc_touch(cache, "b", 1, 7200000, WAIT), 0);
	assert_int_equal(shmc_stat(cache, "b", 1, &e), 0);
	assert_true(e.ttl_ms > later.ttl_ms && e.ttl_ms <= 7200000);
	assert_int_equal(shmc_touch(cache, "c", 1, 0, WAIT), 0);
	assert_int_equal(shmc_stat(cache, "c", 1, &e), 0);
	assert_int_equal(e.ttl_ms, 0);
	usleep(120000);
	assert_int_equal(shmc_exists(cache, "a", 1), SHMC_MISS);
	assert_int_equal(shmc_exists(cache, "b", 1), 0);
	assert_int_equal(shmc_touch(cache, "a", 1, 5, WAIT), SHMC_MISS);
}

static void a_reservation_is_seen_when_committed(void **state)
{
	const struct shmc_put_options absent = {.flags = SHMC_IF_ABSENT};
	struct shmc *cache = *state;
	struct shmc_reservation r, second;

	assert_int_equal(shmc_reserve(cache, "key", 3, 1 << 20, NULL, &r, WAIT), 0);
	assert_int_equal(r.size, 1 << 20);
	memset(r.data, 7, r.size);
	assert_int_equal(shmc_exists(cache, "key", 3), SHMC_MISS);
	assert_int_equal(shmc_reserve(cache, "key", 3, 10, &absent, &second, WAIT), 0);
	memset(second.data, 8, second.size);
	assert_int_equal(shmc_commit(cache, &r, WAIT), 0);
	assert_int_equal(shmc_exists(cache, "key", 3), 0);
	assert_int_equal(shmc_commit(cache, &second, WAIT), SHMC_EXISTS);
	assert_null(second.data);
	assert_int_equal(shmc_reserve(cache, "key", 3, 10, &absent, &second, WAIT), SHMC_EXISTS);
	assert_int_equal(shmc_reserve(cache, "other", 5, 10, NULL, &second, WAIT), 0);
	assert_int_equal(shmc_abort(cache, &second, WAIT), 0);
	assert_int_equal(shmc_exists(cache, "other", 5), SHMC_MISS);
	assert_int_equal(shmc_reserve(cache, "big", 3, TIER + 1, NULL, &r, WAIT), -EFBIG);
}

static void a_pinned_entry_is_not_evicted(void **state)
{
	struct shmc *cache = *state;
	uint8_t *value = pattern(1 << 20, 3);
	char key[16];
	int i;

	put(cache, "pinned", "stays");
	put(cache, "loose", "goes");
	assert_int_equal(shmc_pin(cache, "nothing", 7, 0, WAIT), SHMC_MISS);
	assert_int_equal(shmc_pin(cache, "pinned", 6, 60000, WAIT), 0);
	assert_int_equal(shmc_pin(cache, "pinned", 6, 60000, WAIT), 0);
	for (i = 0; i < 200; i++) {
		snprintf(key, sizeof(key), "filler %d", i);
		assert_int_equal(
			shmc_put(cache, key, strlen(key), value, 1 << 20, NULL, WAIT), 0);
	}
	assert_int_equal(shmc_exists(cache, "loose", 5), SHMC_MISS);
	assert_value(cache, "pinned", "stays", 5);
	assert_int_equal(shmc_unpin(cache, "pinned", 6, WAIT), 0);
	assert_int_equal(shmc_unpin(cache, "pinned", 6, WAIT), SHMC_MISS);
	free(value);
}

static int count_visit(void *context, const struct shmc_entry *entry)
{
	(void)entry;
	++*(unsigned *)context;
	return 0;
}

static unsigned scanned(struct shmc *cache, const char *prefix)
{
	unsigned n = 0;
	uint64_t cursor = 0;

	do
		assert_int_equal(shmc_scan(cache, &cursor, prefix, strlen(prefix), 16, count_visit,
			&n), 0);
	while (cursor);
	return n;
}

static void a_flush_takes_what_has_the_prefix(void **state)
{
	struct shmc *cache = *state;
	uint64_t n_deleted = 0;
	char key[16];
	int i;

	for (i = 0; i < 3000; i++) {
		snprintf(key, sizeof(key), "%c-%d", i % 3 ? 'a' : 'b', i);
		put(cache, key, "value");
	}
	assert_int_equal(scanned(cache, ""), 3000);
	assert_int_equal(scanned(cache, "b-"), 1000);
	assert_int_equal(shmc_flush(cache, "b-", 2, &n_deleted, WAIT), 0);
	assert_int_equal(n_deleted, 1000);
	assert_int_equal(scanned(cache, "b-"), 0);
	assert_int_equal(scanned(cache, ""), 2000);
	assert_int_equal(shmc_flush(cache, NULL, 1, NULL, WAIT), -EINVAL);
	assert_int_equal(shmc_flush(cache, NULL, 0, &n_deleted, WAIT), 0);
	assert_int_equal(n_deleted, 2000);
}

static void many_are_got_at_once(void **state)
{
	enum { N = 500 };
	struct shmc *cache = *state;
	struct shmc_view views[N];
	struct shmc_key keys[N];
	char text[N][16];
	int results[N], i;

	for (i = 0; i < N; i++) {
		keys[i] = (struct shmc_key){
			text[i], (size_t)snprintf(text[i], sizeof(text[i]), "key %d", i)};
		if (i % 4)
			put(cache, text[i], text[i]);
	}
	assert_int_equal(shmc_get_many(cache, keys, N, views, results), N - N / 4);
	for (i = 0; i < N; i++) {
		assert_int_equal(results[i], i % 4 ? 0 : SHMC_MISS);
		if (!results[i])
			assert_memory_equal(views[i].data, text[i], keys[i].size);
		else
			views[i] = (struct shmc_view){0};
	}
	shmc_release_many(cache, views, N);
}

/* --- roles ------------------------------------------------------------------------------------ */

static void a_reader_only_reads(void **state)
{
	struct shmc *reader = *state, *writer = attach_as(SHMC_ROLE_WRITER);
	static uint8_t large[300000];
	struct shmc_reservation r;

	put(writer, "key", "value");
	assert_value(reader, "key", "value", 5);
	assert_int_equal(shmc_ping(reader, WAIT), 0);
	assert_int_equal(shmc_put(reader, "key", 3, "x", 1, NULL, WAIT), -EACCES);
	assert_int_equal(shmc_put(reader, "key", 3, large, sizeof(large), NULL, WAIT), -EACCES);
	assert_int_equal(shmc_delete(reader, "key", 3, WAIT), -EACCES);
	assert_int_equal(shmc_reserve(reader, "key", 3, 10, NULL, &r, WAIT), -EACCES);
	assert_value(reader, "key", "value", 5);
	shmc_detach(writer);
}

static void a_stager_fills_no_blocks(void **state)
{
	struct shmc *cache = *state;
	struct shmc_reservation r;

	assert_int_equal(shmc_reserve(cache, "key", 3, 10, NULL, &r, WAIT), -EACCES);
	put(cache, "key", "value");
	assert_value(cache, "key", "value", 5);
}

/* --- batches and queues ----------------------------------------------------------------------- */

static void a_batch_has_a_result_for_each(void **state)
{
	enum { N = 1000 };
	struct shmc *cache = *state;
	struct shmc_request *q = calloc(N, sizeof(*q));
	uint8_t *large = pattern(200000, 5);
	char buffer[16], (*key)[16] = calloc(N, sizeof(*key));
	int i;

	for (i = 0; i < N; i++) {
		q[i].operation = i % 2 ? SHMC_OP_GET : SHMC_OP_PUT;
		q[i].key = key[i];
		q[i].key_size = (size_t)snprintf(key[i], sizeof(key[i]), "k%d", i / 2);
		q[i].value = i % 100 == 50 ? (void *)large : key[i];
		q[i].value_size = i % 100 == 50 ? 200000 : 3;
	}
	q[4].operation = SHMC_OP_DELETE;
	q[6].value_size = 0;
	q[8] = (struct shmc_request){.operation = SHMC_OP_PING};
	q[10].operation = SHMC_OP_READ;
	q[10].key = "k0";
	q[10].key_size = 2;
	q[10].value = buffer;
	q[10].value_size = sizeof(buffer);
	assert_int_equal(shmc_execute(cache, q, N, WAIT), 0);
	for (i = 0; i < N; i++) {
		if (i >= 4 && i <= 11)
			continue;
		assert_int_equal(q[i].result, 0);
		/* Each get sees what was put right before it. */
		if (i % 2) {
			assert_int_equal(q[i].view.size, q[i - 1].value_size);
			assert_memory_equal(
				q[i].view.data, q[i - 1].value, q[i - 1].value_size);
			shmc_release(cache, &q[i].view);
		}
	}
	assert_int_equal(q[4].result, SHMC_MISS);
	assert_int_equal(q[5].result, SHMC_MISS);
	assert_int_equal(q[6].result, -EINVAL);
	assert_int_equal(q[7].result, SHMC_MISS);
	assert_int_equal(q[8].result, 0);
	assert_int_equal(q[10].result, 0);
	assert_int_equal(q[10].value_size, 3);
	assert_memory_equal(buffer, "k0", 3);
	free(key);
	free(large);
	free(q);
}

static void a_batch_may_reserve_and_commit(void **state)
{
	enum { N = 20 };
	struct shmc *cache = *state;
	struct shmc_request q[N], commit[N];
	char key[N][8];
	int i;

	memset(q, 0, sizeof(q));
	memset(commit, 0, sizeof(commit));
	for (i = 0; i < N; i++) {
		q[i].operation = SHMC_OP_RESERVE;
		q[i].key = key[i];
		q[i].key_size = (size_t)snprintf(key[i], sizeof(key[i]), "k%d", i);
		q[i].value_size = 5000;
	}
	assert_int_equal(shmc_execute(cache, q, N, WAIT), 0);
	for (i = 0; i < N; i++) {
		assert_int_equal(q[i].result, 0);
		memset(q[i].reservation.data, i, 5000);
		commit[i].operation = i % 4 ? SHMC_OP_COMMIT : SHMC_OP_ABORT;
		commit[i].reservation = q[i].reservation;
	}
	assert_int_equal(shmc_execute(cache, commit, N, WAIT), 0);
	for (i = 0; i < N; i++) {
		assert_int_equal(commit[i].result, 0);
		assert_null(commit[i].reservation.data);
		assert_int_equal(shmc_exists(cache, key[i], strlen(key[i])),
			i % 4 ? 0 : SHMC_MISS);
	}
}

/* As an event loop does: submit what fits, poll, reap till there is nothing, and round again. */
static void a_queue_serves_an_event_loop(void **state)
{
	enum { N = 5000 };
	struct shmc *cache = *state;
	struct shmc_request *q = calloc(N, sizeof(*q)), *all[N], *done[64];
	int i, n, n_submitted = 0, n_done = 0;
	char(*key)[16] = calloc(N, sizeof(*key));
	struct shmc_queue *queue;
	struct pollfd fd;

	assert_int_equal(shmc_queue_open(&queue, cache), 0);
	fd = (struct pollfd){.fd = shmc_queue_fd(queue), .events = POLLIN};
	for (i = 0; i < N; i++) {
		q[i].operation = i % 5 == 4 ? SHMC_OP_GET : SHMC_OP_PUT;
		q[i].key = key[i];
		q[i].key_size = (size_t)snprintf(key[i], sizeof(key[i]), "k%d", i / 5);
		q[i].value = key[i];
		q[i].value_size = 4;
		q[i].user = &q[i];
		all[i] = &q[i];
	}
	while (n_done < N) {
		n = shmc_submit(queue, all + n_submitted, (size_t)(N - n_submitted));
		assert_true(n >= 0);
		n_submitted += n;
		while ((n = shmc_reap(queue, done, 64, 0)) > 0) {
			for (i = 0; i < n; i++) {
				assert_ptr_equal(done[i]->user, done[i]);
				assert_int_equal(done[i]->result, 0);
				if (done[i]->operation == SHMC_OP_GET)
					shmc_release(cache, &done[i]->view);
			}
			n_done += n;
		}
		assert_int_equal(n, 0);
		if (n_done < n_submitted)
			assert_int_equal(poll(&fd, 1, WAIT), 1);
	}
	/*
	 * Perhaps the broker was so quick that we never had to wait: once more, and first of all.
	 * The bell of an answer that we have reaped already may still come: a wake-up for nothing.
	 */
	q[0] = (struct shmc_request){.operation = SHMC_OP_PING};
	assert_int_equal(shmc_submit(queue, all, 1), 1);
	do {
		assert_int_equal(poll(&fd, 1, WAIT), 1);
		n = shmc_reap(queue, done, 64, 0);
	} while (!n);
	assert_int_equal(n, 1);
	assert_ptr_equal(done[0], &q[0]);
	shmc_queue_close(queue);
	free(key);
	free(q);
}

static void a_detach_closes_queues_and_drops_what_is_open(void **state)
{
	struct shmc *other = attach_as(SHMC_ROLE_WRITER), *cache = *state;
	struct shmc_request q = {.operation = SHMC_OP_PING}, *one = &q;
	struct shmc_reservation r;
	struct shmc_queue *queue;
	struct shmc_view view;

	put(other, "key", "value");
	assert_int_equal(shmc_queue_open(&queue, other), 0);
	assert_int_equal(shmc_submit(queue, &one, 1), 1);
	assert_int_equal(shmc_reserve(other, "held", 4, 1 << 20, NULL, &r, WAIT), 0);
	assert_int_equal(shmc_pin(other, "key", 3, 0, WAIT), 0);
	assert_int_equal(shmc_get(other, "key", 3, &view), 0);
	shmc_detach(other);
	assert_int_equal(shmc_unpin(cache, "key", 3, WAIT), SHMC_MISS);
	assert_value(cache, "key", "value", 5);
}

/* --- numbers ---------------------------------------------------------------------------------- */

static void the_numbers_are_there(void **state)
{
	struct shmc *cache = *state;
	struct shmc_stat_value v[200];
	struct shmc_usage u;
	int n, i, n_counters = 0, n_kinds = 0;

	n = shmc_stats(cache, NULL, 0);
	assert_in_range(n, 20, 200);
	assert_int_equal(shmc_stats(cache, v, 200), n);
	for (i = 0; i < n; i++) {
		assert_int_equal(strncmp(v[i].name, "shmcache_", 9), 0);
		assert_true(strlen(v[i].help) > 3);
		n_counters += v[i].is_counter;
		n_kinds += v[i].kind != NULL;
		assert_true(!v[i].kind == !v[i].label);
		assert_true(!v[i].kind || v[i].is_counter);
		assert_int_equal(v[i].is_counter,
			!strcmp(v[i].name + strlen(v[i].name) - 6, "_total"));
	}
	assert_true(n_counters > 10 && n_counters < n);
	assert_true(n_kinds > 30 && n_kinds < n_counters);
	/* As many as there is room for. */
	memset(v, 0xff, sizeof(v));
	assert_int_equal(shmc_stats(cache, v, (size_t)n - 1), n);
	assert_non_null(v[n - 2].kind);
	assert_int_equal(v[n - 1].value, UINT64_MAX);
	put(cache, "key", "value");
	assert_true(broker_run_stat(cache, "shmcache_puts_total") >= 1);

	assert_int_equal(shmc_usage(cache, &u), 0);
	assert_int_equal(u.dram.size, TIER);
	assert_int_equal(u.cxl.size, 0);
	assert_int_equal(u.broker_pid, broker.proc.pid);
	assert_int_equal(u.epoch, 1);
	assert_true(u.uptime_ms < 3600000);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
#define S(f) cmocka_unit_test_setup_teardown(f, setup_stager, teardown)
#define R(f) cmocka_unit_test_setup_teardown(f, setup_reader, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_attach_that_fails_says_why),
		T(what_is_put_is_got),
		S(what_is_put_is_got),
		T(a_put_replaces_unless_told_otherwise),
		S(a_put_replaces_unless_told_otherwise),
		T(a_value_may_not_be_larger_than_the_tier),
		S(a_value_may_not_be_larger_than_the_tier),
		T(what_is_deleted_is_gone_but_for_its_views),
		T(an_entry_says_what_was_put_with_it),
		T(time_runs_out_and_is_renewed),
		T(a_reservation_is_seen_when_committed),
		T(a_pinned_entry_is_not_evicted),
		T(a_flush_takes_what_has_the_prefix),
		T(many_are_got_at_once),
		R(a_reader_only_reads),
		S(a_stager_fills_no_blocks),
		T(a_batch_has_a_result_for_each),
		S(a_batch_has_a_result_for_each),
		T(a_batch_may_reserve_and_commit),
		T(a_queue_serves_an_event_loop),
		T(a_detach_closes_queues_and_drops_what_is_open),
		T(the_numbers_are_there),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
