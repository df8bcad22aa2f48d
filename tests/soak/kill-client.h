/* SPDX-License-Identifier: Apache-2.0 */
/* kill-client.h: a client that lives until it is killed. */
#ifndef SOAK_KILL_CLIENT_H
#define SOAK_KILL_CLIENT_H

#include "clients/shmcache.h"
#include "tests/soak/ledger.h"
#include "tests/soak/mix.h"

#define KILL_TIMEOUT_MS 60000
#define KILL_HELD 6
#define KILL_LINGER 1000 /* changes that others make meanwhile, at most: several brokers' */

struct kill_held {
	struct shmc_view view;
	unsigned key;
	uint64_t version;
};

/* One thread of a client. */
struct kill_hand {
	struct ledger *ledger;
	struct ledger_slot *slot;
	struct shmc *cache;
	unsigned thread;
	uint64_t random;
	uint8_t *value; /* MIX_SIZE_MAX bytes */
	struct kill_held held[KILL_HELD];
};

static inline unsigned kill_any(struct kill_hand *h, unsigned n)
{
	return mix_any(&h->random, n);
}

/* Does @r say that the broker is gone? Only where brokers are killed. */
bool kill_is_gone(const struct kill_hand *h, int r);

/* Complain of a result that is neither expected nor that. */
void kill_expect(struct kill_hand *h, const char *what, int r, bool is_expected);

/* The version of what a view of @key has; 0, and a complaint, if its bytes are not whole. */
uint64_t kill_view_version(struct kill_hand *h, const struct shmc_view *view, unsigned key);

/* Several requests at once, by shmc_execute() and by a queue. */
void kill_execute(struct kill_hand *h);
void kill_queue(struct kill_hand *h);

/* The life in @slot. Returns never; the exit status tells of what went wrong. */
_Noreturn void kill_client(struct ledger *l, struct ledger_slot *slot);

#endif
