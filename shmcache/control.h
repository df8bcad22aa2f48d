/* SPDX-License-Identifier: Apache-2.0 */
/* control.h: what an operator asks of a running broker: reload, drain, and who its peers are. */
#ifndef SHMCACHE_CONTROL_H
#define SHMCACHE_CONTROL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "ipc/wire.h"
#include "shmcache/watch.h"

struct broker;

/* A drain that is on its way. The control thread's. */
struct drain {
	bool is_on;
	bool is_closing;      /* nobody takes a hold any more */
	uint64_t deadline_ms; /* 0: none */
	uint64_t told_ms;     /* when progress was last told */
	struct watch timer;
	int asker; /* the connection of who asked, or -1 */
};

/*
 * Carry out what came on the connection @fd of @peer, whom the kernel names. Returns true when the
 * descriptor is kept, else it is the caller's to close. By the control thread, as all here.
 */
bool control_run(struct broker *b, int fd, const struct ucred *peer,
	const struct wire_control *message);

/*
 * Read the configuration again, and take over what can be: a line of the log for each key, and a
 * TOLD to @fd where that is not -1. A configuration with an error changes nothing. Also for SIGHUP.
 */
void control_reload(struct broker *b, int fd);

/* The end of the broker: free what a drain has, but not the connection of who asked for it. */
void control_close(struct broker *b);

/* For a sentence, or the end of a command; -1 is nobody. Never blocks. */
__attribute__((format(printf, 3, 4))) void control_tell(
	int fd, enum wire_outcome outcome, const char *format, ...);

/* Answer @fd with a PEERS, or a TOLD of what kept us from it. */
void peers_show(struct broker *b, int fd);

/* Begin a drain, or change the limit of the one that runs. Returns whether @fd is kept. */
bool drain_begin(struct broker *b, int fd, uint32_t within_ms);

#endif
