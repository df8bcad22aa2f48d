/* SPDX-License-Identifier: Apache-2.0 */
/* What one side of a comparison works on: a store, the keys, and what came of it. */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

#include "bench/keys.h"

struct load {
	void *store; /* a struct shmc, rival_lmdb or rival_server */
	const struct keys *keys;
	uint64_t version; /* that puts write and gets expect */
	uint64_t sum;	  /* of the first words of all values that were read */
	uint64_t n_wrong; /* answers that were not what they had to be */
};

/* Where in the sequence a group begins. Groups divide the sequence. */
static inline size_t load_position(const struct load *load, size_t first)
{
	return first % load->keys->n_seq;
}

#endif
