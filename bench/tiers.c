/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two tiers: what a hit in the second one costs, what moves between them cost others, how
 * fast they go, and what the two are worth together.
 *
 * The second tier here is plain shared memory that stands in for CXL, so a hit there
 * should cost what one in DRAM does: what is measured is our code and not the memory.
 * --delay NS adds a wait to each hit in CXL, to see what slower memory would make of it.
 * All goals are ratios within one run; sides take turns, and rows tell medians.
 *
 * On two CPUs the readers have one and the broker, mover included, the other. Beside the
 * moves the same readers are measured beside a thread that does nothing but copy as many
 * bytes on the broker's CPU: what that costs is the machine's memory and not ours.
 */
#include "bench/tiers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clients/shmcache.h"
#include "tests/support/cleanup.h"

static const char arguments[] =
	"[--only NAME] [--shmcached PATH] [--delay NS] [--trace FILE|KIND[:...]]";

static const struct {
	const char *name;
	void (*fn)(struct tiers *tiers);
} cases[] = {
	{"hits", tiers_hits},
	{"readers", tiers_readers},
	{"copies", tiers_copies},
	{"trace", tiers_trace},
};

static const size_t n_cases = sizeof(cases) / sizeof(cases[0]);

int main(int argc, char **argv)
{
	struct tiers tiers = {0};
	const char *only = NULL, *delay = "0";
	const struct report_option own[] = {{"--only", &only},
		{"--shmcached", &tiers.program}, {"--trace", &tiers.trace}, {"--delay", &delay},
		{0}};
	size_t i;

	report_open(&tiers.rep, &argc, argv, "tiers", arguments);
	report_options(&tiers.rep, argv, arguments, own);
	tiers.delay_ns = (unsigned)strtoul(delay, NULL, 10);
	tiers.rep.spread = true;
	tiers.n_rounds = tiers.rep.quick ? 3 : 7;
	bench_must(&tiers.rep, cleanup_guard(), "signals");
	machine_choose(&tiers.rep, tiers.cpu);
	for (i = 0; i < n_cases; i++)
		if (!only || !strncmp(only, cases[i].name, strlen(only)))
			cases[i].fn(&tiers);
	return report_close(&tiers.rep);
}
