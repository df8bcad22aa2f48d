/* SPDX-License-Identifier: Apache-2.0 */
/* process.c: what /proc tells of a process, and the memory that it has open. */
#include "clients/inspect/process.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

/*
 * A pid is only a number: the process behind it may have ended and another have got it, or it may
 * count in another namespace than ours. Its start time tells, which /proc shows to everybody. What
 * it has open is shown to those who could trace it: the same user, or root.
 *
 * The regions of a session have no name. Whoever has a descriptor of one can be asked for it:
 * opening /proc/PID/fd/N gives a descriptor of our own, for reading, of the same memory. A process
 * that has mapped it and closed the descriptor still shows it in map_files, which takes more than
 * being the same user (CAP_SYS_ADMIN or CAP_CHECKPOINT_RESTORE).
 */
static ssize_t read_text(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = read(fd, text, size - 1);
	if (n < 0)
		n = -errno;
	close(fd);
	text[n > 0 ? n : 0] = '\0';
	return n;
}

static uint64_t clock_ms(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* Ticks since the boot as CLOCK_MONOTONIC has it, which does not count while the machine sleeps. */
static uint64_t ticks_to_ms(uint64_t ticks)
{
	uint64_t ms = ticks * 1000 / (uint64_t)sysconf(_SC_CLK_TCK);
	uint64_t slept = clock_ms(CLOCK_BOOTTIME) - clock_ms(CLOCK_MONOTONIC);

	return ms > slept ? ms - slept : 0;
}

void process_clean_text(char *text, size_t size)
{
	size_t i;

	for (i = 0; i < size - 1 && text[i]; i++)
		if (text[i] < 0x20 || text[i] > 0x7e)
			text[i] = '?';
	memset(text + i, 0, size - i);
}

#define CLOCKS_SLACK_MS 1000 /* two clocks are read one after the other, and ticks are coarse */

void process_look(
	struct image_process *p, uint32_t pid, uint64_t start_time, uint64_t not_after_ms)
{
	char path[64], text[1024], *name, *end;
	unsigned long long ticks = 0;
	char state = 0;

	*p = (struct image_process){.pid = pid, .state = PROCESS_UNKNOWN};
	if (!pid)
		return;
	p->state = PROCESS_GONE;
	snprintf(path, sizeof(path), "/proc/%" PRIu32 "/stat", pid);
	if (read_text(path, text, sizeof(text)) <= 0)
		return;
	/* The name may hold anything, parentheses too: it ends at the last of them. */
	name = strchr(text, '(');
	end = strrchr(text, ')');
	if (!name || !end || end < name ||
		sscanf(end + 1, " %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d "
				"%*d %*d %*d %llu", &state, &ticks) != 2)
		return;
	if ((start_time && ticks != start_time) ||
		(not_after_ms && ticks_to_ms(ticks) > not_after_ms + CLOCKS_SLACK_MS))
		return;
	*end = '\0';
	snprintf(p->command, sizeof(p->command), "%.26s", name + 1);
	process_clean_text(p->command, sizeof(p->command));
	p->state = state;
}

const char *process_state_name(const struct image_process *p)
{
	if (p->state == PROCESS_UNKNOWN)
		return "unknown";
	if (!process_is_there(p))
		return "gone";
	return process_is_stopped(p) ? "stopped" : "runs";
}

static bool is_file(const char *path, uint64_t dev, uint64_t ino)
{
	struct stat st;

	return !stat(path, &st) && st.st_ino == ino && (!dev || st.st_dev == dev);
}

static int open_checked(const char *path, uint64_t dev, uint64_t ino)
{
	struct stat st;
	int fd;

	if (!is_file(path, dev, ino))
		return -ENOENT;
	/* Nothing here may block or have effects: only memory files have such an inode. */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return -errno;
	/* The descriptor may have become another between the two. */
	if (!fstat(fd, &st) && S_ISREG(st.st_mode) && st.st_ino == ino &&
		(!dev || st.st_dev == dev))
		return fd;
	close(fd);
	return -ENOENT;
}

/*
 * Is it called as our regions are? Asked of the link alone: what else a process has open may lie
 * on a file system that does not answer.
 */
static bool is_region(const char *link)
{
	static const char prefix[] = "/memfd:shmcache-";
	char name[64];
	ssize_t n = readlink(link, name, sizeof(name));

	return n > (ssize_t)strlen(prefix) && !memcmp(name, prefix, strlen(prefix));
}

static int open_of_descriptors(uint32_t pid, uint64_t dev, uint64_t ino)
{
	char path[64 + 256];
	struct dirent *e;
	int r = -ENOENT;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%" PRIu32 "/fd", pid);
	d = opendir(path);
	if (!d)
		return errno == ENOENT ? -ESRCH : -errno;
	while (r == -ENOENT && (e = readdir(d))) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "/proc/%" PRIu32 "/fd/%s", pid, e->d_name);
		if (is_region(path))
			r = open_checked(path, dev, ino);
	}
	closedir(d);
	return r;
}

static int open_of_maps(uint32_t pid, uint64_t dev, uint64_t ino)
{
	char path[96], line[1024];
	unsigned long long start, end, found;
	unsigned major_number, minor_number;
	int r = -ENOENT;
	FILE *maps;

	snprintf(path, sizeof(path), "/proc/%" PRIu32 "/maps", pid);
	maps = fopen(path, "re");
	if (!maps)
		return errno == ENOENT ? -ESRCH : -errno;
	while (r == -ENOENT && fgets(line, sizeof(line), maps)) {
		if (sscanf(line, "%llx-%llx %*s %*x %x:%x %llu", &start, &end, &major_number,
			    &minor_number, &found) != 5 || found != ino ||
			(dev && dev != makedev(major_number, minor_number)))
			continue;
		snprintf(path, sizeof(path), "/proc/%" PRIu32 "/map_files/%llx-%llx", pid, start,
			end);
		if (is_region(path))
			r = open_checked(path, dev, ino);
		/* It is there; that we can't have it is what our caller tells. */
		if (r == -ENOENT && access(path, F_OK))
			r = -EACCES;
	}
	fclose(maps);
	return r;
}

int process_open_file(uint32_t pid, uint64_t dev, uint64_t ino)
{
	int r, by_map;

	if (!pid || !ino)
		return -ESRCH;
	r = open_of_descriptors(pid, dev, ino);
	if (r >= 0 || r == -ESRCH)
		return r;
	by_map = open_of_maps(pid, dev, ino);
	return by_map == -ENOENT || by_map == -EPERM ? (r == -ENOENT && by_map == -EPERM ? -EACCES
		: r)
						     : by_map;
}
