/* SPDX-License-Identifier: Apache-2.0 */
/* ration.h: keep a thread from taking more than a share of a CPU. */
#ifndef SHMCACHE_RATION_H
#define SHMCACHE_RATION_H

#include <stdint.h>

#define RATION_SHARE 16		     /* one part in so many */
#define RATION_CREDIT_NS 20000000    /* of processor time that may be saved up */
#define RATION_REST_NS_MAX 100000000 /* of one rest */

/* One thread's own. */
struct ration {
	uint64_t wall_ns, cpu_ns; /* at the last rest */
	int64_t credit_ns;
};

/* By the thread itself; it begins with all the credit that it may have. */
void ration_init(struct ration *ration);

/*
 * Sleep off what was used beyond the share since the last time. To be called often, between works.
 */
void ration_rest(struct ration *ration);

#endif
