/* SPDX-License-Identifier: Apache-2.0 */
/* books.h: does all that is used add up to what is there? */
#ifndef TESTS_STEP_BOOKS_H
#define TESTS_STEP_BOOKS_H

#include <stddef.h>

#include "tests/shmcache/rig.h"

/*
 * Both: 0, or -EUCLEAN and the first finding. They fail no test, so that a child may ask, too.
 *
 * Each entry lies where no other does, by the records alone.
 */
int books_disjoint(const struct rig *rig, char *why, size_t why_size);

/*
 * Nobody holds anything, and nothing is under way: what is retired goes, in as many rounds as that
 * takes, and then every block is an entry's, nothing is open, promised or waited for, and
 * store_check() finds nothing.
 */
int books_at_rest(struct rig *rig, char *why, size_t why_size);

#endif
