/* SPDX-License-Identifier: Apache-2.0 */
/* machine.c: where a benchmark and the broker that it measures run. */
#include "bench/machine.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

/* Two processes that take turns on two CPUs lose more to a third than one process does. */
static void load_say(const struct report *rep, const int cpu[2])
{
	double load = 0;

	if (getloadavg(&load, 1) == 1)
		report_say(rep, "CPUs %d and %d, load %.1f%s", cpu[0], cpu[1], load,
			load > 1 ? ": others are at work, expect a wide range of rounds" : "");
}

void machine_choose(const struct report *rep, int cpu[2])
{
	cpu_set_t set;
	int i, n = 0;

	if (sched_getaffinity(0, sizeof(set), &set))
		report_fatal(rep, "sched_getaffinity: %s", strerror(errno));
	for (i = 0; i < CPU_SETSIZE && n < 2; i++)
		if (CPU_ISSET(i, &set))
			cpu[n++] = i;
	if (n < 2)
		cpu[1] = cpu[0];
	load_say(rep, cpu);
}

void machine_pin(const struct report *rep, int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		report_fatal(rep, "can't run on CPU %d: %s", cpu, strerror(errno));
}
