/* SPDX-License-Identifier: Apache-2.0 */
/* submission.c: packing and unpacking of ring slots. */
#include "ipc/submission.h"

/*
 * The slot carries its own sequence, and no tail position is polled: handing a request over moves
 * one cache line from core to core and not two. This is what keeps a round trip near the price of
 * the bare line. Positions are shared as well, for back-pressure and inspectors, off that path.
 *
 * A client can rewrite a slot while we copy it. That is its own affair, as long as each word is
 * loaded once and all checks are made on the copy: the loads are atomic, so the compiler can
 * neither tear nor repeat them.
 */
void submission_publish(struct abi_submission *slot, uint64_t position, const struct submission *s)
{
	shared_u64_store(&slot->word[0], (uint64_t)s->operation | (uint64_t)s->flags << 16 |
			(uint64_t)s->tier << 24 | (uint64_t)s->priority << 32 |
			(uint64_t)s->key_size << 48);
	shared_u64_store(&slot->word[1], (uint64_t)s->position << 32 | s->id);
	shared_u64_store(&slot->word[2], (uint64_t)s->value_size << 32 | s->staging_off);
	shared_u64_store(&slot->word[3], s->argument);
	shared_u64_store(&slot->word[4], s->group);
	shared_u64_store(&slot->word[5], s->since_ms);
	shared_u64_store(&slot->word[6], 0);
	/* partner: the acquire in submission_is_there() */
	shared_u64_store_release(&slot->word[7], position + 1);
}

/* The flags that each operation knows; IF_ABSENT is let pass where it says nothing. */
static unsigned flags_of(unsigned operation)
{
	switch (operation) {
	case ABI_OP_FETCH:
		return SUBMISSION_PREFETCH | SUBMISSION_WRITE_BACK_MASK;
	case ABI_OP_DELETE:
		return SUBMISSION_IF_ABSENT | SUBMISSION_CLUSTER;
	default:
		return SUBMISSION_IF_ABSENT;
	}
}

#define N_WORDS 7 /* without the sequence */

static inline enum abi_fault unpack(const uint64_t raw_word[N_WORDS], struct submission *s)
{
	s->operation = (uint8_t)raw_word[0];
	s->flags = (uint8_t)(raw_word[0] >> 16);
	s->tier = (uint8_t)(raw_word[0] >> 24);
	s->priority = (uint8_t)(raw_word[0] >> 32);
	s->key_size = (uint16_t)(raw_word[0] >> 48);
	s->id = (uint32_t)raw_word[1];
	s->position = (uint32_t)(raw_word[1] >> 32);
	s->staging_off = (uint32_t)raw_word[2];
	s->value_size = (uint32_t)(raw_word[2] >> 32);
	s->argument = raw_word[3];
	s->group = raw_word[4];
	s->since_ms = raw_word[5];

	if (s->operation == ABI_OP_NONE || s->operation >= ABI_N_OPERATIONS)
		return ABI_FAULT_OPERATION;
	if ((raw_word[0] >> 8 & 0xff) || (raw_word[0] >> 40 & 0xff) || raw_word[6])
		return ABI_FAULT_FIELD;
	if ((s->flags & ~flags_of(s->operation)) || submission_write_back(s) > ABI_N_WRITE_BACKS ||
		s->tier >= ABI_TIERS)
		return ABI_FAULT_FIELD;
	return ABI_FAULT_NONE;
}

enum abi_fault submission_snapshot(const struct abi_submission *slot, struct submission *s)
{
	uint64_t raw_word[N_WORDS];
	int i;

	for (i = 0; i < N_WORDS; i++)
		raw_word[i] = shared_u64_load(&slot->word[i]);
	return unpack(raw_word, s);
}

/* --- for who looks on ------------------------------------------------------------------------- */

/*
 * A place is used again and again while somebody may be reading it, so that its words are stored
 * with release, each behind the 0 that submission_hide() has left: who loads one of them with
 * acquire, and the sequence after it, finds that it has changed. A lane has a position once.
 */
void submission_show(struct abi_submission *place, uint64_t position, const struct submission *s)
{
	struct abi_submission packed;
	int i;

	submission_publish(&packed, position, s);
	/* partner: the acquires in submission_seen() */
	for (i = 0; i <= N_WORDS; i++)
		shared_u64_store_release(&place->word[i], shared_u64_load(&packed.word[i]));
}

int submission_seen(const struct abi_submission *place, uint64_t *position, struct submission *s,
	enum abi_fault *flaw)
{
	uint64_t raw_word[N_WORDS], sequence;
	int i;

	/* partner: the releases in submission_show() and submission_hide() */
	sequence = shared_u64_load_acquire(&place->word[7]);
	for (i = 0; i < N_WORDS; i++)
		raw_word[i] = shared_u64_load_acquire(&place->word[i]);
	if (!sequence || shared_u64_load_acquire(&place->word[7]) != sequence)
		return 0;
	*position = sequence - 1;
	*flaw = unpack(raw_word, s);
	return 1;
}
