/* SPDX-License-Identifier: Apache-2.0 */
/* guard.h: touching memory that somebody else may take away. */
#ifndef SHMCACHE_GUARD_H
#define SHMCACHE_GUARD_H

#include <stdbool.h>
#include <stddef.h>

/* Catch SIGBUS in what is guarded. Once, by main; other SIGBUSes kill as ever. 0 or -errno. */
int guard_install(void);

/*
 * memcpy() that survives a page that is not there (a writer truncated the tier): false then, and an
 * unknown part is copied. Any thread.
 */
bool guard_copy(void *to, const void *from, size_t size);

/*
 * @call(@context), which may be left in the middle: false then, and whatever it was writing is to
 * be forgotten. It takes no lock, allocates nothing, and guards nothing itself. Any thread.
 */
bool guard_call(void (*call)(void *context), void *context);

#endif
