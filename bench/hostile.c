/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hostile.c: what an honest client loses when an offender works beside it.
 *
 * An offender takes processor time by itself, which is the machine's to grant and not the broker's.
 * So beside each there is measured a neutral process of the same kind, which uses memory or system
 * calls as much and has nothing to do with the cache: the two take turns, round by round, on the
 * same CPU. What the honest client gets done beside the one, by what it gets done beside the other,
 * is the broker's doing.
 *
 * The client and the other process keep to the first CPU, all of the broker to the second. The
 * client waits awake for its answers, so that waiting counts as its own processor time: calls a
 * second of that time tell how long the broker lets it wait, and not how much of the CPU it was
 * given.
 */
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench/hostile.h"
#include "bench/machine.h"
#include "bench/must.h"
#include "tests/support/broker-run.h"
#include "tests/support/value.h"

#define ROUNDS_MAX 32
#define N_KEYS 20000
#define VALUE_SIZE 1024
#define N_GETS 4 /* for each put */
#define GOAL 0.9

static const char arguments[] = "[--only NAME] [--rounds N]";

struct offence {
	const char *name;
	hostile_fn *offender, *neutral;
	const char *note; /* who "theirs" is */
	bool has_goal;
};

/* The last one breaks no rule: it gets its share of the broker, as any client would. */
static const struct offence offences[] = {
	{"flipper", hostile_flipper, hostile_hog_memory, "beside a memory hog", true},
	{"positions", hostile_positions, hostile_hog_memory, "beside a memory hog", true},
	{"puncher", hostile_puncher, hostile_hog_calls, "beside a hog of calls", true},
	{"nonsense", hostile_nonsense, hostile_hog_calls, "beside a hog of calls", true},
	{"waker", hostile_waker, hostile_hog_calls, "beside a hog of calls", true},
	{"silent", hostile_silent, hostile_hog_calls, "beside a hog of calls", true},
	{"holder", hostile_holder, hostile_hog_memory, "beside a memory hog", true},
	{"logger", hostile_logger, hostile_hog_memory, "beside a memory hog", true},
	{"reserver", hostile_reserver, hostile_hog_calls, "beside a hog of calls", false},
	{"deaf", hostile_deaf, hostile_hog_memory, "beside a memory hog", true},
};

#define N_OFFENCES (sizeof(offences) / sizeof(offences[0]))

struct bench {
	struct report rep;
	struct broker_run broker;
	struct shmc *cache;
	struct hostile_shared *shared;
	uint64_t random, n_misses;
	unsigned slice_ms, n_rounds;
	int cpu[2];
};

/* One slice of honest work. */
struct slice {
	double per_cpu_second; /* calls */
	double broker_ns;      /* of the broker's time, a call */
};

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* --- the honest client ------------------------------------------------------------------------ */

static void honest_put(struct bench *b, uint64_t id)
{
	char key[VALUE_KEY_MAX], value[VALUE_SIZE];
	int r;

	value_make(value, sizeof(value), id, 1);
	r = shmc_put(b->cache, key, value_key('h', id, key), value, sizeof(value), NULL, 60000);
	bench_must(&b->rep, r, "put");
}

static void honest_get(struct bench *b, uint64_t id)
{
	struct shmc_view view;
	char key[VALUE_KEY_MAX];
	uint64_t version;
	int r = shmc_get(b->cache, key, value_key('h', id, key), &view);

	if (r == SHMC_MISS) {
		b->n_misses++;
		return;
	}
	bench_must(&b->rep, r, "get");
	if (!value_is(view.data, view.size, id, &version))
		report_fatal(&b->rep, "wrong bytes under key %llu", (unsigned long long)id);
	shmc_release(b->cache, &view);
}

/* The tier has no room for all of the keys: every other put evicts. */
static struct slice honest_slice(struct bench *b)
{
	uint64_t end = report_now() + b->slice_ms * UINT64_C(1000000), n = 0, cpu_ns;
	struct proc_usage before, after;
	unsigned i;

	bench_must(&b->rep, proc_usage(b->broker.proc.pid, &before), "the broker's usage");
	cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	while (report_now() < end) {
		honest_put(b, value_random(&b->random) % N_KEYS);
		for (i = 0; i < N_GETS; i++)
			honest_get(b, value_random(&b->random) % N_KEYS);
		n += 1 + N_GETS;
	}
	cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu_ns;
	bench_must(&b->rep, proc_usage(b->broker.proc.pid, &after), "the broker's usage");
	return (struct slice){(double)n / (double)cpu_ns * 1e9,
		(double)(after.cpu_ns - before.cpu_ns) / (double)n};
}

