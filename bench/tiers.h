/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of the benchmark of two tiers share. */
#ifndef BENCH_TIERS_H
#define BENCH_TIERS_H

#include "bench/machine.h"
#include "bench/must.h"

struct tiers {
	struct report rep;
	const char *program; /* of the broker; NULL: the one in the build tree */
	const char *trace;   /* a file, or what bench/trace.h makes up */
	unsigned n_rounds;
	unsigned delay_ns; /* added to each hit in CXL; 0: what the memory gives */
	int cpu[2]; /* the client's and the broker's; the same where there is only one */
};

/* Each prints its rows. Any failure is fatal. */
void tiers_hits(struct tiers *tiers);	 /* a hit in CXL beside one in DRAM */
void tiers_readers(struct tiers *tiers); /* readers while entries move beside them */
void tiers_copies(struct tiers *tiers);	 /* how fast demotion copies */
void tiers_trace(struct tiers *tiers);	 /* the hit ratio of two tiers and of one */

#endif
