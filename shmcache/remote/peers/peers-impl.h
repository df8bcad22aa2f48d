/* SPDX-License-Identifier: Apache-2.0 */
/* peers-impl.h: what the files of the kind share. */
#ifndef SHMCACHE_REMOTE_PEERS_PEERS_IMPL_H
#define SHMCACHE_REMOTE_PEERS_PEERS_IMPL_H

#include "shmcache/remote/loop.h"
#include "shmcache/remote/peers/directory.h"
#include "shmcache/remote/peers/link.h"
#include "shmcache/remote/peers/membership.h"
#include "shmcache/remote/peers/peers.h"
#include "shmcache/remote/peers/service.h"

struct peers;
struct peers_settings;
struct locate;
struct query;
struct erase;

/* A question that one peer has been asked, on its link's control lane. */
struct ask {
	uint64_t id;
	struct locate *locate; /* for @n of its keys from @first on; or */
	struct erase *erase;
	unsigned first, n;
	struct ask *next;
};

/* So many others are not asked all at once any more, where the operator did not say. */
#define PEERS_MANY 3

/* Ids of what the directory asks have this bit: they share the links with ours. */
#define ASK_OF_DIRECTORY (UINT64_C(1) << 63)

/* A member, and our link to it. */
struct peer {
	struct peers *peers;
	uint16_t number;
	char name[CONFIG_NAME_MAX + 1]; /* the link's */
	char address[CONFIG_PATH_MAX + 16];
	struct link *link;
	struct remote_later kick; /* the link, when all have asked that are about to */
	bool is_up;
	uint64_t capacity;
	struct ask *asks, **asks_end; /* in the order of asking, which is that of answers */
	struct peer_state {
		enum remote_link link;
		uint64_t since_ms;
		char why[REMOTE_WHY_SIZE];
	} state;
	struct peer_counts {
		struct remote_health health; /* what is counted here; see peers_health() */
		struct abi_histogram times;  /* of fetches that brought a value, to the last byte */
	} counts;
};

/* Somebody's link to us. */
struct guest {
	struct service_guest service;
	uint16_t number; /* of the member that it is */
	struct guest *next, **link;
};

struct peers {
	struct remote_loop *loop;
	struct membership *members;
	struct peer *peer[REMOTE_HOLDERS_MAX]; /* by number; NULL: no member, or no memory for him yet */
	struct directory *directory; /* NULL: everybody is asked */
	struct directory_stats counted; /* of it */
	struct link_net *net;
	struct service *service;
	struct guest *guests;
	struct locate *locates;
	struct erase *erases;
	struct query *lost; /* with names whose shards did not answer */
	struct remote_later ask_lost;
	struct transfer *transfers;
	struct remote_ear *ear; /* NULL: nobody listens */
	struct timer tick, directory_tick;
	struct etcd *etcd; /* NULL: the members are a list */
	struct watch etcd_watch;
	struct peers_settings *settings;
	uint64_t next_id;
	uint32_t n_events; /* stands for generations in the directory */
	uint64_t self;	   /* member_hash() of this broker's name */
	char cluster[FRAME_NAME_SIZE], name[FRAME_NAME_SIZE];
	bool is_closing;
};

/* Somebody else may have it: see struct remote_ear. */
static inline void peers_heard(struct peers *p, const XXH128_hash_t *name)
{
	if (p->ear)
		p->ear->heard(p->ear, name);
}

static inline unsigned peers_count(const struct peers *p)
{
	unsigned n;

	(void)membership_all(p->members, &n);
	return n;
}

/* --- what is told of them: peers-health.c ----------------------------------------------------- */

/* Its link came up, fell, or could not be made, and why; "" when it is up. */
void peers_note_state(struct peer *peer, const char *why);
unsigned peers_health(void *self, struct remote_health *health, unsigned max);

/* --- asking: peers-locate.c, peers-erase.c ---------------------------------------------------- */

void peers_locate(void *self, struct remote_locate *user);
/* All that can be reached, for the keys themselves. */
void peers_locate_all(struct peers *p, struct remote_locate *user);
void peers_erase(void *self, const struct remote_key *key, uint64_t deadline_ms,
	void (*done)(void *context, unsigned n_told, unsigned n_failed), void *context);
/* End all that is open: nobody, incomplete; failed. */
void peers_locate_close(struct peers *p);
void peers_erase_close(struct peers *p);

/* A new one at the end of the peer's; NULL: no memory. */
struct ask *peers_ask_add(struct peer *peer);
/* The one of that id, taken off the peer's list; NULL: there is none. The caller frees it. */
struct ask *peers_ask_take(struct peer *peer, uint64_t id);
/* The peer does not answer any more: all that it was asked ends. */
void peers_ask_drop_all(struct peer *peer);

/* An answer has come, or (NULL) never will. */
void peers_locate_answered(struct peer *peer, struct ask *ask, struct frame_cursor *holders);
void peers_erase_answered(struct peer *peer, struct ask *ask, bool is_told);

/* --- transfers: peers-fetch.c ----------------------------------------------------------------- */

void peers_fetch(void *self, unsigned holder, struct remote_fetch *user);
void peers_cancel(void *self, struct remote_fetch *user);
void peers_fetch_kick(struct remote_later *later);

/* --- being asked: peers-guests.c -------------------------------------------------------------- */

extern const struct link_guest_events peers_guest_events;
/* The latest link of that member to us, or NULL. */
struct guest *peers_guest_of(struct peers *p, uint16_t number);

/* --- members by etcd: peers-etcd.c ------------------------------------------------------------ */

/* @epoch: another one at each start. 0, or -errno and a sentence; then peers_etcd_close(), too. */
int peers_etcd_open(struct peers *p, uint64_t epoch, char *why, size_t why_size);
/* Takes leave of etcd; no-op where there is none. */
void peers_etcd_close(struct peers *p);

/* --- settings of the cluster: peers-settings.c ------------------------------------------------ */

#define PEERS_SETTINGS_MAX 64
struct etcd_setting;

/* Keep what the file says; before anything of it is changed. 0 or -ENOMEM. */
int peers_settings_open(struct peers *p);
void peers_settings_close(struct peers *p);
/* The settings are these now. @context is the peers. */
void peers_settings_take(void *context, const struct etcd_setting *settings, unsigned n);

/* Make all links anew, as the configuration has them now. What is on its way is asked of others. */
void peers_links_renew(struct peers *p);

/* --- the directory: peers-directory.c --------------------------------------------------------- */

/* Have one, or none, as the configuration and the members want it. -ENOMEM: there is none. */
int peers_directory_review(struct peers *p);
/* Something was told to it: it is to look up soon. */
void peers_directory_stir(struct peers *p);
void peers_directory_found(struct peer *peer, uint64_t id, struct frame_cursor holders);
void peers_announce(void *self, const struct remote_event *events, unsigned n);

/* --- who has these keys? peers-directory-ask.c ------------------------------------------------ */

void peers_directory_locate(struct peers *p, struct remote_locate *user);
/* @ask_lost: what no shard answers is asked of all; at the close it is answered with nobody. */
void peers_directory_ask_lost(struct remote_later *later);

#endif
