/* SPDX-License-Identifier: Apache-2.0 */
/* Keys and values that tell whether they are what was put. */
#ifndef SUPPORT_VALUE_H
#define SUPPORT_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VALUE_KEY_MAX 128
#define VALUE_SIZE_MIN 32

/* A step of splitmix64. */
static inline uint64_t value_random(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

/*
 * The key of number @key: "PREFIX/HEX", and for one in five as long as makes tails of it. Returns
 * its size.
 */
size_t value_key(char prefix, uint64_t key, char text[VALUE_KEY_MAX]);

/* Fill @data with version @version of the value of @key; @size is at least VALUE_SIZE_MIN. */
void value_make(void *data, size_t size, uint64_t key, uint64_t version);

/* Is every byte of @data what value_make() wrote for @key? If so *version is which. */
bool value_is(const void *data, size_t size, uint64_t key, uint64_t *version);

#endif
