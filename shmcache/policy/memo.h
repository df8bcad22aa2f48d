/* SPDX-License-Identifier: Apache-2.0 */
/* memo.h - inside the policies: 3 bits remembered of each evicted entry. */
#ifndef SHMCACHE_POLICY_MEMO_H
#define SHMCACHE_POLICY_MEMO_H

#include <stddef.h>
#include <stdint.h>

enum { MEMO_N_WAYS = 16, MEMO_VALUE_MAX = 7 };

/* One set: the newest first; a word is tag:13 | value:3, 0 when empty. */
struct memo_set {
	uint16_t word[MEMO_N_WAYS];
};

struct memo {
	struct memo_set *set;
	uint32_t n_sets;
	size_t map_size;
};

/* For caches of up to n_max entries; -ENOMEM. */
int memo_init(struct memo *m, uint32_t n_max);
void memo_deinit(struct memo *m);
uint64_t memo_books_size(const struct memo *m);

/*
 * Keep about as many words as entries are resident, 2 bytes each.  Forgets
 * everything when that has changed by a quarter up or by half down.
 */
void memo_fit(struct memo *m, uint32_t n_resident);

/* Remember a value from 1 to 7; the oldest in the same set is forgotten. */
void memo_put(struct memo *m, uint32_t hash, unsigned value);
/* What was remembered, which is forgotten now; 0 when nothing was. */
unsigned memo_take(struct memo *m, uint32_t hash);

#endif
