/* SPDX-License-Identifier: Apache-2.0 */
/* wrap.c: system calls that would make two runs, or two machines, differ. Linked with --wrap. */
#include <string.h>
#include <sys/socket.h>
#include <sys/types.h>

#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83
#endif

/* The same hash seed in each run, so that an input does the same each time. */
ssize_t __wrap_getrandom(void *to, size_t size, unsigned flags);
ssize_t __wrap_getrandom(void *to, size_t size, unsigned flags)
{
	(void)flags;
	memset(to, 0x5a, size);
	return (ssize_t)size;
}

int __real_setsockopt(int fd, int level, int option, const void *value, socklen_t size);
int __wrap_setsockopt(int fd, int level, int option, const void *value, socklen_t size);

/* A kernel that can keep descriptors from us would keep them from the code that closes them. */
int __wrap_setsockopt(int fd, int level, int option, const void *value, socklen_t size)
{
	if (level == SOL_SOCKET && option == SO_PASSRIGHTS)
		return 0;
	return __real_setsockopt(fd, level, option, value, size);
}
