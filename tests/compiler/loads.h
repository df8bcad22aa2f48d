/* SPDX-License-Identifier: Apache-2.0 */
/* Which bytes of memory a piece of machine code reads, and how often. */
#ifndef TESTS_COMPILER_LOADS_H
#define TESTS_COMPILER_LOADS_H

#include <stddef.h>
#include <stdint.h>

#define LOADS_MAX 64

/* The accesses to the watched memory, in their order. */
struct loads {
	size_t off[LOADS_MAX]; /* of the first byte of each */
	size_t n;	       /* may be more than there is place for */
};

/* Memory of @size bytes (up to a page) that can be watched, zeroed. NULL: out of memory. */
void *loads_alloc(size_t size);

/* Run @code, with every instruction of it that touches the memory written down. One at a time. */
void loads_watch(void *memory, struct loads *loads, void (*code)(void *context), void *context);

#endif
