/* SPDX-License-Identifier: Apache-2.0 */
/* store-fill.c: values that come from elsewhere: published, delivered, or overtaken. */
#include <stdlib.h>
#include <string.h>

#include "shmcache/store.h"

/*
 * Between the question for a value and its arrival lies a network, and in that time the key may be
 * put, deleted, put again and evicted. What arrives then is the past, and must not come back. So a
 * fill is on a list from before the question until its end, and whoever changes its key by request
 * marks it, under the lock under which it would be published: either the change comes first, and
 * the fill is not published, or the fill does, and is replaced or deleted like any entry. Eviction
 * is no such change: what was evicted was not wrong.
 *
 * A flush marks at its beginning all that is on its way then. What begins later asks after the
 * flush began, and may be published on either side of its walk; both are orders in which they could
 * have come.
 *
 * A touch marks too: by it an entry may end at a time that the client chose, and must not be
 * followed by an older one.
 *
 * What a policy does not want in the index is delivered: left open, with no slot that names it, for
 * those who asked. A session has a delivery as it has a reservation, and gives it up by ABORT once
 * the word is in a hold cell (docs/concurrency.md, "A value without an entry"). Only when all have
 * done so is the record retired; from there on it is like one that was deleted.
 */
static struct store_fill **list_of(struct store *s, uint64_t hash)
{
	return &s->fill[hash % STORE_FILLS];
}

static struct index_key key_of(const struct store_fill *fill)
{
	return (struct index_key){fill->key, fill->key_size, fill->hash};
}

void store_fill_begin(struct store *s, struct store_fill *fill, const struct index_key *key)
{
	struct store_fill **list = list_of(s, key->hash);

	fill->hash = key->hash;
	fill->cell = 0;
	fill->is_overtaken = false;
	fill->delivery = NULL;
	fill->key_size = (uint16_t)key->size;
	memcpy(fill->key, key->data, key->size);
	pthread_mutex_lock(&s->lock);
	fill->next = *list;
	fill->link = list;
	if (fill->next)
		fill->next->link = &fill->next;
	*list = fill;
	s->n_fills++;
	pthread_mutex_unlock(&s->lock);
}

void store_overtake_locked(struct store *s, const struct index_key *key)
{
	struct store_fill *fill;

	if (!s->n_fills)
		return;
	for (fill = *list_of(s, key->hash); fill; fill = fill->next)
		if (fill->hash == key->hash && fill->key_size == key->size &&
			!memcmp(fill->key, key->data, key->size))
			fill->is_overtaken = true;
}

void store_overtake_prefix_locked(struct store *s, const void *prefix, size_t size)
{
	struct store_fill *fill;
	unsigned i;

	for (i = 0; s->n_fills && i < STORE_FILLS; i++)
		for (fill = s->fill[i]; fill; fill = fill->next)
			if (!size || (fill->key_size >= size && !memcmp(fill->key, prefix, size)))
				fill->is_overtaken = true;
}

bool store_fill_is_overtaken(struct store *s, const struct store_fill *fill)
{
	bool is_overtaken;

	pthread_mutex_lock(&s->lock);
	is_overtaken = fill->is_overtaken;
	pthread_mutex_unlock(&s->lock);
	return is_overtaken;
}

enum abi_status store_fill_reserve(struct store *s, struct abi_worker *w, struct store_fill *fill,
	const struct store_put_options *options, uint64_t size, bool only_free, uint8_t **data)
{
	struct store_put_options o = *options;
	struct index_key key = key_of(fill);
	enum abi_status status = ABI_STATUS_GONE;

	o.only_free |= only_free;
	pthread_mutex_lock(&s->lock);
	if (!fill->is_overtaken)
		status = store_make_locked(s, w, &key, &o, size, &fill->cell);
	if (status == ABI_STATUS_OK) {
		s->reserved_size += store_block_size(s, fill->cell);
		*data = (uint8_t *)store_value(s, fill->cell);
	}
	pthread_mutex_unlock(&s->lock);
	return status;
}

