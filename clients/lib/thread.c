/* SPDX-License-Identifier: Apache-2.0 */
/* thread.c: numbers for threads, and what happens at their end and at a fork. */
#include <errno.h>
#include <linux/membarrier.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "clients/lib/handle.h"
#include "clients/lib/thread.h"

/*
 * A library whose handles are used by threads that it did not make needs to hear of their end,
 * and that is the reason for the only globals in it: a key, whose destructor is that news, the
 * list of the handles to tell, the list of the threads, and a counter. One key serves all
 * handles, as a process may have 1024 keys and more handles than that.
 *
 * Owners are numbers that are never used twice. A lane says in itself who owns it; a thread finds
 * its lane of a session by looking for its own number, once, and then in its slot. So a thread
 * needs no list of its lanes, and nothing in a slot can dangle: slots are matched by the
 * session's serial, and that is only ever compared with the serial of a session that is alive.
 *
 * A thread may sleep for days between two calls, and the maps of a session whose broker is gone,
 * which may be those of a whole tier, must not wait for it. So a thread marks itself while it is
 * in a call, with a plain store. Whoever wants to unmap has the kernel run a full fence on all
 * threads of the process (membarrier), and then reads the marks: the price is paid by the one who
 * does it once in a broker's life, and not by each read. Where the kernel has no such call, the
 * maps do wait.
 *
 * At a fork the lists are locked, so that the child finds it whole, and empties it: the handles
 * on it are the parent's. The library must not be unloaded (-z nodelete), for the key's sake.
 */
_Thread_local struct thread_local_state thread_local_state;

static struct {
	pthread_once_t once;
	pthread_mutex_t lock;
	pthread_key_t key;
	int error;
	bool has_membarrier;
	struct shmc *first;
	_Atomic uint64_t numbers;
	/* Taken last of all locks. */
	pthread_mutex_t threads_lock;
	struct thread_local_state *threads;
} registry = {.once = PTHREAD_ONCE_INIT, .lock = PTHREAD_MUTEX_INITIALIZER,
	.threads_lock = PTHREAD_MUTEX_INITIALIZER};

uint64_t thread_number_draw(void)
{
	return atomic_fetch_add_explicit(&registry.numbers, 1, memory_order_relaxed) + 1;
}

static void thread_list(struct thread_local_state *t)
{
	pthread_mutex_lock(&registry.threads_lock);
	t->next = registry.threads;
	t->link = &registry.threads;
	if (t->next)
		t->next->link = &t->next;
	registry.threads = t;
	pthread_mutex_unlock(&registry.threads_lock);
}

static void thread_unlist(struct thread_local_state *t)
{
	pthread_mutex_lock(&registry.threads_lock);
	*t->link = t->next;
	if (t->next)
		t->next->link = t->link;
	pthread_mutex_unlock(&registry.threads_lock);
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
	thread_unlist(&thread_local_state);
	memset(thread_local_state.slot, 0, sizeof(thread_local_state.slot));
	thread_local_state.number = 0;
	pthread_mutex_lock(&registry.lock);
	for (cache = registry.first; cache; cache = cache->registry_next)
		handle_owner_gone(cache, number);
	pthread_mutex_unlock(&registry.lock);
}

static void fork_prepare(void)
{
	pthread_mutex_lock(&registry.lock);
	pthread_mutex_lock(&registry.threads_lock);
}

static void fork_parent(void)
{
	pthread_mutex_unlock(&registry.threads_lock);
	pthread_mutex_unlock(&registry.lock);
}

static void fork_child(void)
{
	struct shmc *cache;

	/* Of the threads only this one is here. */
	registry.threads = NULL;
	pthread_mutex_unlock(&registry.threads_lock);
	if (thread_local_state.number)
		thread_list(&thread_local_state);
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
	registry.has_membarrier =
		syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0;
}

bool thread_marks_count(void)
{
	return registry.has_membarrier;
}

bool thread_any_uses(uint64_t serial)
{
	struct thread_local_state *t;
	bool any = false;

	if (!registry.has_membarrier)
		return false;
	/*
	 * Keeps the store that took the session out of use apart from the loads of the marks, here
	 * and, on all other threads, the store of the mark apart from the second load of the
	 * handle's serial. Partner: the compiler fence in handle_lane_enter().
	 */
	if (syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0))
		return true;
	pthread_mutex_lock(&registry.threads_lock);
	for (t = registry.threads; t; t = t->next)
		/*
		 * Acquire: all that was done in the call. Partner: the release in
		 * handle_lane_exit().
		 */
		any |= atomic_load_explicit(&t->using, memory_order_acquire) == serial;
	pthread_mutex_unlock(&registry.threads_lock);
	return any;
}

uint64_t thread_number(void)
{
	if (!thread_local_state.number) {
		if (pthread_setspecific(registry.key, &thread_local_state))
			return 0;
		thread_local_state.number = thread_number_draw();
		thread_list(&thread_local_state);
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
