/* SPDX-License-Identifier: Apache-2.0 */
/*
 * progress.c: how far a long transfer is, for a person at a terminal.
 *
 * Most transfers are over before a person could read anything, so the first line comes
 * after a third of a second and the next ones ten times a second. It goes to stderr, which
 * may be a terminal while the value itself goes through a pipe.
 */
#include "clients/cli/progress.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "clients/cli/units.h"

#define FIRST_NS (300 * UINT64_C(1000000))
#define EVERY_NS (100 * UINT64_C(1000000))

uint64_t progress_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

void progress_begin(struct progress *p, const char *what, uint64_t total, bool quiet)
{
	*p = (struct progress){ .what = what, .total = total, .begin_ns = progress_now() };
	p->enabled = !quiet && isatty(STDERR_FILENO);
	p->shown_ns = p->begin_ns + FIRST_NS - EVERY_NS;
}

static void progress_show(struct progress *p, uint64_t now)
{
	double seconds = (double)(now - p->begin_ns) / 1e9;
	char done[UNITS_TEXT_SIZE], total[UNITS_TEXT_SIZE], rate[UNITS_TEXT_SIZE];

	units_size_format(done, p->done);
	units_size_format(rate, seconds > 0 ? (uint64_t)((double)p->done / seconds) : 0);
	fprintf(stderr, "\r%s %s", p->what, done);
	if (p->total)
		fprintf(stderr, " of %s (%u %%)", units_size_format(total, p->total),
			(unsigned)(p->done * 100 / p->total));
	fprintf(stderr, ", %s/s\033[K", rate);
	fflush(stderr);
	p->shown = true;
	p->shown_ns = now;
}

void progress_advance(struct progress *p, uint64_t size)
{
	uint64_t now;

	p->done += size;
	if (!p->enabled)
		return;
	now = progress_now();
	/* the due time of the first line lies ahead of its start: compare without wrapping */
	if (now >= p->shown_ns + EVERY_NS)
		progress_show(p, now);
}

void progress_end(struct progress *p)
{
	if (!p->shown)
		return;
	progress_show(p, progress_now());
	fputc('\n', stderr);
}
