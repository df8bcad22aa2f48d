/* SPDX-License-Identifier: Apache-2.0 */
/*
 * endurance.c: an hour of mixed sizes at 95 % full, with clients that come and go.
 *
 *	endurance [--seconds N] [--seed N] [--clients N] [--size MIB]
 *
 * The keys are so many that their values, at their mean size, fill 95 % of the tier; each change
 * draws a new size. So nothing would have to be evicted if no byte were lost to the shape of what
 * is free, and what is evicted all the same, or misses, tells of fragmentation.
 *
 * Throughput is told three times, never in wall-clock alone, which on a shared machine says what
 * the others did: calls a unit of reference work that the same processes did in the same stretch
 * (endurance-client.c), calls a second of processor time, the broker's included, and the latter by
 * the processor time that the reference work took: where others wear out the caches, both take
 * longer.
 *
 * What fails: a wrong byte, an error, private memory of the broker that grew after the first tenth,
 * anything that is not given back at the end. Never a speed.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/soak/endurance.h"
#include "tests/soak/mix.h"
#include "tests/soak/watch.h"

#define CLIENTS_MAX 64
#define MEAN_SAMPLES 200000
#define GROWTH_MAX (4U << 20) /* of private memory, after the first tenth */

struct sample {
	uint64_t broker_cpu_ns, private_size, used, largest_free, n_evictions, n_fit;
};

struct supervisor {
	struct endurance *run;
	struct watch watch;
	unsigned n_clients;
	uint64_t tier_size, n_lives;
	pid_t pid[CLIENTS_MAX];
	struct sample sample[ENDURANCE_WINDOWS + 1]; /* at the beginning of each window */
	unsigned n_samples, n_failed;
};

/* --- clients ---------------------------------------------------------------------------------- */

static pid_t client_start(struct supervisor *s)
{
	uint64_t life = s->n_lives++;
	pid_t parent = getpid(), pid = fork();

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(127);
	endurance_client(s->run, life);
}

static void clients_tend(struct supervisor *s)
{
	unsigned i;
	int status;

	for (i = 0; i < s->n_clients; i++) {
		if (s->pid[i] > 0 && waitpid(s->pid[i], &status, WNOHANG) != s->pid[i])
			continue;
		if (s->pid[i] > 0 && status && !(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)) {
			printf("a client ended with status 0x%x\n", (unsigned)status);
			s->n_failed++;
		}
		s->pid[i] = client_start(s);
	}
}

static void clients_end(struct supervisor *s)
{
	unsigned i;

	for (i = 0; i < s->n_clients; i++) {
		kill(s->pid[i], SIGKILL);
		waitpid(s->pid[i], NULL, 0);
	}
}

/* --- samples ---------------------------------------------------------------------------------- */

static void sample_take(struct supervisor *s)
{
	struct sample *sample = &s->sample[s->n_samples++];
	struct proc_usage usage = {0};

	proc_usage(s->watch.broker.proc.pid, &usage);
	sample->broker_cpu_ns = usage.cpu_ns;
	sample->private_size = usage.anon_size;
	sample->used = watch_stat(&s->watch, "shmcache_dram_used_bytes");
	sample->largest_free = watch_stat(&s->watch, "shmcache_dram_largest_free_bytes");
	sample->n_evictions = watch_stat(&s->watch, "shmcache_evictions_total");
	sample->n_fit = watch_stat(&s->watch, "shmcache_evictions_fit_total");
}

static void watch_windows(struct supervisor *s)
{
	struct endurance *run = s->run;
	uint64_t next;

	run->begin_ns = endurance_now();
	sample_take(s);
	while (s->n_samples <= run->n_windows && !s->n_failed && !run->n_wrong) {
		next = run->begin_ns + s->n_samples * run->window_ns;
		while (endurance_now() < next) {
			nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
			clients_tend(s);
		}
		sample_take(s);
	}
}

/* --- what came of it -------------------------------------------------------------------------- */

