/* SPDX-License-Identifier: Apache-2.0 */
/* rig.h: a handle on a cache in private memory, whose broker is the test itself. */
#ifndef TESTS_CLIENTS_RIG_H
#define TESTS_CLIENTS_RIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "clients/lib/handle.h"
#include "clients/lib/session.h"

enum {
	RIG_LANES = 4,
	RIG_QUEUE = 16,
	RIG_HOLDS = 64,
	RIG_LOG = 64,
	RIG_STAGING = 64 << 10,
	RIG_BUCKETS_MAX = 64,
	RIG_OVERFLOW_MAX = 128,
	RIG_CELLS_MAX = 4096,
	RIG_DRAM = 1 << 20,
	RIG_EPOCH = 7,
};

/*
 * The public functions work on @cache as on any other; there is no process at the other end, so
 * what they ask for is done only when the test does it: from another thread, or beforehand. The
 * index is written by rig_...(), with the orders of a broker.
 */
struct rig {
	struct shmc *cache;
	struct session *session;
	struct abi_plane *plane;
	struct abi_index *index;
	struct abi_bucket *bucket, *overflow;
	struct abi_record *cell;
	uint8_t *dram, *request, *response;
	struct abi_geometry geometry;
	uint64_t consumed[RIG_LANES], completed[RIG_LANES];
	int doorbell[RIG_LANES]; /* the broker's ends */
	int socket;
	uint32_t n_cells, n_overflow;
	uint64_t n_dram;
};

void rig_open(struct rig *rig, enum wire_role role);
void rig_close(struct rig *rig);

struct abi_lane_request *rig_request(const struct rig *rig, unsigned lane);
struct abi_lane_response *rig_response(const struct rig *rig, unsigned lane);
struct shared_u64 *rig_holds(const struct rig *rig, unsigned lane);
uint8_t *rig_staging(const struct rig *rig, unsigned lane);
/*
 * How many sessions the handle has, those that linger included: 1, or 0 once it was lost and
 * freed.
 */
unsigned rig_n_sessions(struct rig *rig);
/* How many hold cells of all lanes are set. */
unsigned rig_n_held(const struct rig *rig);

/* --- the index -------------------------------------------------------------------------------- */

struct rig_entry {
	const void *key;
	size_t key_size;
	const void *value;
	size_t value_size;
	uint64_t expire_ms;
	const struct abi_hints *hints; /* NULL: none */
};

uint64_t rig_hash(const struct rig *rig, const void *key, size_t size);
/* Write a record; nobody sees it before its word is somewhere. Returns the word. */
uint64_t rig_record(struct rig *rig, const struct rig_entry *entry);
/* Publish a word in the first empty slot of its chain, which grows as need be; returns the slot. */
struct shared_u64 *rig_publish(struct rig *rig, uint64_t word, uint64_t hash);
/* All of it for a key and value that are strings. */
struct shared_u64 *rig_store(struct rig *rig, const char *key, const char *value);
/* One bucket more, by linear hashing's split, in the order that readers rely on. */
void rig_split(struct rig *rig);

/* --- the rings -------------------------------------------------------------------------------- */

/* Take the next submission of a lane. Returns whether there was one. */
bool rig_take(struct rig *rig, unsigned lane, struct submission *s);
void rig_answer(struct rig *rig, unsigned lane, uint32_t id, enum abi_status status,
	uint64_t result0, uint64_t result1);
/* How often the client rang since the last time; it is taken to be silent then. */
unsigned rig_bell(struct rig *rig, unsigned lane);

#endif
