/* SPDX-License-Identifier: Apache-2.0 */
/* sum-kernel.h: the variants of sum-kernel.c, which is compiled once for each instruction set. */
#ifndef SHMCACHE_REMOTE_PEERS_SUM_KERNEL_H
#define SHMCACHE_REMOTE_PEERS_SUM_KERNEL_H

#include <stddef.h>
#include <stdint.h>

#include <xxhash.h>

struct sum_kernel {
	uint64_t (*of)(const void *data, size_t size);
	void (*add)(XXH3_state_t *state, const void *data, size_t size);
};

extern const struct sum_kernel sum_kernel_plain, sum_kernel_avx2, sum_kernel_avx512;

#endif