/* Windows @first to @first + @n - 1 together. */
struct stretch {
	double ops, bytes, ops_ns, cpu_ns, reference, reference_ns, reference_cpu_ns;
	double gets, misses, nospace, lives;
	double evictions, fit;
};

static struct stretch stretch(const struct supervisor *s, unsigned first, unsigned n)
{
	struct stretch sum = {0};
	unsigned i;

	for (i = first; i < first + n; i++) {
		const struct endurance_window *w = &s->run->window[i];

		sum.ops += (double)w->n_ops;
		sum.bytes += (double)w->n_bytes;
		sum.ops_ns += (double)w->ops_ns;
		sum.cpu_ns += (double)w->ops_cpu_ns;
		sum.reference += (double)w->n_reference;
		sum.reference_ns += (double)w->reference_ns;
		sum.reference_cpu_ns += (double)w->reference_cpu_ns;
		sum.gets += (double)w->n_gets;
		sum.misses += (double)w->n_misses;
		sum.nospace += (double)w->n_nospace;
		sum.lives += (double)w->n_lives;
	}
	sum.cpu_ns += (double)(s->sample[first + n].broker_cpu_ns - s->sample[first].broker_cpu_ns);
	sum.evictions = (double)(s->sample[first + n].n_evictions - s->sample[first].n_evictions);
	sum.fit = (double)(s->sample[first + n].n_fit - s->sample[first].n_fit);
	return sum;
}

/* Calls in the time that a unit of reference work took in the same stretch. */
static double per_reference(const struct stretch *t)
{
	return t->ops / t->ops_ns * (t->reference_ns / t->reference);
}

static double per_cpu_second(const struct stretch *t)
{
	return t->ops / t->cpu_ns * 1e9;
}

/* Both by processor time. */
static double per_cpu_reference(const struct stretch *t)
{
	return t->ops / t->cpu_ns * (t->reference_cpu_ns / t->reference);
}

static void tell_windows(const struct supervisor *s)
{
	unsigned i;

	printf("window  calls/ref  calls/cpu-s  calls/s  ref us  misses  evict  (fit)  nospace  "
	       "used %%  largest free  private KiB  lives\n");
	for (i = 0; i < s->run->n_windows; i++) {
		struct stretch t = stretch(s, i, 1);
		const struct sample *e = &s->sample[i + 1];

		printf("%6u  %9.2f  %11.0f  %7.0f  %6.0f  %5.2f%%  %5.0f  %5.0f  %7.0f  %6.2f  "
		       "%8llu KiB  %11llu  %5.0f\n",
			i, per_reference(&t), per_cpu_second(&t),
			t.ops / ((double)s->run->window_ns / 1e9),
			t.reference_ns / t.reference / 1e3, 100 * t.misses / t.gets, t.evictions,
			t.fit, t.nospace, 100.0 * (double)e->used / (double)s->tier_size,
			(unsigned long long)e->largest_free >> 10,
			(unsigned long long)e->private_size >> 10, t.lives);
	}
}

static void judge(struct supervisor *s)
{
	unsigned n = s->run->n_windows, tenth = n / 10;
	struct stretch first = stretch(s, 0, tenth), last = stretch(s, n - tenth, tenth);
	struct stretch all = stretch(s, 0, n);
	uint64_t before = s->sample[tenth].private_size, after = s->sample[n].private_size;

	tell_windows(s);
	printf("endurance: last tenth to first: %.3f by reference work, %.3f by processor "
	       "time, %.3f by both (goal 0.95); private memory %llu to %llu KiB; %.0f calls, %.1f GiB put, %.0f lives, "
	       "%.3f %% misses, %.0f evictions\n",
		per_reference(&last) / per_reference(&first),
		per_cpu_second(&last) / per_cpu_second(&first),
		per_cpu_reference(&last) / per_cpu_reference(&first), (unsigned long long)before >> 10,
		(unsigned long long)after >> 10, all.ops, all.bytes / (1U << 30), all.lives,
		100 * all.misses / all.gets, all.evictions);
#ifndef __SANITIZE_ADDRESS__
	/* A sanitizer keeps what was freed for a while. */
	if (after > before + GROWTH_MAX) {
		printf("endurance: the broker grew\n");
		s->n_failed++;
	}
#endif
}

