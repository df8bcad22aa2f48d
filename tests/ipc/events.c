/* SPDX-License-Identifier: Apache-2.0 */
/* Unit of ipc/events.c: what is written is read, in order and whole, or counted as lost. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "ipc/events.h"

#define N_WORDS 1024

struct ring {
	uint64_t region[(sizeof(struct events_head) + N_WORDS * 8) / 8] __attribute__((aligned(128)));
	struct events_writer writer;
	struct events_reader reader;
};

static struct ring *ring_new(void)
{
	struct ring *ring = aligned_alloc(128, (sizeof(*ring) + 127) / 128 * 128);

	assert_non_null(ring);
	memset(ring, 0, sizeof(*ring));
	events_writer_init(&ring->writer, ring->region, N_WORDS);
	assert_int_equal(
		events_reader_init(&ring->reader, ring->region, events_region_size(N_WORDS)), 0);
	return ring;
}

/* Every field follows from the number, and the key's bytes too. */
static void write_event(struct ring *ring, uint64_t number)
{
	struct event e = {.kind = number % EVENTS_N_KINDS, .tier = number % 3,
		.flags = (uint8_t)number, .key_size = (uint16_t)(1 + number % ABI_KEY_SIZE_MAX),
		.value_size = (uint32_t)(number * 7), .generation = (uint32_t)(number * 3),
		.time_ms = number * 11};
	uint8_t key[ABI_KEY_SIZE_MAX];
	unsigned i;

	for (i = 0; i < e.key_size; i++)
		key[i] = (uint8_t)(number + i);
	events_write(&ring->writer, &e, key);
}

static bool is_event(const struct event *e, const uint8_t *key)
{
	uint64_t number = e->number;
	unsigned i;

	if (e->kind != number % EVENTS_N_KINDS || e->tier != number % 3 ||
		e->flags != (uint8_t)number || e->key_size != 1 + number % ABI_KEY_SIZE_MAX ||
		e->value_size != (uint32_t)(number * 7) ||
		e->generation != (uint32_t)(number * 3) || e->time_ms != number * 11)
		return false;
	for (i = 0; i < e->key_size; i++)
		if (key[i] != (uint8_t)(number + i))
			return false;
	return true;
}

/* All key sizes, around the ring many times, a reader that keeps up. */
static void test_in_order(void **state)
{
	struct ring *ring = ring_new();
	uint8_t key[ABI_KEY_SIZE_MAX];
	uint64_t i, n_lost;
	struct event e;

	(void)state;
	for (i = 1; i <= 3 * ABI_KEY_SIZE_MAX; i++) {
		assert_int_equal(events_read(&ring->reader, &e, key, &n_lost), EVENTS_NONE);
		write_event(ring, i);
		assert_int_equal(events_read(&ring->reader, &e, key, &n_lost), EVENTS_GOT);
		assert_int_equal(e.number, i);
		assert_true(is_event(&e, key));
	}
	free(ring);
}

/* Lapped: told how many were lost, and goes on with the next. */
static void test_lapped(void **state)
{
	struct ring *ring = ring_new();
	uint8_t key[ABI_KEY_SIZE_MAX];
	uint64_t i, n_lost = 0;
	struct event e;

	(void)state;
	for (i = 1; i <= 1000; i++)
		write_event(ring, i);
	assert_int_equal(events_read(&ring->reader, &e, key, &n_lost), EVENTS_LOST);
	assert_int_equal(n_lost, 1000);
	assert_int_equal(events_read(&ring->reader, &e, key, &n_lost), EVENTS_NONE);
	write_event(ring, 1001);
	assert_int_equal(events_read(&ring->reader, &e, key, &n_lost), EVENTS_GOT);
	assert_int_equal(e.number, 1001);
	assert_true(is_event(&e, key));
	free(ring);
}

/* A ring that is exactly full is read whole; one record more, and the first is gone. */
static void test_brim(void **state)
{
	struct event e = {.kind = EVENT_STORED, .key_size = 32};
	uint8_t key[ABI_KEY_SIZE_MAX] = "k";
	struct ring *ring = ring_new();
	uint64_t n_lost;
	unsigned i;

	(void)state;
	for (i = 0; i < N_WORDS / 8; i++)
		events_write(&ring->writer, &e, key);
	for (i = 0; i < N_WORDS / 8; i++)
		assert_int_equal(events_read(&ring->reader, &e, key, &n_lost), EVENTS_GOT);
	for (i = 0; i < N_WORDS / 8 + 1; i++)
		events_write(&ring->writer, &e, key);
	assert_int_equal(events_read(&ring->reader, &e, key, &n_lost), EVENTS_LOST);
	assert_int_equal(n_lost, N_WORDS / 8 + 1);
	free(ring);
}

