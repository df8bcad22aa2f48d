/* SPDX-License-Identifier: Apache-2.0 */
/* peers-guests.c: what other brokers ask of this one. */
#include <stdlib.h>

#include "shmcache/remote/peers/peers-impl.h"

struct guest *peers_guest_of(struct peers *p, uint16_t number)
{
	struct guest *guest = p->guests;

	/* The latest is first. */
	while (guest && guest->number != number)
		guest = guest->next;
	return guest;
}

static struct guest *find(struct peers *p, const struct link_guest *link)
{
	struct guest *guest = p->guests;

	while (guest && guest->service.link != link)
		guest = guest->next;
	return guest;
}

static bool is_member(void *owner, const char *name)
{
	struct peers *p = owner;

	return membership_find(p->members, name) != MEMBER_NONE;
}

static void arrived(void *owner, struct link_guest *link)
{
	struct peers *p = owner;
	struct guest *guest = calloc(1, sizeof(*guest));

	/* One without is not served: see fetch(). */
	if (!guest)
		return;
	guest->service.link = link;
	guest->number = membership_find(p->members, link_guest_name(link));
	guest->next = p->guests;
	guest->link = &p->guests;
	if (guest->next)
		guest->next->link = &guest->next;
	p->guests = guest;
}

static void left(void *owner, struct link_guest *link, const char *why)
{
	struct peers *p = owner;
	struct guest *guest = find(p, link);
	struct peer *peer;

	log_info(p->loop->log, "guest-left", LOG_STR("peer", link_guest_name(link)),
		LOG_STR("why", why));
	if (!guest)
		return;
	peer = guest->number < REMOTE_HOLDERS_MAX ? p->peer[guest->number] : NULL;
	if (peer) {
		peer->counts.health.n_served += guest->service.n_served;
		peer->counts.health.sent_bytes += guest->service.sent_bytes;
	}
	*guest->link = guest->next;
	if (guest->next)
		guest->next->link = guest->link;
	free(guest);
}

/* --- questions -------------------------------------------------------------------------------- */

/* "Have you got it?" */
static void look_at_keys(struct peers *p, struct link_guest *link, uint64_t id,
	struct frame_cursor items, unsigned n)
{
	struct frame_holders *found = calloc(n ? n : 1, sizeof(*found));
	const uint8_t *key;
	uint16_t size;
	unsigned i;

	if (!found)
		n = 0;
	for (i = 0; i < n && frame_next_item(&items, &key, &size); i++) {
		if (!service_has(p->service, key, size))
			continue;
		found[i].n = 1;
		found[i].id[0] = p->self;
	}
	(void)link_found(link, id, found, n);
	free(found);
}

/* "Who has got it?" */
static void look_at_names(struct peers *p, struct link_guest *link, uint64_t id,
	struct frame_cursor items, unsigned n)
{
	struct guest *guest = find(p, link);
	XXH128_hash_t names[DIRECTORY_BATCH];
	XXH128_canonical_t canonical;
	const uint8_t *name;
	uint16_t size;
	unsigned i;

	for (i = 0; i < n && i < DIRECTORY_BATCH && frame_next_item(&items, &name, &size); i++) {
		memcpy(&canonical, name, sizeof(canonical));
		names[i] = XXH128_hashFromCanonical(&canonical);
	}
	/* Who can't tell says so: each question that stays open is one that may not be asked. */
	if (!p->directory || !guest || !directory_asked(p->directory, guest->number, id, names, i))
		(void)link_found(link, id, NULL, 0);
}

static void lookup(void *owner, struct link_guest *link, uint64_t id, enum frame_lookup kind,
	struct frame_cursor items, unsigned n)
{
	if (kind == FRAME_LOOKUP_KEYS)
		look_at_keys(owner, link, id, items, n);
	else
		look_at_names(owner, link, id, items, n);
}

static void erase(void *owner, struct link_guest *link, uint64_t id, const uint8_t *key,
	uint16_t key_size)
{
	struct peers *p = owner;
	struct store *s = p->loop->store;
	struct index_key k = index_key(&s->index, key, key_size);
	enum abi_status status = store_delete(s, p->loop->worker, &k);

	store_count(p->loop->worker, ABI_COUNTER_ERASES_HEARD, 1);
	(void)link_erased(link, id, status == ABI_STATUS_OK ? FRAME_OK : FRAME_MISS);
}

/*
 * We hear of a name whose shard we are; and, whatever else the others have told to whom, of no
 * other. Who asks the shard remembers for absent_for what it said (docs/remote.md, "Consistency").
 */
static void announce(void *owner, struct link_guest *link, const struct frame_notice *notices,
	unsigned n)
{
	struct peers *p = owner;
	struct guest *guest = find(p, link);
	struct directory_record records[64];
	XXH128_canonical_t canonical;
	unsigned i, m = 0;

	if (!p->directory || !guest)
		return;
	for (i = 0; i < n; i++) {
		memcpy(&canonical, notices[i].name, sizeof(canonical));
		records[m++] = (struct directory_record){
			.name = XXH128_hashFromCanonical(&canonical),
			.generation = notices[i].generation,
			.what = notices[i].kind};
		if (notices[i].kind == DIRECTORY_HELD)
			peers_heard(p, &records[m - 1].name);
		if (m == sizeof(records) / sizeof(records[0]) || i == n - 1) {
			directory_hear(p->directory, guest->number, records, m);
			m = 0;
		}
	}
}

static void fetch(void *owner, struct link_request *request)
{
	struct peers *p = owner;
	struct guest *guest = find(p, request->guest);

	if (guest)
		service_fetch(p->service, &guest->service, request);
	else
		link_refuse(request, FRAME_FAILED);
}

static void gone(void *owner, struct link_request *request)
{
	struct peers *p = owner;

	service_gone(p->service, request);
}

const struct link_guest_events peers_guest_events = {
	.is_member = is_member,
	.arrived = arrived,
	.left = left,
	.lookup = lookup,
	.erase = erase,
	.announce = announce,
	.fetch = fetch,
	.gone = gone,
};
