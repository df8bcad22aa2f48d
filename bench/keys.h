/* SPDX-License-Identifier: Apache-2.0 */
/* Keys, in an order that is the same for all sides, and values that tell whose they are.
 */
#ifndef BENCH_KEYS_H
#define BENCH_KEYS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define KEYS_VALUE_SIZE 64

/*
 * @n keys "key:%0*d", numbered from 0, and a sequence of @n_seq of them. The keys of the
 * sequence lie one behind the other as they are asked for, so that reading them is a
 * stream which the processor prefetches: what is measured is the look-up and not a cache
 * miss on the key.
 */
struct keys {
	size_t n;
	size_t n_seq;
	size_t size;  /* of each key */
	char *seq;    /* n_seq keys of size bytes, no terminators */
	uint32_t *id; /* of each key of the sequence */
};

/* The sequence is a permutation of all keys if n_seq == n, else n_seq keys drawn at
 * random. The same
 * @seed gives the same sequence. 0 or -ENOMEM. */
int keys_init(struct keys *keys, size_t n, size_t n_seq, size_t size, const char *prefix,
	uint64_t seed);
void keys_deinit(struct keys *keys);

static inline const char *keys_at(const struct keys *keys, size_t position)
{
	return keys->seq + position * keys->size;
}

/* One key by its number, into @key of size + 1 bytes. */
void keys_write(char *key, size_t size, const char *prefix, size_t id);

/* What the first eight bytes of key @id's value hold, in its version @version. */
static inline uint64_t keys_word(uint64_t id, uint64_t version)
{
	uint64_t x = (id + 1) * UINT64_C(0x9e3779b97f4a7c15) ^ version << 56;

	return x ^ x >> 29;
}

/* Fill or check a value of @size bytes (a multiple of 8); the check returns 0 or
 * -EBADMSG. */
void keys_value_fill(void *value, size_t size, uint64_t id, uint64_t version);
int keys_value_check(const void *value, size_t size, uint64_t id, uint64_t version);

/* The sum of the first words of the values of the first @n positions of the sequence,
 * over and over if @n is more than that: a reader that adds up what it read is right if
 * it gets the same. */
uint64_t keys_sum(const struct keys *keys, size_t n, uint64_t version);

static inline uint64_t keys_word_read(const void *value)
{
	uint64_t word;

	memcpy(&word, value, sizeof(word));
	return word;
}

#endif