/* There are as many as records that clients are about to take: the list is short. */
static void delivery_end_locked(struct store *s, uint64_t reservation)
{
	struct store_delivery **at = &s->deliveries, *delivery;
	uint32_t cell = (uint32_t)reservation;

	while ((*at)->reservation != reservation)
		at = &(*at)->next;
	delivery = *at;
	if (--delivery->n)
		return;
	*at = delivery->next;
	free(delivery);
	s->reserved_size -= store_block_size(s, cell);
	index_retire_open(&s->index, cell);
	/* It was no entry: what store_limbo_locked() takes off. */
	store_tier_of(s, cell)->n_entries++;
	store_limbo_locked(s, cell);
}

static void drop_locked(struct store *s, struct store_fill *fill)
{
	if (fill->delivery) {
		delivery_end_locked(s, fill->delivery->reservation);
	} else if (fill->cell) {
		s->reserved_size -= store_block_size(s, fill->cell);
		store_free_locked(s, fill->cell);
	}
	fill->cell = 0;
	fill->delivery = NULL;
}

void store_fill_drop(struct store *s, struct store_fill *fill)
{
	pthread_mutex_lock(&s->lock);
	drop_locked(s, fill);
	pthread_mutex_unlock(&s->lock);
}

static bool has_entry_locked(struct store *s, const struct index_key *key)
{
	uint32_t cell;

	return index_find(&s->index, key, &cell) && !store_is_expired(s, cell);
}

enum abi_status store_fill_publish(struct store *s, struct abi_worker *w, struct store_fill *fill)
{
	struct index_key key = key_of(fill);
	enum abi_status status;

	pthread_mutex_lock(&s->lock);
	if (fill->is_overtaken) {
		status = has_entry_locked(s, &key) ? ABI_STATUS_EXISTS : ABI_STATUS_GONE;
		drop_locked(s, fill);
	} else {
		s->reserved_size -= store_block_size(s, fill->cell);
		status = store_publish_locked(s, w, fill->cell, &key, true, true);
		fill->cell = 0;
	}
	pthread_mutex_unlock(&s->lock);
	return status;
}

static struct store_delivery *delivery_new_locked(struct store *s, uint32_t cell)
{
	struct store_delivery *delivery = malloc(sizeof(*delivery));

	if (delivery) {
		*delivery = (struct store_delivery){
			.reservation = store_reservation(s, cell), .n = 1, .next = s->deliveries};
		s->deliveries = delivery;
	}
	return delivery;
}

enum abi_status store_fill_deliver(
	struct store *s, struct store_fill *fill, uint64_t *reservation, uint64_t *word)
{
	enum abi_status status = ABI_STATUS_OK;

	pthread_mutex_lock(&s->lock);
	/*
	 * Some may have asked after the change that overtook it, and must not get what was before.
	 */
	if (fill->is_overtaken)
		status = ABI_STATUS_GONE;
	else if (s->index.meta[fill->cell].state == INDEX_SPOILED)
		status = ABI_STATUS_DAMAGED;
	else if (!fill->delivery && !(fill->delivery = delivery_new_locked(s, fill->cell)))
		status = ABI_STATUS_NOMEM;
	if (status == ABI_STATUS_OK) {
		fill->delivery->n++;
		*reservation = fill->delivery->reservation;
		*word = abi_word(fill->cell, s->index.cell[fill->cell].generation, fill->hash);
	}
	pthread_mutex_unlock(&s->lock);
	return status;
}

void store_delivery_end(struct store *s, uint64_t reservation)
{
	pthread_mutex_lock(&s->lock);
	delivery_end_locked(s, reservation);
	pthread_mutex_unlock(&s->lock);
}

void store_fill_end(struct store *s, struct store_fill *fill)
{
	pthread_mutex_lock(&s->lock);
	drop_locked(s, fill);
	*fill->link = fill->next;
	if (fill->next)
		fill->next->link = fill->link;
	s->n_fills--;
	pthread_mutex_unlock(&s->lock);
}
