/* SPDX-License-Identifier: Apache-2.0 */
/* thread.c: numbers for threads, and what happens at their end and at a fork. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "clients/lib/handle.h"
#include "clients/lib/thread.h"

/*
 * A library whose handles are used by threads that it did not make needs to hear of their end, and
 * that is the reason for the only globals in it: a key, whose destructor is that news, the list of
 * the handles to tell, and a counter. One key serves all handles, as a process may have 1024 keys
 * and more handles than that.
 *
 * Owners are numbers that are never used twice. A lane says in itself who owns it; a thread finds
 * its lane of a session by looking for its own number, once, and then in its slot. So a thread needs
 * no list of its lanes, and nothing in a slot can dangle: slots are matched by the session's serial,
 * and that is only ever compared with the serial of a session that is alive.
 *
 * At a fork the list is locked, so that the child finds it whole, and empties it: the handles on it
 * are the parent's. The library must not be unloaded (-z nodelete), for the key's sake.
 */
_Thread_local struct thread_local_state thread_local_state;

static struct {
	pthread_once_t once;
	pthread_mutex_t lock;
	pthread_key_t key;
	int error;
	struct shmc *first;
	_Atomic uint64_t numbers;
} registry = {.once = PTHREAD_ONCE_INIT, .lock = PTHREAD_MUTEX_INITIALIZER};

uint64_t thread_number_draw(void)
{
	return atomic_fetch_add_explicit(&registry.numbers, 1, memory_order_relaxed) + 1;
}

/*
 * Destructors of other keys may call the library again after this one: they find their slots empty,
 * draw a number as a new thread does, and thereby have this run once more.
 */
static void thread_end(void *arg)
{
	uint64_t number = thread_local_state.number;
	struct shmc *cache;

	(void)arg;
	memset(&thread_local_state, 0, sizeof(thread_local_state));
	pthread_mutex_lock(&registry.lock);
	for (cache = registry.first; cache; cache = cache->registry_next)
		handle_owner_gone(cache, number);
	pthread_mutex_unlock(&registry.lock);
}

static void fork_prepare(void)
{
	pthread_mutex_lock(&registry.lock);
}

static void fork_parent(void)
{
	pthread_mutex_unlock(&registry.lock);
}

static void fork_child(void)
{
	struct shmc *cache;

	for (cache = registry.first; cache; cache = cache->registry_next) {
		atomic_store_explicit(cache->alive, 0, memory_order_relaxed);
		cache->registry_link = NULL;
	}
	registry.first = NULL;
	pthread_mutex_unlock(&registry.lock);
}

static void registry_init(void)
{
	registry.error = pthread_key_create(&registry.key, thread_end);
	if (!registry.error)
		registry.error = pthread_atfork(fork_prepare, fork_parent, fork_child);
}

uint64_t thread_number(void)
{
	if (!thread_local_state.number) {
		thread_local_state.number = thread_number_draw();
		/* No memory for the key's value: the thread's lanes then wait for shmc_detach(). */
		(void)pthread_setspecific(registry.key, &thread_local_state);
	}
	return thread_local_state.number;
}

int registry_add(struct shmc *cache)
{
	pthread_once(&registry.once, registry_init);
	if (registry.error)
		return -registry.error;
	pthread_mutex_lock(&registry.lock);
	cache->registry_next = registry.first;
	cache->registry_link = &registry.first;
	if (registry.first)
		registry.first->registry_link = &cache->registry_next;
	registry.first = cache;
	pthread_mutex_unlock(&registry.lock);
	return 0;
}

void registry_remove(struct shmc *cache)
{
	pthread_mutex_lock(&registry.lock);
	if (cache->registry_link) {
		*cache->registry_link = cache->registry_next;
		if (cache->registry_next)
			cache->registry_next->registry_link = cache->registry_link;
	}
	pthread_mutex_unlock(&registry.lock);
}
