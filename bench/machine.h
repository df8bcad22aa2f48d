/* SPDX-License-Identifier: Apache-2.0 */
/* machine.h: where a benchmark and the broker that it measures run. */
#ifndef BENCH_MACHINE_H
#define BENCH_MACHINE_H

#include "bench/report.h"

/*
 * The first two CPUs that we may use, one for this process and one for the broker; twice the same
 * where there is only one. Says which, and how busy others keep the machine. What fails is fatal.
 */
void machine_choose(const struct report *rep, int cpu[2]);

/* Let the calling thread run on @cpu alone. */
void machine_pin(const struct report *rep, int cpu);

#endif
