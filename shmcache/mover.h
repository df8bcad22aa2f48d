/* SPDX-License-Identifier: Apache-2.0 */
/* mover.h: a thread that moves entries between tiers. */
#ifndef SHMCACHE_MOVER_H
#define SHMCACHE_MOVER_H

#include <pthread.h>
#include <stdbool.h>

struct broker;

struct mover {
	pthread_t thread;
	bool is_running;
};

/* 0 or -errno; does nothing where there is one tier. */
int mover_start(struct mover *mover, struct broker *broker);

/* Have it stop after the step that it is in, and wait for that. */
void mover_stop(struct mover *mover, struct broker *broker);

#endif
