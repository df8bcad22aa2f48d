/* SPDX-License-Identifier: Apache-2.0 */
/* process.h: what /proc tells of a client's process. */
#ifndef SHMCACHE_PROCESS_H
#define SHMCACHE_PROCESS_H

#include <stdint.h>
#include <sys/types.h>

/* When @pid was started, in ticks: with the pid it names the process. 0 if unknown. */
uint64_t process_start_time(pid_t pid);

/* The PID namespace in which our pids mean something, by its inode. 0 if unknown. */
uint64_t process_pid_namespace(void);

enum { PROCESS_HAS_NONE = 1 }; /* outcome: all was looked at, and it is not there */

/*
 * Find the session's request region among the open files of @pid, by its device and inode, and open
 * it for reading: 0 and *fd, which is the caller's. PROCESS_HAS_NONE; a negative errno when that
 * can't be known: the process is gone (-ENOENT), or not ours to look into (-EACCES and others).
 *
 * Descriptors that are called as our regions are want a closer look, and it is the process that
 * calls them so: *budget is how many looks there may be, and is used up. -E2BIG when it is.
 */
int process_open_region(pid_t pid, uint64_t dev, uint64_t ino, unsigned *budget, int *fd);

#endif
