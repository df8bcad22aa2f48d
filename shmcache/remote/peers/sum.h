/* SPDX-License-Identifier: Apache-2.0 */
/* sum.h: the sum of a value that goes from broker to broker: XXH3_64bits() of its bytes. */
#ifndef SHMCACHE_REMOTE_PEERS_SUM_H
#define SHMCACHE_REMOTE_PEERS_SUM_H

#include <stddef.h>
#include <stdint.h>

/*
 * The same number as xxhash.h gives, by the widest instructions that this CPU has: at the rates
 * of a connection on one machine, the sum by SSE2 alone (18 GB/s) would be a quarter of all
 * that is to be done for a byte; by AVX2 it is 60 GB/s, by AVX-512 75 GB/s. Any thread.
 */
uint64_t sum_of(const void *data, size_t size);

/* A sum that is made piece by piece. */
struct sum;

struct sum *sum_new(void); /* NULL when out of memory */
void sum_add(struct sum *sum, const void *data, size_t size);
uint64_t sum_get(const struct sum *sum); /* of what was added so far */
void sum_free(struct sum *sum);          /* NULL is ignored */

#endif
