/* SPDX-License-Identifier: Apache-2.0 */
/* trace.h - a sequence of reads to replay against eviction policies. */
#ifndef BENCH_TRACE_H
#define BENCH_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One read of a key; a miss puts it. */
struct trace_read {
	uint32_t key;	   /* dense: below trace.n_keys, by first appearance */
	uint32_t size;	   /* bytes, at least 1 */
	uint32_t group;	   /* the request it is a part of, from 1; 0: of none */
	uint32_t position; /* in the request, from 0 */
};

struct trace {
	struct trace_read *reads;
	size_t n_reads, n_reads_max;
	size_t n_skipped; /* records of size 0 */
	uint32_t n_keys;
	bool chained; /* reads come in groups whose order matters */
	/* ids seen while loading: open addressing, NULL once loaded */
	struct trace_id *ids;
	size_t n_ids_max;
};

/* Says what is wrong, with file and line or record, for people. */
struct trace_error {
	char text[256];
};

enum trace_format { TRACE_GUESS, TRACE_JSONL, TRACE_ORACLE };

/* What one block of a JSONL trace counts for. */
enum { TRACE_BLOCK_SIZE = 4096 };

/*
 * Load a file.  TRACE_GUESS takes a name that ends in .jsonl or a content that
 * starts with '{' as JSONL, all else as oracleGeneral.  At most `n_max` reads
 * are loaded (0: all).  0, or a negative errno with the message set: -EINVAL
 * for a file that is not what it should be.  The trace is set on success only;
 * free it with trace_free(), which takes a zeroed one too.
 */
int trace_load(struct trace *t, const char *path, enum trace_format format, size_t n_max,
	struct trace_error *error);
void trace_free(struct trace *t);

/*
 * JSONL: a line is
 *	{"timestamp": N, "input_length": N, "output_length": N, "hash_ids": [N, ...]}
 * with members in any order, unknown ones with number values allowed, hash_ids
 * required.  Each of the ids is a block, read in this order; a line is a group.
 */
int trace_load_jsonl(
	struct trace *t, const char *path, size_t n_max, struct trace_error *error);

/*
 * libCacheSim's oracleGeneral: records of 24 bytes, little-endian and packed:
 * u32 time, u64 id, u32 size, i64 next.  next is not used: it is what Belady
 * would need, and is worked out from the trace itself.  Records of size 0 are
 * counted and skipped, as there.
 */
enum { TRACE_ORACLE_RECORD_SIZE = 24 };
int trace_load_oracle(
	struct trace *t, const char *path, size_t n_max, struct trace_error *error);

/*
 * Make one up: KIND[:NAME=NUMBER[,...]] with keys, reads, alpha, and mixed=1
 * for sizes from 64 B to 16 MiB instead of all TRACE_BLOCK_SIZE.
 *	zipf		independent reads by a power law
 *	scan		the same, with a scan of new keys now and then
 *	loop		round and round
 *	zipf-loop	three reads in four of zipf, one of a loop
 *	shift		zipf over other keys in each sixth of the time
 * The same spec and seed give the same trace.
 */
int trace_make(
	struct trace *t, const char *spec, uint64_t seed, struct trace_error *error);
const char *trace_kinds(unsigned i); /* NULL at the end */

/* For the readers: add one read, of an id of any value.  -ENOMEM, -E2BIG. */
int trace_add(
	struct trace *t, uint64_t id, uint64_t size, uint32_t group, uint32_t position);
void trace_error_set(struct trace_error *error, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* S. Vigna's splitmix64: the same sequence for the same state on any machine. */
static inline uint64_t trace_random(uint64_t *state)
{
	uint64_t x = *state += UINT64_C(0x9e3779b97f4a7c15);

	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

#endif
