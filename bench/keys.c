/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys, in an order that is the same for all sides, and values that tell whose they are.
 *
 * A benchmark that does not look at what it read measures whatever the compiler and the
 * cache left of the work. Here every value begins with a word that only its key and
 * version have, each reader adds up the words, and the sum over a round must be right;
 * that costs one addition a read on either side. Full checks of all bytes are made
 * outside the measured time.
 */
#include "bench/keys.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* xorshift64*: good enough to shuffle, and the same everywhere. */
static uint64_t random_next(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * UINT64_C(0x2545f4914f6cdd1d);
}

static size_t random_below(uint64_t *state, size_t n)
{
	return (size_t)((__extension__(unsigned __int128) random_next(state) * n) >> 64);
}

static void sequence_draw(struct keys *keys, uint64_t seed)
{
	uint64_t state = seed * 2 + 1;
	size_t i, j;
	uint32_t id;

	for (i = 0; i < keys->n_seq; i++)
		keys->id[i] = (uint32_t)(keys->n == keys->n_seq
						 ? i
						 : random_below(&state, keys->n));
	for (i = keys->n_seq; i > 1; i--) {
		j = random_below(&state, i);
		id = keys->id[i - 1];
		keys->id[i - 1] = keys->id[j];
		keys->id[j] = id;
	}
}

void keys_write(char *key, size_t size, const char *prefix, size_t id)
{
	snprintf(key, size + 1, "%s%0*zu", prefix, (int)(size - strlen(prefix)), id);
}

int keys_init(struct keys *keys, size_t n, size_t n_seq, size_t size, const char *prefix,
	uint64_t seed)
{
	size_t i;

	*keys = (struct keys){.n = n, .n_seq = n_seq, .size = size};
	keys->seq = malloc(n_seq * size + 1);
	keys->id = malloc(n_seq * sizeof(*keys->id));
	if (!keys->seq || !keys->id) {
		keys_deinit(keys);
		return -ENOMEM;
	}
	sequence_draw(keys, seed);
	for (i = 0; i < n_seq; i++)
		keys_write(keys->seq + i * size, size, prefix, keys->id[i]);
	return 0;
}

void keys_deinit(struct keys *keys)
{
	free(keys->seq);
	free(keys->id);
	*keys = (struct keys){0};
}

void keys_value_fill(void *value, size_t size, uint64_t id, uint64_t version)
{
	uint64_t word = keys_word(id, version);
	char *at = value;
	size_t i;

	for (i = 0; i < size; i += 8, word++)
		memcpy(at + i, &word, 8);
}

int keys_value_check(const void *value, size_t size, uint64_t id, uint64_t version)
{
	uint64_t word = keys_word(id, version);
	const char *at = value;
	size_t i;

	for (i = 0; i < size; i += 8, word++)
		if (keys_word_read(at + i) != word)
			return -EBADMSG;
	return 0;
}

uint64_t keys_sum(const struct keys *keys, size_t n, uint64_t version)
{
	uint64_t sum = 0;
	size_t i;

	for (i = 0; i < n; i++)
		sum += keys_word(keys->id[i % keys->n_seq], version);
	return sum;
}
