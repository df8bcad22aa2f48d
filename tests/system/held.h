/* SPDX-License-Identifier: Apache-2.0 */
/* held.h: a client that holds views and a block over the restart of its broker. */
#ifndef SYSTEM_HELD_H
#define SYSTEM_HELD_H

#include "clients/shmcache.h"
#include "tests/system/common.h"

#define HELD_SIZE 200000
#define HELD_VIEWS 6 /* the even ones of values that were replaced */

struct held {
	struct shmc *cache;
	struct shmc_view view[HELD_VIEWS];
	struct shmc_reservation block; /* half filled */
};

/* None of these uses cmocka but held_churn(): 0, or a number that tells what went wrong. */
int held_take(struct held *h, const char *name);

/* Is every byte what it was; and does the library say @result of every view? */
int held_check(struct held *h, int result);
bool held_block_is_whole(const struct held *h);

/* Write the half again, as one who knows nothing of a restart. */
void held_fill(struct held *h);

/* Release all, and have the commit answered that the block is gone. */
int held_let_go(struct held *h);

/* By a client of now, put 66 MB in values of @seed. Returns how many found no room. */
unsigned held_churn(const char *name, unsigned seed);

/* Until limbo is empty and the session directory tells of nobody but those who are attached. */
void held_wait_all_back(struct system_broker *b);

#endif
