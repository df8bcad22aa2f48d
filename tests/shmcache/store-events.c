/* SPDX-License-Identifier: Apache-2.0 */
/* store-events.c: what the store tells, to whom, and that it tells nobody nothing. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "tests/shmcache/rig.h"

static struct rig rig;
static struct events_reader reader;
static int fd;

static int setup(void **state)
{
	(void)state;
	rig_init(&rig, MIB, 4 * MIB);
	rig_open(&rig, false);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	rig_check(&rig);
	rig_remove(&rig);
	return rig_leftovers() ? -1 : 0;
}

static void listen_to(unsigned kinds)
{
	const void *region;
	size_t size;

	assert_int_equal(store_subscribe(&rig.store, kinds, &fd, &region, &size), 0);
	assert_int_equal(events_reader_init(&reader, region, size), 0);
}

/* The next event is this one, of key @i. */
static void assert_told(enum event_kind kind, unsigned flags, uint64_t i, uint32_t value_size)
{
	uint8_t bytes[ABI_KEY_SIZE_MAX], key[ABI_KEY_SIZE_MAX];
	size_t size = rig_key(i, bytes);
	struct event e;
	uint64_t n_lost;

	assert_int_equal(events_read(&reader, &e, key, &n_lost), EVENTS_GOT);
	assert_string_equal(event_kind_name(e.kind), event_kind_name(kind));
	assert_int_equal(e.flags, flags);
	assert_int_equal(e.key_size, size);
	assert_memory_equal(key, bytes, size);
	assert_int_equal(e.value_size, value_size);
	assert_int_equal(e.tier, ABI_TIER_DRAM);
	assert_in_range(e.time_ms / 1000, (uint64_t)time(NULL) - 60, (uint64_t)time(NULL) + 1);
}

static void assert_silent(void)
{
	uint8_t key[ABI_KEY_SIZE_MAX];
	struct event e;
	uint64_t n_lost;

	assert_int_equal(events_read(&reader, &e, key, &n_lost), EVENTS_NONE);
}

static uint64_t n_written(void)
{
	return rig.store.events.writer.n_events;
}

static void test_kinds(void **state)
{
	struct store_put_options mortal = {.ttl_ms = 20};
	uint32_t cell, generation;

	(void)state;
	listen_to(EVENTS_ALL);
	rig_put(&rig, 1, 1, 100);
	assert_told(EVENT_STORED, 0, 1, 100);
	cell = rig_cell(&rig, 1);
	generation = rig.store.index.cell[cell].generation;
	rig_put(&rig, 1, 2, 200);
	assert_told(EVENT_STORED, EVENT_REPLACED, 1, 200);
	assert_true(rig.store.index.cell[rig_cell(&rig, 1)].generation != generation);
	cell = rig_cell(&rig, 1);
	assert_int_equal(store_hits(&rig.store, &rig.w, &cell, 1), 1);
	assert_told(EVENT_ACCESSED, 0, 1, 200);
	assert_int_equal(rig_delete(&rig, 1), ABI_STATUS_OK);
	assert_told(EVENT_DELETED, 0, 1, 200);
	assert_int_equal(rig_delete(&rig, 1), ABI_STATUS_MISS);
	assert_silent();
	/* By its time: found by whoever comes across it, and by the sweep. */
	rig_put_with(&rig, 2, 2, 10, &mortal);
	rig_put_with(&rig, 3, 3, 10, &mortal);
	assert_told(EVENT_STORED, 0, 2, 10);
	assert_told(EVENT_STORED, 0, 3, 10);
	usleep(60000);
	assert_int_equal(rig_delete(&rig, 2), ABI_STATUS_MISS);
	assert_told(EVENT_DELETED, EVENT_EXPIRED, 2, 10);
	store_sweep(&rig.store, &rig.w, 100000);
	assert_told(EVENT_DELETED, EVENT_EXPIRED, 3, 10);
	assert_silent();
}