/* A region that is none is not read. */
static void test_strange(void **state)
{
	struct ring *ring = ring_new();
	struct events_head *head = (void *)ring->region;
	size_t size = events_region_size(N_WORDS);
	struct events_reader r;

	(void)state;
	assert_int_equal(events_reader_init(&r, ring->region, size - 8), -EPROTONOSUPPORT);
	assert_int_equal(events_reader_init(&r, ring->region, 64), -EPROTONOSUPPORT);
	head->n_words = N_WORDS * 2;
	assert_int_equal(events_reader_init(&r, ring->region, size), -EPROTONOSUPPORT);
	head->n_words = N_WORDS - 1;
	assert_int_equal(events_reader_init(&r, ring->region, size), -EPROTONOSUPPORT);
	head->n_words = UINT64_MAX;
	assert_int_equal(events_reader_init(&r, ring->region, size), -EPROTONOSUPPORT);
	head->n_words = N_WORDS;
	head->fingerprint++;
	assert_int_equal(events_reader_init(&r, ring->region, size), -EPROTONOSUPPORT);
	head->fingerprint--;
	head->magic++;
	assert_int_equal(events_reader_init(&r, ring->region, size), -EPROTONOSUPPORT);
	free(ring);
}

/* Whatever stands in the ring: no read beside it, no end of loops missing. */
static void test_nonsense(void **state)
{
	struct ring *ring = ring_new();
	uint8_t key[ABI_KEY_SIZE_MAX];
	uint64_t n_lost;
	struct event e;
	unsigned i, j;

	(void)state;
	srand(1);
	printf("seed 1\n");
	for (i = 0; i < 10000; i++) {
		for (j = sizeof(struct events_head) / 8; j < sizeof(ring->region) / 8; j++)
			ring->region[j] = (uint64_t)rand() << 32 | (unsigned)rand() % 2000;
		shared_u64_add(&ring->writer.head->written, 200);
		shared_u64_add(&ring->writer.head->claimed, 200);
		(void)events_read(&ring->reader, &e, key, &n_lost);
	}
	free(ring);
}

/* --- at once ---------------------------------------------------------------------------------- */

#define N_EVENTS 40000
#define N_READERS 2

struct race {
	struct ring *ring;
	atomic_bool is_over;
	_Atomic(const char *) fault;
};

/* Now in bursts that lap everybody, now at a pace at which readers are at the writer's heels. */
static void *race_write(void *argument)
{
	struct race *race = argument;
	uint64_t i;
	int pause;

	for (i = 1; i <= N_EVENTS; i++) {
		write_event(race->ring, i);
		for (pause = (int)(i % 64) * 2; pause; pause--)
			shared_relax();
	}
	atomic_store(&race->is_over, true);
	return NULL;
}

/* Everything is there, or counted as lost. */
static void *race_read(void *argument)
{
	struct race *race = argument;
	struct events_reader r = race->ring->reader;
	uint8_t key[ABI_KEY_SIZE_MAX];
	uint64_t n_lost = 0, last = 0;
	enum events_result result;
	struct event e;
	bool was_over;

	do {
		was_over = atomic_load(&race->is_over);
		while ((result = events_read(&r, &e, key, &n_lost)) != EVENTS_NONE) {
			if (result == EVENTS_LOST) {
				last += n_lost;
				continue;
			}
			if (is_event(&e, key) && e.number == ++last)
				continue;
			atomic_store(&race->fault, "an event that was not written");
			return NULL;
		}
	} while (!was_over || r.is_lapped);
	if (last != N_EVENTS)
		atomic_store(&race->fault, "some were neither read nor lost");
	return NULL;
}

static void test_race(void **state)
{
	struct race race = {.ring = ring_new()};
	pthread_t writer, reader[N_READERS];
	int i;

	(void)state;
	for (i = 0; i < N_READERS; i++)
		assert_int_equal(pthread_create(&reader[i], NULL, race_read, &race), 0);
	assert_int_equal(pthread_create(&writer, NULL, race_write, &race), 0);
	pthread_join(writer, NULL);
	for (i = 0; i < N_READERS; i++)
		pthread_join(reader[i], NULL);
	if (race.fault)
		fail_msg("%s", race.fault);
	free(race.ring);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_in_order),
		cmocka_unit_test(test_lapped),
		cmocka_unit_test(test_brim),
		cmocka_unit_test(test_strange),
		cmocka_unit_test(test_nonsense),
		cmocka_unit_test(test_race),
	};

	return cmocka_run_group_tests_name("events", tests, NULL, NULL);
}
