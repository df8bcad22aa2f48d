/* SPDX-License-Identifier: Apache-2.0 */
/* process.c: a process's start time, and a memory object among its descriptors. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "shmcache/process.h"
#include "shmcache/session.h"

/*
 * The process may be anybody's, and what is behind its descriptors anything: a device that does
 * something when it is opened, a file on a server that does not answer. So nothing is opened, nor
 * its attributes asked for, that is not called as we call our regions; and what is so called is
 * opened without effect first (O_PATH), recognised by its inode, and only then opened for reading,
 * through our own descriptor, so that it can't be exchanged in between. Who has a file system of
 * his own can call a file there as he likes: the inode is what the kernel knows of it, no server is
 * asked.
 *
 * A process may have ended its first thread and live on in others. Its list of descriptors, which
 * is that thread's, is empty then, and tells nothing: the others' are looked at.
 */
uint64_t process_start_time(pid_t pid)
{
	char path[64], text[1024], *at;
	unsigned long long ticks = 0;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[n > 0 ? n : 0] = '\0';
	at = strrchr(text, ')');
	if (at)
		sscanf(at + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d "
			       "%*d %*d %llu",
			&ticks);
	return ticks;
}

uint64_t process_pid_namespace(void)
{
	struct stat st;

	return stat("/proc/self/ns/pid", &st) ? 0 : st.st_ino;
}

/* As the kernel shows a memfd of ours, which has no name in any file system. */
static bool is_called_region(int dir, const char *name)
{
	static const char call[] = "/memfd:" SESSION_REQUEST_NAME " (deleted)";
	char link[sizeof(call)];

	return readlinkat(dir, name, link, sizeof(link)) == sizeof(call) - 1 &&
		!memcmp(link, call, sizeof(call) - 1);
}

static bool is_it(int fd, uint64_t dev, uint64_t ino)
{
	struct statx st;

	return !statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE | STATX_INO, &st) &&
		S_ISREG(st.stx_mode) && makedev(st.stx_dev_major, st.stx_dev_minor) == dev &&
		st.stx_ino == ino;
}

/* More than any honest process has; it is not our time alone. */
#define LOOK_MAX 65536

/* What is looked for among whose descriptors, and how many were seen. */
struct search {
	uint64_t dev, ino;
	unsigned *budget; /* closer looks that are left */
	int fd;
	unsigned n_seen;
};

/* One entry of /proc/PID/fd. 0, PROCESS_HAS_NONE, or -errno. */
static int look(struct search *s, int dir, const char *name)
{
	char path[64];
	int r, path_fd;

	if (!is_called_region(dir, name))
		return PROCESS_HAS_NONE;
	if (!*s->budget)
		return -E2BIG;
	--*s->budget;
	path_fd = openat(dir, name, O_PATH | O_CLOEXEC);
	if (path_fd < 0)
		return errno == ENOENT ? PROCESS_HAS_NONE : -errno;
	r = PROCESS_HAS_NONE;
	if (is_it(path_fd, s->dev, s->ino)) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", path_fd);
		s->fd = open(path, O_RDONLY | O_CLOEXEC);
		r = s->fd < 0 ? -errno : 0;
	}
	close(path_fd);
	return r;
}

/* One list of descriptors, of a process or a thread. As process_open_region(). */
static int search_list(struct search *s, const char *path)
{
	int r = PROCESS_HAS_NONE;
	struct dirent *entry;
	DIR *dir = opendir(path);

	if (!dir)
		return -errno;
	while (r == PROCESS_HAS_NONE) {
		errno = 0;
		entry = readdir(dir);
		if (!entry) {
			/* Of a process that is about to be gone, the list may be cut short. */
			r = errno ? -errno : PROCESS_HAS_NONE;
			break;
		}
		if (entry->d_name[0] == '.')
			continue;
		r = ++s->n_seen > LOOK_MAX ? -E2BIG : look(s, dirfd(dir), entry->d_name);
	}
	closedir(dir);
	return r;
}

/* The first thread that has any descriptors has those of the process. */
static int search_threads(struct search *s, pid_t pid)
{
	int r = PROCESS_HAS_NONE;
	struct dirent *entry;
	char path[320];
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	dir = opendir(path);
	if (!dir)
		return -errno;
	while (r == PROCESS_HAS_NONE && !s->n_seen && (entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "/proc/%d/task/%s/fd", (int)pid, entry->d_name);
		r = search_list(s, path);
		/* It has ended in between. */
		if (r == -ENOENT || r == -ESRCH)
			r = PROCESS_HAS_NONE;
	}
	closedir(dir);
	return r;
}

int process_open_region(pid_t pid, uint64_t dev, uint64_t ino, unsigned *budget, int *fd)
{
	struct search s = {.dev = dev, .ino = ino, .budget = budget};
	char path[64];
	int r;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	r = search_list(&s, path);
	if (r == PROCESS_HAS_NONE && !s.n_seen)
		r = search_threads(&s, pid);
	/* None at all: it is on its way out, or we were not shown. */
	if (r == PROCESS_HAS_NONE && !s.n_seen)
		r = -ESRCH;
	if (!r)
		*fd = s.fd;
	return r;
}
