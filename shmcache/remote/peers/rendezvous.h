/* SPDX-License-Identifier: Apache-2.0 */
/* rendezvous.h: which of the members is in charge of a key. */
#ifndef SHMCACHE_REMOTE_PEERS_RENDEZVOUS_H
#define SHMCACHE_REMOTE_PEERS_RENDEZVOUS_H

#include <stdint.h>

#include "ipc/hash.h"

/*
 * Rendezvous hashing (D. G. Thaler and C. V. Ravishankar, "Using Name-Based Mappings to Increase
 * Hit Rates", IEEE/ACM Transactions on Networking 6(1), 1998: "highest random weight"). Each member
 * has a weight for each key, a hash of both; the highest has it. All who see the same members
 * agree, without a word to each other; when one of n leaves, only its own share (1/n of the keys)
 * moves, evenly onto the others, and when one joins, only what it gets.
 *
 * It costs a multiplication for each member and key: for some hundred members it is below a
 * microsecond, and needs no table.
 */

/* The weight of a member for a key. @member is a hash of its name, the same at all brokers. */
static inline uint64_t rendezvous_weight(const XXH128_hash_t *key, uint64_t member)
{
	/*
	 * The finalizer of SplitMix64 (G. L. Steele, D. Lea and C. H. Flood, "Fast Splittable
	 * Pseudorandom Number Generators", OOPSLA 2014), over what is already two good hashes.
	 */
	uint64_t x = key->low64 ^ (member + 0x9e3779b97f4a7c15);

	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
	x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
	return x ^ (x >> 31);
}

/*
 * The index of the member in charge of @key, of the @n hashes at @members; @n is not 0. Two hashes
 * that are equal are one member's: the first is it then.
 */
unsigned rendezvous_choose(const XXH128_hash_t *key, const uint64_t *members, unsigned n);

#endif