/* --- the run ---------------------------------------------------------------------------------- */

static uint64_t keys_count(uint64_t tier_size, uint64_t seed)
{
	uint64_t random = seed, sum = 0, size;
	unsigned i;

	for (i = 0; i < MEAN_SAMPLES; i++) {
		size = mix_size(&random);
		sum += size < 65536 ? (size + 63) / 64 * 64 : (size + 4095) / 4096 * 4096;
	}
	return tier_size / 100 * 95 / (sum / MEAN_SAMPLES);
}

static int fill(struct supervisor *s)
{
	uint64_t random = s->run->seed, number;
	uint8_t *value = malloc(MIX_SIZE_MAX);
	char key[VALUE_KEY_MAX];
	size_t size;
	int r = value ? 0 : -ENOMEM;

	for (number = 0; !r && number < s->run->n_keys; number++) {
		size = mix_size(&random);
		value_make(value, size, number, 0);
		r = shmc_put(s->watch.cache, key, value_key(ENDURANCE_PREFIX, number, key), value,
			size, NULL, 60000);
	}
	free(value);
	return r;
}

static uint64_t option(int argc, char **argv, const char *name, uint64_t otherwise)
{
	int i;

	for (i = 1; i + 1 < argc; i++)
		if (!strcmp(argv[i], name))
			return strtoull(argv[i + 1], NULL, 10);
	return otherwise;
}

int main(int argc, char **argv)
{
	static struct supervisor s;
	struct broker_run_options options = {
		.cpu = PROC_CPU_ANY, .config = "[broker]\nworkers = 2\n[session]\nlanes = 4\n"};
	uint64_t seconds = option(argc, argv, "--seconds", 3600);
	char size[32];
	int r;

	if (cleanup_guard())
		return 1;
	setvbuf(stdout, NULL, _IOLBF, 0);
	s.n_clients = (unsigned)option(argc, argv, "--clients", 4);
	s.tier_size = option(argc, argv, "--size", 512) << 20;
	s.run = mmap(NULL, sizeof(*s.run), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (s.run == MAP_FAILED || s.n_clients > CLIENTS_MAX)
		return 1;
	s.run->seed = option(argc, argv, "--seed", 1);
	s.run->n_windows = seconds >= 600 ? ENDURANCE_WINDOWS : 10;
	s.run->window_ns = seconds * 1000000000 / s.run->n_windows;
	s.run->n_keys = keys_count(s.tier_size, s.run->seed);
	snprintf(size, sizeof(size), "%lluB", (unsigned long long)s.tier_size);
	options.dram_size = size;
	r = watch_open(&s.watch, &options);
	if (r)
		return 1;
	snprintf(s.run->name, sizeof(s.run->name), "%s", s.watch.broker.name);
	printf("endurance: seed %llu, %llu s, %llu keys in %s, %u clients at a time\n",
		(unsigned long long)s.run->seed, (unsigned long long)seconds,
		(unsigned long long)s.run->n_keys, size, s.n_clients);
	r = fill(&s);
	if (r) {
		printf("endurance: the fill failed: %s\n", shmc_strerror(r));
		return 1;
	}
	clients_tend(&s);
	/* Let them come in: attaching and filling lanes is no part of the first window. */
	nanosleep(&(struct timespec){.tv_sec = (time_t)(seconds / 50)}, NULL);
	watch_windows(&s);
	clients_end(&s);
	if (!s.n_failed && !s.run->n_wrong)
		judge(&s);
	s.n_failed += watch_all_given_back(&s.watch) + watch_books(&s.watch);
	s.n_failed += watch_complaints(&s.watch);
	if (watch_close(&s.watch))
		s.n_failed++;
	r = s.n_failed || s.run->n_wrong;
	printf("endurance: %s\n", r ? "FAILED" : "passed");
	return r;
}
