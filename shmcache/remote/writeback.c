/* SPDX-License-Identifier: Apache-2.0 */
/* writeback.c: the policies of writing back. */
#include "shmcache/remote/writeback.h"

int writeback_init(struct writeback *w)
{
	return recall_init(&w->seen, WRITEBACK_SEEN_MAX);
}

void writeback_deinit(struct writeback *w)
{
	recall_deinit(&w->seen);
}

/*
 * What is read once is not worth a place; what is read twice is likely to be read again. The first
 * time leaves a name of 16 bytes, and no value.
 */
static enum verdict judge_second_hit(struct writeback *w, XXH128_hash_t name, uint64_t now_ms)
{
	bool is_known = recall_knows(&w->seen, name, now_ms);

	/* It stays known: this time it may not come, and what is kept may be evicted. */
	recall_note(&w->seen, name, now_ms + WRITEBACK_SEEN_MS, now_ms);
	return is_known ? VERDICT_KEEP : VERDICT_DECLINE;
}

enum verdict writeback_judge(struct writeback *w, enum abi_write_back policy, XXH128_hash_t name,
	bool is_batched, uint64_t now_ms)
{
	switch (policy) {
	case ABI_WRITE_BACK_ALL_FOUND:
	case ABI_WRITE_BACK_CONTIGUOUS_PREFIX:
		return is_batched ? VERDICT_PENDING : VERDICT_KEEP;
	case ABI_WRITE_BACK_SECOND_HIT:
		return judge_second_hit(w, name, now_ms);
	case ABI_WRITE_BACK_FREE_SPACE:
		return VERDICT_KEEP_FREE;
	case ABI_WRITE_BACK_OFF:
		return VERDICT_DECLINE;
	default:
		return VERDICT_KEEP;
	}
}
