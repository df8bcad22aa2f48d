/* SPDX-License-Identifier: Apache-2.0 */
/* service.h: the holder's side: what others fetch from here. */
#ifndef SHMCACHE_REMOTE_PEERS_SERVICE_H
#define SHMCACHE_REMOTE_PEERS_SERVICE_H

#include <stdbool.h>
#include <stdint.h>

#include "shmcache/remote/peers/link.h"
#include "shmcache/store.h"

/*
 * A request that comes from a guest is answered at once where the key is not here. Where it is,
 * the value is lent by the store and pushed; a guest has so many bodies on their way at a time,
 * and all of them so much of a tier, the rest of the requests wait, and hold nothing. All of one
 * thread, the remote one, which is registered with liburcu. Nothing here waits.
 */
struct service;
struct service_body;

struct service_options {
	struct store *store;
	struct abi_worker *w;  /* the thread's part of the plane */
	unsigned n_bodies_max; /* on their way to one guest at a time */
	uint32_t wait_ms_max;  /* for a body, whatever the requester says */
	unsigned lent_percent; /* of a tier, to all guests; one value may be more */
	/* Somebody is sent this value, and may have it from now on. NULL: nobody wants to know. */
	void (*lent)(void *context, const void *key, uint16_t key_size);
	void *context;
};

/* 0 or -ENOMEM. */
int service_new(struct service **out, const struct service_options *options);
/* All guests have left. NULL is ignored. */
void service_free(struct service *service);

/* One link to us; the caller's, zeroed but for @link. */
struct service_guest {
	struct link_guest *link;
	struct service_body *first, *last; /* that wait, in order */
	unsigned n_bodies;		   /* on their way */
	uint64_t lent_size[ABI_TIERS];	   /* their bytes */
	bool is_starting;
	/* Of those for whose next body there is no room. */
	struct service_guest *starved_next, **starved_link;
	uint64_t n_served, sent_bytes, n_missed, n_broken; /* for show */
};

/* What a guest asks for; it is answered now or later. */
void service_fetch(
	struct service *service, struct service_guest *guest, struct link_request *request);
/* As link_guest_events.gone. */
void service_gone(struct service *service, struct link_request *request);

/* End what takes longer than its requester waits. */
void service_tick(struct service *service, uint64_t now_ms);

/* Is the key here? A hint by the time that it is told. */
bool service_has(const struct service *service, const void *key, uint16_t key_size);

/* How many bodies are on their way, to all guests. */
unsigned service_n_bodies(const struct service *service);

#endif
