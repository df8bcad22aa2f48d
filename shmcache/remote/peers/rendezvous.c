/* SPDX-License-Identifier: Apache-2.0 */
/* rendezvous.c: the highest weight of all. */
#include "shmcache/remote/peers/rendezvous.h"

unsigned rendezvous_choose(const XXH128_hash_t *key, const uint64_t *members, unsigned n)
{
	uint64_t best = rendezvous_weight(key, members[0]), weight;
	unsigned chosen = 0, i;

	for (i = 1; i < n; i++) {
		weight = rendezvous_weight(key, members[i]);
		/*
		 * Among equals the one with the lower hash, so that the order in which a broker
		 * happens to list its members plays no part.
		 */
		if (weight > best || (weight == best && members[i] < members[chosen])) {
			best = weight;
			chosen = i;
		}
	}
	return chosen;
}
