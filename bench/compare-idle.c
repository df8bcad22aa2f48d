/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a cache costs that nobody uses.
 *
 * Eight processes attach, store and read a value each, and then wait. What the broker's
 * threads run meanwhile is counted in nanoseconds by the scheduler, and how often they
 * wake up is how often they went to sleep: their voluntary context switches. The clients
 * are counted too.
 */
#include "bench/compare.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define N_IDLERS 8

/* An idle client's main: NAME KEY. It stays until its input is closed. */
int compare_idler_main(char **argv)
{
	const char *key = argv[1];
	struct shmc_view view;
	struct shmc *cache;
	char end;
	int r;

	r = shmc_attach(&cache, argv[0], NULL);
	if (!r)
		r = shmc_put(cache, key, 1, "idle", 4, NULL, 30000);
	if (!r)
		r = shmc_get(cache, key, 1, &view);
	if (r) {
		fprintf(stderr, "idler: %s\n", shmc_strerror(r));
		return 1;
	}
	shmc_release(cache, &view);
	if (write(STDOUT_FILENO, "r", 1) != 1 || read(STDIN_FILENO, &end, 1))
		return 1;
	shmc_detach(cache);
	return 0;
}

static void idlers_start(
	struct compare *compare, struct proc *idlers, const char *name, int *to)
{
	int ready[2], hold[2];
	char key[2] = "a", word;
	const char *const argv[] = {"/proc/self/exe", "--idler", name, key, NULL};
	unsigned i;

	if (pipe2(ready, O_CLOEXEC) || pipe2(hold, O_CLOEXEC))
		bench_must(&compare->rep, -errno, "pipe");
	for (i = 0; i < N_IDLERS; i++, key[0]++)
		bench_must(&compare->rep,
			proc_start(
				&idlers[i], &(struct proc_options){argv, compare->cpu[0],
						    hold[0], ready[1], -1}),
			"idler");
	close(ready[1]);
	close(hold[0]);
	for (i = 0; i < N_IDLERS; i++)
		if (read(ready[0], &word, 1) != 1)
			report_fatal(&compare->rep, "an idle client ended early");
	close(ready[0]);
	*to = hold[1];
}

static void usage_add(struct compare *compare, pid_t pid, struct proc_usage *sum)
{
	struct proc_usage usage;

	bench_must(&compare->rep, proc_usage(pid, &usage), "usage of a process");
	sum->cpu_ns += usage.cpu_ns;
	sum->n_sleeps += usage.n_sleeps;
}

static void seconds_sleep(double seconds)
{
	struct timespec ts = {.tv_sec = (time_t)seconds};

	ts.tv_nsec = (long)((seconds - (double)ts.tv_sec) * 1e9);
	nanosleep(&ts, NULL);
}

static void idle_row(struct compare *compare, const char *name, double value,
	const char *unit, double goal, const char *note)
{
	report_row(&compare->rep, &(struct report_row){.name = name,
					  .ours = value,
					  .theirs = NAN,
					  .unit = unit,
					  .goal = goal,
					  .bound = goal ? REPORT_AT_MOST : REPORT_FIGURE,
					  .note = note});
}

void compare_idle(struct compare *compare)
{
	struct proc_usage usage[2] = {0}, clients[2] = {0};
	struct proc idlers[N_IDLERS];
	struct broker_run broker;
	struct shmc *cache;
	double seconds;
	uint64_t start;
	unsigned i, at;
	int to;

	compare_broker_start(compare, &broker, &cache, "64MiB", "");
	idlers_start(compare, idlers, broker.name, &to);
	shmc_detach(cache); /* eight, not nine */
	cache = NULL;
	seconds_sleep(0.5);
	start = report_now();
	for (at = 0; at < 2; at++) {
		usage_add(compare, broker.proc.pid, &usage[at]);
		for (i = 0; i < N_IDLERS; i++)
			usage_add(compare, idlers[i].pid, &clients[at]);
		if (!at)
			seconds_sleep(compare->rep.quick ? 2 : 10);
	}
	seconds = (double)(report_now() - start) / 1e9;
	close(to);
	for (i = 0; i < N_IDLERS; i++)
		if (proc_wait(&idlers[i]))
			report_fatal(&compare->rep, "an idle client failed");
	idle_row(compare, "idle-cpu",
		(double)(usage[1].cpu_ns - usage[0].cpu_ns) / seconds / 1e7, "%", 0.1,
		"of one CPU, the broker with 8 clients attached");
	idle_row(compare, "idle-wakeups",
		(double)(usage[1].n_sleeps - usage[0].n_sleeps) / seconds, "1/s", 10,
		"of all its threads");
	idle_row(compare, "idle-clients-cpu",
		(double)(clients[1].cpu_ns - clients[0].cpu_ns) / seconds / 1e7, "%", 0,
		"of one CPU, the 8 clients together");
	compare_broker_stop(compare, &broker, cache);
}
