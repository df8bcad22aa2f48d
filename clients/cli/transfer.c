/* SPDX-License-Identifier: Apache-2.0 */
/*
 * transfer.c: bytes between a descriptor and memory, whole or not at all.
 *
 * Values go up to 1 GiB, and one read() or write() moves 2 GiB, so a single call would do
 * for most. It is cut into steps for the progress line, and because pipes hand over 64 KiB
 * at a time anyway.
 *
 * Standard input and output are inherited, and whoever shares them may have set them
 * non-blocking (ssh and node do). EAGAIN then means "wait" and not "failed".
 */
#include "clients/cli/transfer.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#define STEP_SIZE ((size_t)8 << 20)
#define SLURP_SIZE ((size_t)64 << 10)

/* After a negative result: 0 if it is worth another try, else the negative errno. */
static int transfer_again(int fd, short events)
{
	struct pollfd pfd = { .fd = fd, .events = events };

	if (errno == EINTR)
		return 0;
	if (errno != EAGAIN)
		return -errno;
	if (poll(&pfd, 1, -1) < 0 && errno != EINTR)
		return -errno;
	return 0;
}

/* One step: a count (0: the end), or a negative errno. */
static ssize_t step_read(int fd, void *buffer, size_t size)
{
	for (;;) {
		ssize_t n = read(fd, buffer, size < STEP_SIZE ? size : STEP_SIZE);
		int r;

		if (n >= 0)
			return n;
		r = transfer_again(fd, POLLIN);
		if (r)
			return r;
	}
}

int transfer_read(int fd, void *buffer, size_t size, struct progress *progress)
{
	for (size_t done = 0; done < size;) {
		ssize_t n = step_read(fd, (char *)buffer + done, size - done);

		if (n < 0)
			return (int)n;
		if (!n)
			return -ENODATA;
		done += (size_t)n;
		progress_advance(progress, (uint64_t)n);
	}
	return 0;
}

int transfer_slurp(int fd, size_t max, void **data, size_t *size, struct progress *progress)
{
	size_t room = 0, done = 0;
	char *buffer = NULL, *larger;
	ssize_t n;

	do {
		if (done == room) {
			room = room ? 2 * room : SLURP_SIZE;
			larger = realloc(buffer, room);
			if (!larger) {
				n = -ENOMEM;
				break;
			}
			buffer = larger;
		}
		n = step_read(fd, buffer + done, room - done);
		if (n > 0) {
			done += (size_t)n;
			progress_advance(progress, (uint64_t)n);
		}
		if (done > max)
			n = -EFBIG;
	} while (n > 0);
	if (n < 0) {
		free(buffer);
		return (int)n;
	}
	*data = buffer;
	*size = done;
	return 0;
}

int transfer_write(int fd, const void *data, size_t size, struct progress *progress)
{
	const char *bytes = data;

	while (size) {
		ssize_t n = write(fd, bytes, size < STEP_SIZE ? size : STEP_SIZE);
		int r = n < 0 ? transfer_again(fd, POLLOUT) : 0;

		if (r)
			return r;
		if (n <= 0)
			continue;
		bytes += n;
		size -= (size_t)n;
		progress_advance(progress, (uint64_t)n);
	}
	return 0;
}