/* Each entry that goes is told, in the order of what happened: book kept by events is the truth. */
static void test_evicted(void **state)
{
	uint8_t key[ABI_KEY_SIZE_MAX], bytes[ABI_KEY_SIZE_MAX];
	static bool is_there[2000];
	uint64_t i, n_evicted = 0, n_lost;
	struct event e;

	(void)state;
	listen_to(1U << EVENT_STORED | 1U << EVENT_EVICTED | 1U << EVENT_DELETED);
	memset(is_there, 0, sizeof(is_there));
	for (i = 0; i < 2000; i++) {
		assert_int_equal(rig_put(&rig, i, i, 2000), ABI_STATUS_OK);
		while (events_read(&reader, &e, key, &n_lost) == EVENTS_GOT) {
			uint64_t j = i;

			/* A key's number is not in it: the newest are looked at first. */
			while (rig_key(j, bytes) != e.key_size || memcmp(bytes, key, e.key_size))
				assert_true(j-- > 0);
			assert_int_equal(is_there[j], e.kind != EVENT_STORED);
			is_there[j] = e.kind == EVENT_STORED;
			n_evicted += e.kind == EVENT_EVICTED;
		}
	}
	assert_true(n_evicted > 1000);
	for (i = 0; i < 2000; i++)
		assert_int_equal(is_there[i], rig_cell(&rig, i) != 0);
}

/* Without a subscriber, none of that kind, or none any more: nothing is written. */
static void test_nobody(void **state)
{
	uint32_t cell;
	uint64_t n;

	(void)state;
	rig_put(&rig, 1, 1, 100);
	assert_int_equal(n_written(), 0);
	listen_to(1U << EVENT_DELETED);
	rig_put(&rig, 1, 1, 100);
	cell = rig_cell(&rig, 1);
	(void)store_hits(&rig.store, &rig.w, &cell, 1);
	assert_int_equal(n_written(), 0);
	/* Two of one kind: it ends with the second. */
	listen_to(1U << EVENT_DELETED);
	store_unsubscribe(&rig.store, 1U << EVENT_DELETED);
	rig_delete(&rig, 1);
	assert_int_equal(n_written(), 1);
	store_unsubscribe(&rig.store, 1U << EVENT_DELETED);
	n = n_written();
	rig_put(&rig, 1, 1, 100);
	rig_delete(&rig, 1);
	assert_int_equal(n_written(), n);
	assert_int_equal(store_subscribe(&rig.store, 0, &fd, &(const void *){NULL}, &(size_t){0}),
		-EINVAL);
	assert_int_equal(store_subscribe(&rig.store, EVENTS_ALL + 1, &fd, &(const void *){NULL},
				 &(size_t){0}), -EINVAL);
}

/* What is handed out can be mapped for reading, and nothing else. */
static void test_sealed(void **state)
{
	char path[64];
	void *map;
	int again;

	(void)state;
	listen_to(EVENTS_ALL);
	map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_ptr_equal(map, MAP_FAILED);
	assert_int_equal(pwrite(fd, "x", 1, 0), -1);
	assert_int_equal(ftruncate(fd, 0), -1);
	assert_int_equal(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096), -1);
	map = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(map, MAP_FAILED);
	assert_int_equal(mprotect(map, 4096, PROT_READ | PROT_WRITE), -1);
	munmap(map, 4096);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	again = open(path, O_RDWR | O_CLOEXEC);
	if (again >= 0) {
		assert_ptr_equal(
			mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, again, 0), MAP_FAILED);
		close(again);
	}
}

/* --- bells ------------------------------------------------------------------------------------ */

static unsigned n_rings;

static void rang(struct store_bell *bell)
{
	(void)bell;
	n_rings++;
}

#define STORED (1U << EVENT_STORED)
#define DELETED (1U << EVENT_DELETED)

static uint64_t end_of_ring(void)
{
	return rig.store.events.writer.written;
}

