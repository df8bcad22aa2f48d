/* SPDX-License-Identifier: Apache-2.0 */
/* process.h: what /proc tells of a process, and the memory that it has open. */
#ifndef CLIENTS_INSPECT_PROCESS_H
#define CLIENTS_INSPECT_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * @state is the letter of /proc/PID/stat (R runs, S and D sleep, T is stopped, Z has ended), or
 * one of ours. Fixed in size, for it goes into snapshots.
 */
#define PROCESS_GONE 'x'
#define PROCESS_UNKNOWN '?' /* no pid to look for */

struct image_process {
	uint32_t pid;
	char state;
	char command[27]; /* NUL-terminated */
};

_Static_assert(sizeof(struct image_process) == 32, "as it is in snapshots");

/*
 * Look at process @pid. It is the one that is meant if it was started in tick @start_time of the
 * clock of /proc/PID/stat (0: any), and not after @not_after_ms of CLOCK_MONOTONIC; else it has the
 * number of one that is gone.
 */
void process_look(struct image_process *p, uint32_t pid, uint64_t start_time,
	uint64_t not_after_ms);

/*
 * Make @text of @size bytes printable: other characters become question marks, and it ends. A
 * process may call itself what it wants, and a snapshot say anything: it must not command our
 * terminal.
 */
void process_clean_text(char *text, size_t size);

static inline bool process_is_there(const struct image_process *p)
{
	return p->state != PROCESS_GONE && p->state != PROCESS_UNKNOWN && p->state != 'Z' &&
		p->state != 'X';
}

static inline bool process_is_stopped(const struct image_process *p)
{
	return p->state == 'T' || p->state == 't';
}

static inline bool process_runs(const struct image_process *p)
{
	return process_is_there(p) && !process_is_stopped(p);
}

/* "runs", "stopped", "gone", "unknown", as a word for people. */
const char *process_state_name(const struct image_process *p);

/*
 * Open for reading the file of that device and inode which @pid has open or mapped. A descriptor;
 * -ENOENT: it has none such; -EACCES: /proc does not let us look; -ESRCH.
 */
int process_open_file(uint32_t pid, uint64_t dev, uint64_t ino);

#endif
