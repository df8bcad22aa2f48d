/* SPDX-License-Identifier: Apache-2.0 */
/* Between load.c and load-batch.c. */
#ifndef TESTS_TSAN_LOAD_PRIVATE_H
#define TESTS_TSAN_LOAD_PRIVATE_H

#include "tests/tsan/load.h"

__attribute__((format(printf, 2, 3)))
void load_fail(struct load *load, const char *format, ...);

/* Any of @n. */
unsigned load_any(struct load *load, unsigned n);

/* Mostly small, now and then too large for one copy under the lock, or for staging. */
size_t load_size(struct load *load);

/* A version that no other thread makes. */
uint64_t load_version(struct load *load);

/* Is the view one of @key of the prefix 's'? */
void load_check(struct load *load, const struct shmc_view *view, uint64_t key, const char *how);

/* Many keys at once: get_many, execute, a queue. */
void load_get_many(struct load *load);
void load_execute(struct load *load);
void load_queue(struct load *load);

#endif
