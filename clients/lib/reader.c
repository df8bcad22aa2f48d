/* SPDX-License-Identifier: Apache-2.0 */
/* reader.c: the one-sided read, out of line. */
#include "clients/lib/reader.h"

/*
 * Records are immutable once published, and a slot word is all that ever changes. A reader thus
 * needs two things only: that the record is not freed under it, and that it notices when the word
 * was changed before it could make sure of that. The hold gives both: once the word is in a hold
 * cell *and then* the slot still has the word, any reclaim that could free the record has yet to
 * unpublish the word, and will find the cell. The order of the two, a store and a load, is the
 * fence's.
 *
 * The word has a generation, so a cell that was freed and used anew has another word, unless
 * 65,536 records came and went through it between two loads of ours; and even then the record
 * that it names is a live one, which the hold keeps and whose key is compared. Nothing is
 * believed of a record before it is held.
 *
 * A miss is believed only if the bucket is still the one to look in, see reader_find_inline().
 *
 * The loop has no bound, but each turn takes a change by the broker to the very slot or bucket.
 */
int reader_find(struct reader *r, const void *key, size_t key_size, uint64_t hash,
	struct reader_entry *e)
{
	return reader_find_inline(r, key, key_size, hash, e);
}
