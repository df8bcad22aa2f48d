/* SPDX-License-Identifier: Apache-2.0 */
/* store-lend.c: values that a thread of the broker reads for somebody else. */
#include "shmcache/store.h"

/*
 * What goes out over a network is read for as long as that takes, which is none of the client's
 * business: a put or a delete does not wait for it, and an eviction takes the entry away as ever.
 * Only the block stays. A client would say so by a hold cell; we have the store's lock, and keep a
 * list, as the mover does: both are looked at when a reclaim round decides what is free
 * (reclaim.c). That a record is lent and retired at once is thus impossible to get wrong by an
 * order of loads.
 *
 * The list is as long as there are bodies on their way, which its caller bounds.
 */

/*
 * False: its time is over. Else what is left of it, 0: it has no end. By one look at the clock:
 * between two it may run out, and what is left be less than nothing, or the 0 of no end.
 */
static bool time_left(const struct abi_record *r, uint64_t *ttl_ms)
{
	uint64_t expire_ms = abi_record_expire_ms(r), now_ms = store_now_ms();

	*ttl_ms = expire_ms ? expire_ms - now_ms : 0;
	return !expire_ms || expire_ms > now_ms;
}

static void fill_in(struct store *s, uint32_t cell, uint64_t ttl_ms, struct store_loan *loan)
{
	const struct abi_record *r = &s->index.cell[cell];

	loan->cell = cell;
	loan->generation = r->generation;
	loan->data = store_value(s, cell);
	loan->size = r->value_size;
	loan->ttl_ms = ttl_ms;
	lookup_record_hints(&s->index.lookup, r, &loan->hints);
	loan->next = s->loans;
	loan->link = &s->loans;
	if (loan->next)
		loan->next->link = &loan->next;
	s->loans = loan;
}

enum abi_status store_lend(struct store *s, struct abi_worker *w, const struct index_key *key,
	struct store_loan *loan)
{
	enum abi_status status = ABI_STATUS_MISS;
	uint64_t ttl_ms;
	uint32_t cell;

	pthread_mutex_lock(&s->lock);
	if (index_find(&s->index, key, &cell) && time_left(&s->index.cell[cell], &ttl_ms)) {
		fill_in(s, cell, ttl_ms, loan);
		status = ABI_STATUS_OK;
	}
	pthread_mutex_unlock(&s->lock);
	if (status == ABI_STATUS_OK)
		store_hits(s, w, &cell, 1);
	return status;
}

void store_loan_end(struct store *s, struct store_loan *loan)
{
	pthread_mutex_lock(&s->lock);
	*loan->link = loan->next;
	if (loan->next)
		loan->next->link = loan->link;
	pthread_mutex_unlock(&s->lock);
	loan->link = NULL;
}
