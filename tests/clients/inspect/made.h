/* SPDX-License-Identifier: Apache-2.0 */
/* made.h: a small cache in private memory, the same each time, to be looked at and spoilt. */
#ifndef TESTS_CLIENTS_INSPECT_MADE_H
#define TESTS_CLIENTS_INSPECT_MADE_H

#include "clients/inspect/image.h"
#include "ipc/submission.h"

enum {
	MADE_BUCKETS_MAX = 16,
	MADE_BUCKETS = 5, /* 4, and the one that was split last */
	MADE_OVERFLOW_MAX = 8,
	MADE_CELLS_MAX = 64,
	MADE_LINES = 4,
	MADE_LANES = 2,
	MADE_QUEUE = 16,
	MADE_HOLDS = 64,
	MADE_LOG = 64,
	MADE_STAGING = 64 << 10,
	MADE_DRAM = 1 << 20,
	MADE_CXL = 2 << 20,
	MADE_NOW = 100000, /* ms */
	MADE_PID = 4711,
};

/*
 * What is in it: a dozen entries of all kinds, in both tiers, in chains of up to two buckets; one
 * that was deleted and is held; a session of two lanes with requests in flight. All pointers may
 * be written through. Numbers balance, and nobody is awake.
 */
struct made {
	struct abi_plane *plane;
	struct abi_index *index;
	struct abi_bucket *bucket, *overflow;
	struct abi_record *cell;
	uint8_t *request, *response;
	struct abi_geometry geometry;
	size_t plane_size, index_size;
	uint32_t n_cells, n_overflow;
	uint64_t n_dram, n_cxl; /* where the next value goes */
	struct image image;
};

void made_open(struct made *m);
void made_close(struct made *m);

/* Twenty requests on the second lane, four of them without an answer, which come in any order. */
void made_fetches(struct made *m);

/* Look at the memory as it is now: m->image. 0 or what the image says. */
int made_look(struct made *m, char *why, size_t why_size);

/* One more entry; where its word is. @expire_ms 0: never. */
struct shared_u64 *made_put(struct made *m, const char *key, unsigned tier, uint32_t value_size,
	const struct abi_hints *hints, uint64_t expire_ms);

/* The slot that names @key, and its record. */
struct shared_u64 *made_slot(const struct made *m, const char *key);
struct abi_record *made_record(const struct made *m, const char *key);

struct abi_lane_request *made_request(const struct made *m, unsigned lane);
struct abi_lane_response *made_response(const struct made *m, unsigned lane);
struct abi_submission *made_submission(const struct made *m, unsigned lane, unsigned slot);
struct abi_completion *made_completion(const struct made *m, unsigned lane, unsigned slot);
struct abi_submission *made_elsewhere(const struct made *m, unsigned lane, unsigned place);
struct shared_u64 *made_hold(const struct made *m, unsigned lane, unsigned cell);

#endif
