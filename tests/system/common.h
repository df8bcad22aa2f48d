/* SPDX-License-Identifier: Apache-2.0 */
/* common.h: what the several-process tests share. */
#ifndef SYSTEM_COMMON_H
#define SYSTEM_COMMON_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <setjmp.h>

#include <cmocka.h>

#include "tests/support/broker-run.h"
#include "tests/support/raw-client.h"

/* Meson's word for a test that can't be run here. */
#define EXIT_SKIP 77

/*
 * A broker of a test's own. It is static in its test program, so that its end, and the removal of
 * all that its name has in /dev/shm, come about even when a test fails on the way.
 */
struct system_broker {
	struct cleanup shm; /* removed last */
	struct broker_run run;
	bool is_started;
};

/* Start one; @config as in broker_run_options. Fails the test if it does not come up. */
void system_start(struct system_broker *b, const char *dram_size, bool persist, const char *config);

/* SIGTERM; the exit status has to be 0, and with persist = off nothing is left. */
void system_stop(struct system_broker *b);

/* kill -9, as bad luck would have it. */
void system_kill(struct system_broker *b);

/* Start it again after system_kill() or a stop of its process. */
void system_again(struct system_broker *b);

/* Write another configuration for the next system_again(). */
void system_configure(struct system_broker *b, const char *dram_size, bool persist,
	const char *config);

/* Is the process there, serving, and answering a client that comes now? Fails the test if not. */
void system_assert_alive(struct system_broker *b);

/* How many lines of the log hold @text. */
unsigned system_log_count(const struct system_broker *b, const char *text);

/* A program run to its end. */
struct system_output {
	int status; /* as waitpid() tells */
	char text[16384]; /* stdout and stderr, terminated */
};

/*
 * Run shmcached with @args (NULL at the end), which are such that it ends by itself. After a minute
 * it is killed.
 */
void system_run(struct system_output *o, const char *const *args);
void system_run_program(struct system_output *o, const char *program, const char *const *args);

/* How many objects in /dev/shm begin with @name. */
unsigned system_shm_count(const char *name);

/* How many descriptors a process has open; how many bytes of private memory resident. */
unsigned system_fd_count(pid_t pid);

/* The least of several looks: what a broker hands over is its own, too, for a moment. */
unsigned system_fd_count_at_rest(pid_t pid);
uint64_t system_memory(pid_t pid);

/* Wait, a minute at most, until @is_true says so; false if it never did. */
bool system_wait(bool (*is_true)(void *context), void *context);

/* Wait until a gauge or the sum of a counter is @value; returns what it was at last. */
uint64_t system_wait_gauge(const struct raw_client *c, enum abi_gauge gauge, uint64_t value);
uint64_t system_wait_counter(const struct raw_client *c, enum abi_counter counter, uint64_t value);

/* Wait until the broker has no more than @n_max descriptors open; false if it never had. */
bool system_wait_fd_count(const struct system_broker *b, unsigned n_max);

/*
 * Attach with two seconds of time, and detach: what shmc_attach() says. A person is told, always:
 * @why, if it is not NULL, has the words.
 */
int system_attach(const char *name, char *why, size_t size);

/* Pause for a moment between two looks. */
void system_pause(void);

/*
 * Run @body in a child and return its wait status; what it returns is its exit status. It must not
 * use cmocka, whose failures are the parent's.
 */
int system_child(int (*body)(void *context), void *context);

/* The same without waiting; the pid, which dies with this process. */
pid_t system_spawn(int (*body)(void *context), void *context);

/* SIGKILL to a child of ours, and wait for it. */
void system_end(pid_t pid);

/* Bytes that a value of @seed has at each place. */
void system_fill(uint8_t *bytes, size_t size, uint64_t seed);

#endif
