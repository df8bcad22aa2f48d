/* SPDX-License-Identifier: Apache-2.0 */
/* rig.h: a store of its own for a test program, without broker, sessions or sockets. */
#ifndef TESTS_SHMCACHE_RIG_H
#define TESTS_SHMCACHE_RIG_H

#include <stdbool.h>
#include <stdint.h>

#include "shmcache/store.h"

#define MIB (UINT64_C(1) << 20)
#define KIB (UINT64_C(1) << 10)

#define RIG_HOLDS 64

/*
 * To be called by main() first: from here on whatever carries this process's names in /dev/shm is
 * removed when it ends, be it by exit() or by a signal that a test runner or a person sends.
 */
void rig_begin(void);

/* Of a group of tests: this thread may use a store. */
int rig_thread_in(void **state);
int rig_thread_out(void **state);

/* All that a main() with an array of tests has to do. */
#define RIG_RUN(tests) \
	(rig_begin(), cmocka_run_group_tests(tests, rig_thread_in, rig_thread_out))

/*
 * What stands in for the clients: the cells in @held are held. They are set with release after
 * the cell was found, and cleared with release.
 */
struct rig {
	struct store store;
	struct store_options options;
	struct store_opened opened;
	struct abi_worker w; /* the main thread's */
	char index_name[64], dram_name[64], cxl_name[64];
	struct shared_u64 held[RIG_HOLDS];
	/*
	 * Called, if there is one, when the store asks for the logs: in the middle of making room.
	 */
	void (*on_drain)(struct rig *rig);
	char why[256];
	bool is_open;
};

/*
 * Set a rig up: names that contain the pid, defaults in @options that the caller may change
 * before rig_open(). The memory must stay where it is.
 */
void rig_init(struct rig *rig, uint64_t dram_size, uint64_t index_size_max);

/* Give the options a second tier, with nothing moving on its own account. */
void rig_add_cxl(struct rig *rig, uint64_t cxl_size);

/* Both: a new store of the two, which evicts one at a time. */
void rig_open_tiers(struct rig *rig, uint64_t dram_size, uint64_t cxl_size);

/* store_open(), with or without what is there. Returns what it returned; fails the test unless 0.
 */
void rig_open(struct rig *rig, bool reuse);
int rig_try_open(struct rig *rig, bool reuse);

/* store_close(); the memory stays. */
void rig_close(struct rig *rig);

/* Close, and remove all that is under the rig's names. */
void rig_remove(struct rig *rig);

/* A name in /dev/shm that no other process uses: /shmc-unit-PID-@what. */
void rig_name(char *out, size_t size, const char *what);

/* How many objects in /dev/shm carry this process's pid; prints them. */
unsigned rig_leftovers(void);

/* store_check(), and fails the test with its finding. */
void rig_check(struct rig *rig);

/* One reclaim round after another until nothing is in limbo that can go. */
void rig_drain(struct rig *rig);

/* --- numbers, keys and values, all made from numbers -------------------------------------- */

/* splitmix64: good enough, tiny, and the same on every machine. */
uint64_t rig_random(uint64_t *state);

/* A value of about 1..@max, each power of two as likely as the other. */
uint64_t rig_random_size(uint64_t *state, uint64_t max);

/* Key number @i: 8 to 40 bytes for most, up to 1024 for some; no two are the same. */
size_t rig_key(uint64_t i, uint8_t bytes[ABI_KEY_SIZE_MAX]);
struct index_key rig_index_key(
	const struct rig *rig, uint64_t i, uint8_t bytes[ABI_KEY_SIZE_MAX]);

void rig_fill(void *bytes, size_t size, uint64_t seed);
bool rig_is_filled(const void *bytes, size_t size, uint64_t seed);

/* --- requests by key number --------------------------------------------------------------- */

/* Put key @i with @size bytes made of @seed; by the main thread. */
enum abi_status rig_put(struct rig *rig, uint64_t i, uint64_t seed, uint64_t size);
enum abi_status rig_put_with(struct rig *rig, uint64_t i, uint64_t seed, uint64_t size,
	const struct store_put_options *options);
enum abi_status rig_delete(struct rig *rig, uint64_t i);

/* Put it where it shall go, made of its number; fails the test if it is refused. */
void rig_put_in(struct rig *rig, enum abi_tier tier, uint64_t i, uint64_t size);

/*
 * Look key @i up under the lock. Returns its size, 0 when it is not there; fails the test when
 * what is there is not @size bytes made of @seed.
 */
uint64_t rig_get(struct rig *rig, uint64_t i, uint64_t seed, uint64_t size);

/* The published cell of key @i, 0 when there is none; and where its bytes are. */
uint32_t rig_cell(struct rig *rig, uint64_t i);
char *rig_value(struct rig *rig, uint32_t cell);

/* The tier that key @i is in, ABI_TIER_NONE when it is in none. */
enum abi_tier rig_tier_of(struct rig *rig, uint64_t i);

/* A counter of the main thread. */
uint64_t rig_count(const struct rig *rig, enum abi_counter counter);

/* --- a reader of the design's kind -------------------------------------------------------- */

/*
 * Look @key up in a mapping as a client does: no lock, a hold in @hold. Returns the word that is
 * held then, or 0 with nothing held. *n_again counts how often it had to start over.
 */
uint64_t rig_read(const struct lookup *l, struct shared_u64 *hold, const void *key, size_t size,
	uint64_t *n_again);
void rig_let_go(struct shared_u64 *hold);

#endif
