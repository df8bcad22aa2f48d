/* SPDX-License-Identifier: Apache-2.0 */
/* peers-health.c: what is told of each peer: to metrics, operators and the page. */
#include <stdio.h>

#include "ipc/histogram.h"
#include "shmcache/remote/peers/peers-impl.h"

/*
 * Counters are kept where what they count happens. What is here is put together once a second, for
 * who may look: nothing on the way of a value pays for it.
 */
void peers_note_state(struct peer *peer, const char *why)
{
	struct peer_state *state = &peer->state;
	enum remote_link link = peer->is_up ? REMOTE_UP : REMOTE_CONNECTING;
	struct link_stats stats;

	link_get_stats(peer->link, &stats);
	if (stats.is_refused)
		link = REMOTE_SHUT_OUT;
	if (link != state->link)
		state->since_ms = store_now_ms();
	state->link = link;
	snprintf(state->why, sizeof(state->why), "%s", why);
}

static void tell_link(const struct peer *peer, struct remote_health *h)
{
	const struct directory *directory = peer->peers->directory;
	struct histogram times = {.n = 0};
	struct link_stats stats;

	link_get_stats(peer->link, &stats);
	histogram_gather(&times, &peer->counts.times);
	h->is_up = peer->is_up;
	h->link = peer->state.link;
	h->since_ms = peer->state.since_ms;
	h->rtt_ns = stats.rtt_ns;
	h->p50_ns = histogram_quantile(&times, 0.5);
	h->p99_ns = histogram_quantile(&times, 0.99);
	h->capacity = peer->is_up ? peer->capacity : 0;
	h->free = stats.free;
	h->n_records = directory ? directory_n_records(directory, peer->number) : 0;
	h->n_lanes = stats.n_lanes;
	snprintf(h->address, sizeof(h->address), "%s", peer->address);
	snprintf(h->why, sizeof(h->why), "%s", peer->state.why);
}

static void tell_unopened(const struct member *m, uint16_t number, struct remote_health *h)
{
	*h = (struct remote_health){.holder = number, .link = REMOTE_CONNECTING,
		.since_ms = store_now_ms(),
		.why = "there is no memory for a connection to it"};
	snprintf(h->name, sizeof(h->name), "%.*s", (int)sizeof(h->name) - 1, m->name);
	snprintf(h->address, sizeof(h->address), "%.*s", (int)sizeof(h->address) - 1, m->endpoint);
}

static void tell_guest(const struct guest *guest, struct remote_health *h)
{
	h->n_served += guest->service.n_served;
	h->sent_bytes += guest->service.sent_bytes;
}

unsigned peers_health(void *self, struct remote_health *health, unsigned max)
{
	struct peers *p = self;
	const struct guest *guest;
	const uint16_t *all;
	unsigned i, n;

	all = membership_all(p->members, &n);
	for (i = 0; i < n && i < max; i++) {
		if (p->peer[all[i]]) {
			health[i] = p->peer[all[i]]->counts.health;
			tell_link(p->peer[all[i]], &health[i]);
		} else {
			tell_unopened(membership_get(p->members, all[i]), all[i], &health[i]);
		}
		for (guest = p->guests; guest; guest = guest->next)
			if (guest->number == all[i])
				tell_guest(guest, &health[i]);
	}
	return i;
}
