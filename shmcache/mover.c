/* SPDX-License-Identifier: Apache-2.0 */
/* mover.c: a thread that moves entries between tiers. */
#include <urcu.h>

#include "shmcache/broker.h"

/*
 * A thread of its own, since moves are long and nobody waits for them: a worker that copied 16 MiB
 * between two looks at its rings would add a millisecond or two to each request that it serves, and
 * slices short enough for that cost a turn of the lock each. The kernel shares the processors out;
 * the mover takes the lock to choose and to swap, and copies without it.
 *
 * It sleeps until a put finds the DRAM tier above its upper mark, or a hit below makes a candidate.
 */
static void *mover_main(void *argument)
{
	struct broker *b = argument;
	struct abi_worker *w = &b->plane.shared->worker[ABI_MOVER];

	rcu_register_thread();
	shared_u32_store(&w->need_wakeup, 1);
	while (store_move_wait(&b->store)) {
		shared_u32_store(&w->need_wakeup, 0);
		while (!store_move_is_stopping(&b->store) && store_move_step(&b->store, w))
			;
		store_gauges(&b->store, b->plane.shared);
		/* For inspectors alone: before they see it, the numbers are right again. */
		shared_u32_store_release(&w->need_wakeup, 1);
	}
	rcu_unregister_thread();
	return NULL;
}

int mover_start(struct mover *mover, struct broker *broker)
{
	const cpu_set_t *cpus = &broker->config->broker.cpus;
	pthread_attr_t attr;
	int r;

	mover->is_running = false;
	if (!store_has_cxl(&broker->store))
		return 0;
	pthread_attr_init(&attr);
	/* Where the workers run: the rest of the machine is the clients'. */
	if (CPU_COUNT(cpus))
		pthread_attr_setaffinity_np(&attr, sizeof(*cpus), cpus);
	r = -pthread_create(&mover->thread, &attr, mover_main, broker);
	pthread_attr_destroy(&attr);
	if (r)
		return r;
	pthread_setname_np(mover->thread, "mover");
	mover->is_running = true;
	return 0;
}

void mover_stop(struct mover *mover, struct broker *broker)
{
	if (!mover->is_running)
		return;
	store_move_stop(&broker->store);
	pthread_join(mover->thread, NULL);
	mover->is_running = false;
}
