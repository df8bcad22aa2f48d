/* SPDX-License-Identifier: Apache-2.0 */
/* value.c: values whose bytes follow from key, version and size. */
#include <stdio.h>
#include <string.h>

#include "tests/support/value.h"

/*
 * A value names its key, its version and its size, and goes on with a sequence that follows from
 * these, so a byte of another value, of an older version or of none shows. All of it is read with
 * plain loads: these are what the sanitizer is to compare with the stores of whoever filled the
 * block.
 */
struct value_head {
	uint64_t key, version, size, check;
};

_Static_assert(sizeof(struct value_head) == VALUE_SIZE_MIN, "the smallest value");

size_t value_key(char prefix, uint64_t key, char text[VALUE_KEY_MAX])
{
	int n = snprintf(text, VALUE_KEY_MAX, "%c/%06llx", prefix, (unsigned long long)key);

	if (key % 5 == 0) {
		memset(text + n, '.', 100 - (size_t)n);
		n = 100;
	}
	return (size_t)n;
}

static uint64_t check_of(uint64_t key, uint64_t version, uint64_t size)
{
	uint64_t state = key * 3 ^ version * 5 ^ size * 7;

	return value_random(&state);
}

void value_make(void *data, size_t size, uint64_t key, uint64_t version)
{
	struct value_head head = {key, version, size, check_of(key, version, size)};
	uint64_t state = head.check, word;
	char *at = data;

	memcpy(at, &head, sizeof(head));
	for (at += sizeof(head), size -= sizeof(head); size; at += 8, size -= 8) {
		word = value_random(&state);
		memcpy(at, &word, size < 8 ? size : 8);
		if (size < 8)
			break;
	}
}

bool value_is(const void *data, size_t size, uint64_t key, uint64_t *version)
{
	struct value_head head;
	const char *at = data;
	uint64_t state, word;

	if (size < sizeof(head))
		return false;
	memcpy(&head, at, sizeof(head));
	if (head.key != key || head.size != size || head.check != check_of(key, head.version, size))
		return false;
	state = head.check;
	for (at += sizeof(head), size -= sizeof(head); size; at += 8, size -= 8) {
		word = value_random(&state);
		if (memcmp(at, &word, size < 8 ? size : 8))
			return false;
		if (size < 8)
			break;
	}
	*version = head.version;
	return true;
}
