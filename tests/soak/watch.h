/* SPDX-License-Identifier: Apache-2.0 */
/* watch.h: a broker under load, and whether it has back in the end what it gave away. */
#ifndef SOAK_WATCH_H
#define SOAK_WATCH_H

#include "tests/support/broker-run.h"

/* What must be the same after the load as before it. */
struct watch_footprint {
	unsigned n_fds, n_threads, n_shm;
};

/* Static in its program: its end comes about however the program ends. */
struct watch {
	struct cleanup shm;
	struct broker_run broker;
	struct shmc *cache; /* attached all the while, for counters and gauges */
	struct watch_footprint before;
	uint64_t n_lost; /* by brokers that were killed, see watch_lost() */
	bool persists;
};

/* Start the broker and attach. 0 or a negative errno, after a message. */
int watch_open(struct watch *w, const struct broker_run_options *options);

/* A counter or gauge by its name in shmc_stats(). */
uint64_t watch_stat(struct watch *w, const char *name);

/* kill -9 to the broker; start it again, and wait until it serves or not. 0 or a negative errno. */
int watch_kill(struct watch *w);
int watch_again(struct watch *w);
int watch_launch(struct watch *w);

/* Does the broker know a session of process @pid? One that it has forgotten is served no more. */
bool watch_knows(const struct watch *w, pid_t pid);

/* How many entries went away without anybody's asking, by the counters of all brokers so far. */
uint64_t watch_lost(struct watch *w);

/*
 * Do the entries that there are agree with the counters of what came and went? Only where no broker
 * was killed, and nobody is at work. Says what is wrong, and returns 0 or 1.
 */
unsigned watch_books(struct watch *w);

/*
 * With all clients gone: wait, a minute at most, until sessions, reservations, pins, limbo,
 * descriptors and threads are as they were. Says what is not, and returns how many such there are.
 */
unsigned watch_all_given_back(struct watch *w);

/*
 * What the log must not tell of: a start without what was there before, a client cut off, a tier
 * damaged. Prints these lines, and returns how many there are.
 */
unsigned watch_complaints(struct watch *w);

/* Stop the broker, by SIGTERM. Returns how much is wrong: its status, what is left in /dev/shm. */
unsigned watch_close(struct watch *w);

#endif
