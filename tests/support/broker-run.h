/* SPDX-License-Identifier: Apache-2.0 */
/* A private broker for a test or a benchmark: its own name, nothing left behind. */
#ifndef SUPPORT_BROKER_RUN_H
#define SUPPORT_BROKER_RUN_H

#include <stdbool.h>

#include "clients/shmcache.h"
#include "tests/support/proc.h"
#include "tests/support/scratch.h"

struct broker_run_options {
	const char *program; /* NULL: what broker_run_program() finds */
	const char *dram_size; /* NULL: 64MiB */
	bool persist; /* then the caller removes what is in /dev/shm, see below */
	/* Whole lines of the configuration, sections and all, after those that the above
	 * make. */
	const char *config;
	int cpu; /* as in proc_options: of the whole process; 0 is a CPU, PROC_CPU_ANY
		    none */
	int timeout_ms; /* for the start; 0: 30 s */
};

struct broker_run {
	char name[49]; /* attach by this */
	struct proc proc;
	struct scratch scratch; /* broker.conf and broker.log are in it */
	char program[PATH_MAX];
};

/*
 * Start a broker, wait until it serves, and attach to it with @options of the library
 * (NULL: defaults) if @cache is not NULL. On failure says why, with the end of the
 * broker's log, on stderr, and returns a negative errno: -ENOENT where there is no such
 * program. @run must stay where it is.
 */
int broker_run_start(struct broker_run *run, const struct broker_run_options *options,
	struct shmc **cache, const struct shmc_attach_options *attach);

/* $SHMCACHED, or else the broker in the build tree that this program is in, or else the one
 * in $PATH. */
void broker_run_program(char path[PATH_MAX]);

/*
 * Copy that program into @scratch, open the directory to all users, and name the copy in
 * $SHMCACHED: for a test that starts brokers as other users, to whom the build tree may be
 * closed. 0 or a negative errno.
 */
int broker_run_program_share(const struct scratch *scratch);

/* Start it again, under the same name with the same configuration, after its process was
 * ended with proc_stop() or kill() and proc_wait(). */
int broker_run_again(struct broker_run *run);

/* The same without waiting until it serves. */
int broker_run_launch(struct broker_run *run);

/* SIGTERM and remove the directory. Returns the wait status (0 when all is well) or a
 * negative errno. Nothing to do for one that is stopped, or was never started and is all
 * zero. */
int broker_run_stop(struct broker_run *run);

/* Remove what a broker of that name has, or would have, in /dev/shm, for tests that kill
 * theirs. Returns how many objects there were. */
int broker_run_unlink(const char *name);

/* The value of a counter or gauge by its name in shmc_stats(), or UINT64_MAX. */
uint64_t broker_run_stat(struct shmc *cache, const char *name);

#endif
