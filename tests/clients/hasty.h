/* SPDX-License-Identifier: Apache-2.0 */
/* hasty.h: a handle without patience of its own. */
#ifndef TESTS_CLIENTS_HASTY_H
#define TESTS_CLIENTS_HASTY_H

#include "clients/shmcache.h"

/* SHMC_TIMEOUT_DEFAULT is from now on 0: what it asked for as it attached is forgotten. */
void hasty_make(struct shmc *cache);

#endif