/* Who sleeps is woken by the next event of his kinds, once; who does not sleep, by none. */
static void test_bell(void **state)
{
	struct store_bell bell = {.ring = rang};

	(void)state;
	n_rings = 0;
	listen_to(EVENTS_ALL);
	store_bell_add(&rig.store, &bell);
	rig_put(&rig, 1, 1, 100);
	assert_int_equal(n_rings, 0);
	assert_true(store_bell_arm(&rig.store, &bell, DELETED, end_of_ring()));
	rig_put(&rig, 2, 2, 100);
	assert_int_equal(n_rings, 0);
	rig_delete(&rig, 1);
	rig_delete(&rig, 2);
	assert_int_equal(n_rings, 1);
	assert_int_equal(store_bell_take(&rig.store, &bell), DELETED);
	assert_int_equal(store_bell_take(&rig.store, &bell), 0);
	rig_put(&rig, 1, 1, 100);
	rig_delete(&rig, 1);
	assert_int_equal(n_rings, 1);
	/* Of two that came before anybody looked, both are told, and it was rung once. */
	assert_true(store_bell_arm(&rig.store, &bell, DELETED, end_of_ring()));
	assert_true(store_bell_arm(&rig.store, &bell, STORED, end_of_ring()));
	rig_put(&rig, 1, 1, 100);
	rig_delete(&rig, 1);
	assert_int_equal(n_rings, 2);
	assert_int_equal(store_bell_take(&rig.store, &bell), STORED | DELETED);
	store_bell_remove(&rig.store, &bell);
}

/* What came between the look and the arming is not slept over. */
static void test_bell_late(void **state)
{
	struct store_bell bell = {.ring = rang};
	uint64_t before, between;

	(void)state;
	n_rings = 0;
	listen_to(EVENTS_ALL);
	store_bell_add(&rig.store, &bell);
	before = end_of_ring();
	rig_put(&rig, 1, 1, 100);
	between = end_of_ring();
	rig_delete(&rig, 1);
	assert_false(store_bell_arm(&rig.store, &bell, STORED, before));
	assert_false(store_bell_arm(&rig.store, &bell, STORED | DELETED, between));
	rig_put(&rig, 1, 1, 100);
	assert_int_equal(n_rings, 0);
	/* That of another kind is none that he wants. */
	assert_true(store_bell_arm(&rig.store, &bell, 1U << EVENT_EVICTED, before));
	assert_true(store_bell_arm(&rig.store, &bell, DELETED, end_of_ring()));
	/* Nor is a place that nobody can have read to more than a place. */
	assert_true(store_bell_arm(&rig.store, &bell, STORED, end_of_ring() + 1000000));
	rig_put(&rig, 1, 1, 100);
	assert_int_equal(n_rings, 1);
	store_bell_remove(&rig.store, &bell);
}

/* Two have their own, and who is gone is rung no more. */
static void test_bells(void **state)
{
	struct store_bell a = {.ring = rang}, b = {.ring = rang};

	(void)state;
	n_rings = 0;
	listen_to(EVENTS_ALL);
	store_bell_add(&rig.store, &a);
	store_bell_add(&rig.store, &b);
	assert_true(store_bell_arm(&rig.store, &a, STORED, end_of_ring()));
	assert_true(store_bell_arm(&rig.store, &b, STORED | DELETED, end_of_ring()));
	rig_put(&rig, 1, 1, 100);
	assert_int_equal(n_rings, 2);
	assert_int_equal(store_bell_take(&rig.store, &a), STORED);
	assert_int_equal(store_bell_take(&rig.store, &b), STORED);
	/* The other kind is waited for still. */
	rig_delete(&rig, 1);
	assert_int_equal(n_rings, 3);
	assert_int_equal(store_bell_take(&rig.store, &b), DELETED);
	assert_true(store_bell_arm(&rig.store, &b, STORED, end_of_ring()));
	store_bell_remove(&rig.store, &b);
	rig_put(&rig, 1, 1, 100);
	assert_int_equal(n_rings, 3);
	store_bell_remove(&rig.store, &a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_kinds, setup, teardown),
		cmocka_unit_test_setup_teardown(test_evicted, setup, teardown),
		cmocka_unit_test_setup_teardown(test_nobody, setup, teardown),
		cmocka_unit_test_setup_teardown(test_sealed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bell, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bell_late, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bells, setup, teardown),
	};

	return RIG_RUN(tests);
}
