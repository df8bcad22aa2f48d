/* SPDX-License-Identifier: Apache-2.0 */
/* What a test or benchmark must undo however it ends: children, directories. */
#ifndef SUPPORT_CLEANUP_H
#define SUPPORT_CLEANUP_H

#include <sys/types.h>

/* Embedded in the object that is to be undone. */
struct cleanup {
	struct cleanup *next;
	void (*undo)(struct cleanup *cleanup);
	pid_t owner; /* a fork's child leaves its parent's things alone */
};

/* Call @undo at exit() unless cleanup_drop() comes before; the last one added goes first.
 * @undo must not call either. Any thread. */
void cleanup_add(struct cleanup *cleanup, void (*undo)(struct cleanup *cleanup));

/* Forget it; harmless when it was never added. Any thread. */
void cleanup_drop(struct cleanup *cleanup);

/*
 * From here on SIGINT, SIGTERM and SIGHUP undo everything before they end the program
 * with the status 128 + signal. To be called once, by main(), before any other thread
 * exists: it blocks the signals, and a thread of its own waits for them. Children started
 * with proc_start() do not inherit the block. Returns 0 or a negative errno.
 */
int cleanup_guard(void);

#endif
