/* SPDX-License-Identifier: Apache-2.0 */
/* sum.c: which variant this CPU can do. */
#include <stdlib.h>

#include "ipc/hash.h"
#include "shmcache/remote/peers/sum-kernel.h"
#include "shmcache/remote/peers/sum.h"

/* The state is the same for all variants. */
struct sum {
	XXH3_state_t state;
};

static const struct sum_kernel *kernel(void)
{
#ifdef SUM_X86
	if (__builtin_cpu_supports("avx512f"))
		return &sum_kernel_avx512;
	if (__builtin_cpu_supports("avx2"))
		return &sum_kernel_avx2;
#endif
	return &sum_kernel_plain;
}

uint64_t sum_of(const void *data, size_t size)
{
	return kernel()->of(data, size);
}

struct sum *sum_new(void)
{
	struct sum *sum = aligned_alloc(_Alignof(struct sum), sizeof(*sum));

	if (sum)
		XXH3_64bits_reset(&sum->state);
	return sum;
}

void sum_add(struct sum *sum, const void *data, size_t size)
{
	kernel()->add(&sum->state, data, size);
}

uint64_t sum_get(const struct sum *sum)
{
	return XXH3_64bits_digest(&sum->state);
}

void sum_free(struct sum *sum)
{
	free(sum);
}
