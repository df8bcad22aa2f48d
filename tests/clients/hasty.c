/* SPDX-License-Identifier: Apache-2.0 */
/* hasty.c: sees the library from inside, where shmc_attach_options takes 0 for something else. */
#include "tests/clients/hasty.h"

#include "clients/lib/handle.h"

void hasty_make(struct shmc *cache)
{
	cache->timeout_ms = 0;
}
