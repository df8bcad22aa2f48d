/* SPDX-License-Identifier: Apache-2.0 */
/* must.h: a benchmark goes on only while all goes well. */
#ifndef BENCH_MUST_H
#define BENCH_MUST_H

#include "bench/report.h"
#include "clients/shmcache.h"

/* End with a message unless @result, of a function of the library, is 0. */
static inline void bench_must(const struct report *rep, int result, const char *what)
{
	if (result)
		report_fatal(rep, "%s: %s", what, shmc_strerror(result));
}

#endif
