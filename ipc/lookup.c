/* SPDX-License-Identifier: Apache-2.0 */
/* lookup.c: the parts of a record that do not fit its cache line. */
#include "ipc/lookup.h"

/*
 * Keys up to 32 bytes live in the record's own line, the common case. Longer ones, and the hints of
 * entries that have some, go on in tail cells of the same array. They are as immutable as the
 * record and are reclaimed with it.
 *
 * The walk is bounded by the key's size and not by the links, so that not even a broken chain can
 * make it endless.
 */
struct tail_cursor {
	const struct lookup *l;
	const struct abi_tail *tail;
	size_t off;
};

static void tail_begin(struct tail_cursor *c, const struct lookup *l, const struct abi_record *r)
{
	c->l = l;
	c->tail = (const struct abi_tail *)&l->cell[r->tail];
	c->off = r->flags & ABI_RECORD_HINTS ? sizeof(struct abi_hints) : 0;
}

/* The next stretch of up to @want bytes. */
static const uint8_t *tail_stretch(struct tail_cursor *c, size_t want, size_t *size)
{
	const uint8_t *bytes;

	if (c->off == ABI_TAIL_BYTES) {
		c->tail = (const struct abi_tail *)&c->l->cell[c->tail->next];
		c->off = 0;
	}
	bytes = c->tail->bytes + c->off;
	*size = ABI_TAIL_BYTES - c->off < want ? ABI_TAIL_BYTES - c->off : want;
	c->off += *size;
	return bytes;
}

bool lookup_tail_matches(const struct lookup *l, const struct abi_record *r, const void *key)
{
	const uint8_t *rest = (const uint8_t *)key + ABI_KEY_INLINE;
	size_t left = r->key_size - ABI_KEY_INLINE, size;
	const uint8_t *bytes;
	struct tail_cursor c;

	for (tail_begin(&c, l, r); left; left -= size, rest += size) {
		bytes = tail_stretch(&c, left, &size);
		if (memcmp(bytes, rest, size))
			return false;
	}
	return true;
}

void lookup_record_key(const struct lookup *l, const struct abi_record *r, void *key)
{
	size_t left, size = r->key_size < ABI_KEY_INLINE ? r->key_size : ABI_KEY_INLINE;
	uint8_t *to = key;
	const uint8_t *bytes;
	struct tail_cursor c;

	memcpy(to, r->key, size);
	to += size;
	left = r->key_size - size;
	if (!left)
		return;
	for (tail_begin(&c, l, r); left; left -= size, to += size) {
		bytes = tail_stretch(&c, left, &size);
		memcpy(to, bytes, size);
	}
}

void lookup_record_hints(
	const struct lookup *l, const struct abi_record *r, struct abi_hints *hints)
{
	if (r->flags & ABI_RECORD_HINTS)
		memcpy(hints, ((const struct abi_tail *)&l->cell[r->tail])->bytes, sizeof(*hints));
	else
		memset(hints, 0, sizeof(*hints));
}
