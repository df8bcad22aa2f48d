/* SPDX-License-Identifier: Apache-2.0 */
/* rate.h: what happened between two looks: per second, and how long it took. */
#ifndef CLIENTS_INSPECT_RATE_H
#define CLIENTS_INSPECT_RATE_H

#include <stdint.h>

#include "clients/inspect/image.h"
#include "ipc/histogram.h"

struct sample_session {
	uint64_t id, n_requests, hits, misses;
	struct histogram wait;
};

/* The numbers that only grow, as of one look. */
struct sample {
	uint64_t at_ms, epoch;
	uint64_t counter[ABI_N_COUNTERS];
	uint64_t request[ABI_N_OPERATIONS];
	struct histogram time[ABI_N_OPERATIONS];
	struct sample_session *session; /* as the image has them */
	unsigned n_sessions;
};

/* 0 or -ENOMEM; to be freed with sample_deinit(), which takes a zeroed one too. */
int sample_take(const struct image *image, struct sample *sample);
void sample_deinit(struct sample *sample);

struct rate {
	double per_s;
	uint64_t p50_ns, p99_ns; /* 0: nothing was timed */
};

struct rate_session {
	double requests_per_s, reads_per_s;
	uint64_t p99_ns; /* that its threads waited for answers */
};

struct rates {
	double seconds;
	struct rate operation[ABI_N_OPERATIONS];
	double hits_per_s, misses_per_s, evictions_per_s, put_bytes_per_s;
};

/*
 * What happened from @before to @now. All is 0 where another broker has begun in between, or no
 * time has passed.
 */
void rate_make(const struct sample *before, const struct sample *now, struct rates *rates);

/* The same for session number @i of @now. */
void rate_session_make(const struct sample *before, const struct sample *now, unsigned i,
	struct rate_session *rate);

#endif
