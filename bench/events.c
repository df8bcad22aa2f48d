/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a put costs while somebody listens to events, and while he stands still.
 *
 * Rounds take turns: nobody subscribed, a subscriber who reads, one who is stopped (SIGSTOP) and
 * would hold up a writer that waits for its readers. Puts of 64 bytes go out by batches: one by one
 * they would tell how fast this machine wakes a process. What is told are medians of the rounds'
 * medians, for a put.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/must.h"
#include "tests/support/broker-run.h"

#define VALUE 64
#define BATCH 256
#define ROUNDS_MAX 9

enum who { NOBODY, READING, STOPPED, N_WHO };

static struct bench {
	struct report rep;
	struct broker_run broker;
	struct shmc *cache;
	size_t n_batches, n_rounds;
	double *samples;
} bench;

/* A subscriber in a process of its own. */
static void listen_for_ever(int ready)
{
	struct shmc_events *events;
	struct shmc_event event;
	struct shmc *cache;

	if (shmc_attach(&cache, bench.broker.name, NULL) ||
		shmc_events_open(cache, 0, SHMC_TIMEOUT_DEFAULT, &events))
		_exit(1);
	if (write(ready, "", 1) != 1)
		_exit(1);
	while (shmc_events_next(events, &event, SHMC_TIMEOUT_NEVER) == 0)
		;
	_exit(0);
}

static pid_t subscriber_start(bool is_stopped)
{
	int ready[2], status;
	char byte;
	pid_t pid;

	if (pipe(ready))
		report_fatal(&bench.rep, "no pipe");
	pid = fork();
	if (!pid)
		listen_for_ever(ready[1]);
	close(ready[1]);
	if (pid < 0 || read(ready[0], &byte, 1) != 1)
		report_fatal(&bench.rep, "the subscriber did not start");
	close(ready[0]);
	if (is_stopped && (kill(pid, SIGSTOP) || waitpid(pid, &status, WUNTRACED) != pid))
		report_fatal(&bench.rep, "the subscriber did not stop");
	return pid;
}

static double measure(enum who who)
{
	pid_t pid = who == NOBODY ? 0 : subscriber_start(who == STOPPED);
	static struct shmc_request request[BATCH];
	static char key[BATCH][24], value[VALUE];
	uint64_t begin, end = report_now();
	size_t i;

	for (i = 0; i < BATCH; i++) {
		snprintf(key[i], sizeof(key[i]), "key:%012zu", i);
		request[i] = (struct shmc_request){.operation = SHMC_OP_PUT, .key = key[i],
			.key_size = 16, .value = value, .value_size = VALUE};
	}
	for (i = 0; i < bench.n_batches; i++) {
		begin = end;
		bench_must(&bench.rep, shmc_execute(bench.cache, request, BATCH, SHMC_TIMEOUT_NEVER),
			"a batch");
		end = report_now();
		bench.samples[i] = (double)(end - begin) / BATCH;
	}
	if (pid) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
	return report_median(bench.samples, bench.n_batches);
}

int main(int argc, char **argv)
{
	struct broker_run_options options = {.cpu = PROC_CPU_ANY};
	double ns[N_WHO][ROUNDS_MAX], median[N_WHO];
	size_t i, who;

	report_open(&bench.rep, &argc, argv, "events", "");
	if (argc > 1)
		report_usage(&bench.rep, "", argv[1]);
	bench.n_batches = bench.rep.quick ? 1000 : 5000;
	bench.n_rounds = bench.rep.quick ? 5 : ROUNDS_MAX;
	bench.samples = calloc(bench.n_batches, sizeof(*bench.samples));
	if (!bench.samples || cleanup_guard())
		return 1;
	bench_must(&bench.rep, broker_run_start(&bench.broker, &options, &bench.cache, NULL), "start");
	(void)measure(NOBODY);
	for (i = 0; i < bench.n_rounds; i++)
		for (who = NOBODY; who < N_WHO; who++)
			ns[who][i] = measure((enum who)who);
	for (who = NOBODY; who < N_WHO; who++)
		median[who] = report_median(ns[who], bench.n_rounds);
	report_row(&bench.rep, &(struct report_row){.name = "put-64B-subscriber-stopped",
		.ours = median[STOPPED], .theirs = median[NOBODY], .unit = "ns", .goal = 1.5,
		.bound = REPORT_AT_MOST, .note = "theirs: nobody subscribed"});
	report_row(&bench.rep, &(struct report_row){.name = "put-64B-subscriber-reading",
		.ours = median[READING], .theirs = median[NOBODY], .unit = "ns",
		.bound = REPORT_FIGURE, .note = "theirs: nobody subscribed"});
	shmc_detach(bench.cache);
	broker_run_stop(&bench.broker);
	free(bench.samples);
	return report_close(&bench.rep);
}
