/* SPDX-License-Identifier: Apache-2.0 */
/* writeback.h: what of that which comes from elsewhere is cached here. */
#ifndef SHMCACHE_REMOTE_WRITEBACK_H
#define SHMCACHE_REMOTE_WRITEBACK_H

#include <stdbool.h>
#include <stdint.h>

#include "ipc/abi.h"
#include "shmcache/remote/recall.h"

/*
 * The policies, as requests name them (enum abi_write_back). What is not cached is delivered all
 * the same. docs/remote.md says what each is for.
 */
enum verdict {
	VERDICT_PENDING,   /* its batch will tell */
	VERDICT_KEEP,
	VERDICT_KEEP_FREE, /* where nothing is evicted for it */
	VERDICT_DECLINE,
};

#define WRITEBACK_SEEN_MAX 65536	 /* names that were fetched once */
#define WRITEBACK_SEEN_MS (3600 * 1000) /* and are remembered for so long */

struct writeback {
	struct recall seen;
};

int writeback_init(struct writeback *w);
void writeback_deinit(struct writeback *w);

/*
 * Judge one request for the value called @name under @policy; PENDING where it is one of a batch
 * (@is_batched) and the policy looks at that. A batch of one is as good as found: what is not, is
 * not asked about. Notes the name, for `second-hit`.
 */
enum verdict writeback_judge(struct writeback *w, enum abi_write_back policy, XXH128_hash_t name,
	bool is_batched, uint64_t now_ms);

#endif
