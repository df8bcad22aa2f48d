/* SPDX-License-Identifier: Apache-2.0 */
/* recovering.h: an index that is left, opened again and looked through. */
#ifndef TESTS_SHMCACHE_RECOVERING_H
#define TESTS_SHMCACHE_RECOVERING_H

#include "tests/shmcache/rig.h"

/* The one index of the program. */
extern struct recovering {
	struct index index;
	char name[64], why[256];
} left;

/* For cmocka: a fresh name, and nothing left under it. */
int recovering_setup(void **state);
int recovering_teardown(void **state);

void recovering_create(uint64_t size_max);

/* Reopen and recover. Returns 0, or -EUCLEAN where @may_fail; all else fails the test. */
int recovering_open(uint64_t size_max, struct index_recovery *out, bool may_fail);

/*
 * Is all in order? By other means than the code under test: each word names a published cell, no
 * cell is in use twice, each record is found by its key, and no cell is lost.
 */
void recovering_check(void);

/* Key number @i in @version, which its record says in the fields that the index leaves to its
 * user. */
int recovering_put(uint64_t i, uint32_t version);
void recovering_drop(uint64_t i);

/* The version of key @i that is there, 0: none. It must be whole. */
uint32_t recovering_version(uint64_t i);

#endif
