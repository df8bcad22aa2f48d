/* SPDX-License-Identifier: Apache-2.0 */
/* hash.h: the one hash function of keys, the same in broker and clients. */
#ifndef IPC_HASH_H
#define IPC_HASH_H

#include <stddef.h>
#include <stdint.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

/*
 * XXH3 with a seed that the broker draws at random when it makes an index: keys that collide in one
 * cache don't in the next. Inlined, since a call costs as much as the hash of a short key.
 */
static inline uint64_t hash_bytes(uint64_t seed, const void *data, size_t size)
{
	return XXH3_64bits_withSeed(data, size, seed);
}

#endif
