/* SPDX-License-Identifier: Apache-2.0 */
/* clocklock.c: a lock function that the sanitizer does not know, made of one that it does. */
#include <errno.h>
#include <pthread.h>
#include <time.h>

/*
 * Without this the sanitizer sees an unlock of what nobody has locked, and takes what the lock
 * guards for unguarded. It stands before the C library's in the order of lookup.
 */
__attribute__((visibility("default")))
int pthread_mutex_clocklock(pthread_mutex_t *mutex, clockid_t clock, const struct timespec *until)
{
	const struct timespec pause = {.tv_nsec = 100000};
	struct timespec now;

	while (pthread_mutex_trylock(mutex)) {
		clock_gettime(clock, &now);
		if (now.tv_sec > until->tv_sec ||
			(now.tv_sec == until->tv_sec && now.tv_nsec >= until->tv_nsec))
			return ETIMEDOUT;
		nanosleep(&pause, NULL);
	}
	return 0;
}