/* --- the other -------------------------------------------------------------------------------- */

static pid_t other_start(struct bench *b, hostile_fn *fn)
{
	pid_t parent = getpid(), pid;

	b->shared->n_turns = 0;
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(127);
		fn(b->broker.name, b->shared);
		_exit(1);
	}
	return pid;
}

static struct slice beside(struct bench *b, hostile_fn *fn)
{
	struct timespec pause = {.tv_nsec = 1000000};
	pid_t pid = other_start(b, fn);
	struct slice slice;
	int status, i;

	for (i = 0; i < 30000 && b->shared->n_turns < 10; i++)
		nanosleep(&pause, NULL);
	slice = honest_slice(b);
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	if (!WIFSIGNALED(status))
		report_fatal(&b->rep, "the other process ended by itself");
	return slice;
}

/* --- the run ---------------------------------------------------------------------------------- */

static void offence_run(struct bench *b, const struct offence *o)
{
	double ratio[ROUNDS_MAX], ours[ROUNDS_MAX], theirs[ROUNDS_MAX], alone[ROUNDS_MAX];
	double broker[ROUNDS_MAX], broker_neutral[ROUNDS_MAX];
	struct slice neutral, offender;
	char name[64], note[128];
	unsigned i;

	for (i = 0; i < b->n_rounds; i++) {
		alone[i] = honest_slice(b).per_cpu_second;
		neutral = beside(b, o->neutral);
		offender = beside(b, o->offender);
		ours[i] = offender.per_cpu_second;
		theirs[i] = neutral.per_cpu_second;
		ratio[i] = ours[i] / theirs[i];
		broker[i] = offender.broker_ns;
		broker_neutral[i] = neutral.broker_ns;
	}
	snprintf(note, sizeof(note), "%s; alone %.0f; median of the rounds' ratios %.3f", o->note,
		report_median(alone, b->n_rounds), report_median(ratio, b->n_rounds));
	report_row(&b->rep, &(struct report_row){.name = o->name,
		.ours = report_median(ours, b->n_rounds),
		.theirs = report_median(theirs, b->n_rounds), .unit = "op/cpu-s", .goal = GOAL,
		.bound = o->has_goal ? REPORT_AT_LEAST : REPORT_FIGURE, .note = note});
	snprintf(name, sizeof(name), "%s-broker-time", o->name);
	report_row(&b->rep, &(struct report_row){.name = name,
		.ours = report_median(broker, b->n_rounds),
		.theirs = report_median(broker_neutral, b->n_rounds), .unit = "ns/op",
		.bound = REPORT_FIGURE, .note = "of the broker's CPU, for each call"});
}

int main(int argc, char **argv)
{
	struct shmc_attach_options attach = {.spin_us = 1000000};
	struct broker_run_options options = {.dram_size = "16MiB"};
	static struct bench b;
	const char *only = "", *rounds = "0";
	const struct report_option own[] = {{"--only", &only}, {"--rounds", &rounds}, {0}};
	uint64_t id;
	size_t i;

	report_open(&b.rep, &argc, argv, "hostile", arguments);
	report_options(&b.rep, argv, arguments, own);
	b.n_rounds = (unsigned)atoi(rounds);
	if (!b.n_rounds || b.n_rounds > ROUNDS_MAX)
		b.n_rounds = b.rep.quick ? 3 : 5;
	bench_must(&b.rep, cleanup_guard(), "signals");
	machine_choose(&b.rep, b.cpu);
	machine_pin(&b.rep, b.cpu[0]);
	b.random = 1;
	b.slice_ms = b.rep.quick ? 100 : 1000;
	b.shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (b.shared == MAP_FAILED)
		return 1;
	options.cpu = b.cpu[1];
	bench_must(&b.rep, broker_run_start(&b.broker, &options, &b.cache, &attach), "broker");
	for (id = 0; id < N_KEYS; id++)
		honest_put(&b, id);
	for (i = 0; i < N_OFFENCES; i++)
		if (!strncmp(offences[i].name, only, strlen(only)))
			offence_run(&b, &offences[i]);
	shmc_detach(b.cache);
	if (broker_run_stop(&b.broker))
		report_fatal(&b.rep, "the broker did not end well");
	return report_close(&b.rep);
}
