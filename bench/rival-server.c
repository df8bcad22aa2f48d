/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A server process behind a Unix socket, and the shortest way to ask it something.
 *
 * memcached and redis are asked with one write() of a request that was put together
 * beforehand and blocking read()s until the answer is whole. Their client libraries do
 * the same with formatting, parsing and polling around it, so this is the best that the
 * servers can show.
 */
#include "bench/rival.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define START_PATIENCE_MS 10000

static int socket_connect(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd, r;

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	strcpy(address.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&address, sizeof(address))) {
		r = -errno;
		close(fd);
		return r;
	}
	return fd;
}

static int start(
	struct rival_server *server, const char *const *argv, const char *socket)
{
	struct proc_options options = {argv, PROC_CPU_ANY, -1, -1, -1};
	struct timespec pause = {.tv_nsec = 1000000};
	char log[PATH_MAX];
	int i, r;

	options.stderr_fd = open(scratch_file(&server->scratch, "log", log),
		O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (options.stderr_fd < 0)
		return -errno;
	r = proc_start(&server->proc, &options);
	close(options.stderr_fd);
	if (r)
		return r;
	for (i = 0; i < START_PATIENCE_MS; i++) {
		r = socket_connect(socket);
		if (r >= 0) {
			server->fd = r;
			return 0;
		}
		if (!proc_running(&server->proc))
			return -ECHILD;
		nanosleep(&pause, NULL);
	}
	return r;
}

int rival_server_open(struct rival_server *server, const char *const *argv,
	const char *name, char socket[PATH_MAX])
{
	int r;

	memset(server, 0, sizeof(*server));
	server->fd = -1;
	r = scratch_make(&server->scratch, NULL);
	if (!r)
		r = start(server, argv, scratch_file(&server->scratch, name, socket));
	if (r)
		rival_server_close(server);
	return r;
}

void rival_server_close(struct rival_server *server)
{
	if (server->fd >= 0)
		close(server->fd);
	server->fd = -1;
	proc_stop(&server->proc);
	scratch_remove(&server->scratch);
}

int rival_server_ask(struct rival_server *server, const void *request,
	size_t request_size, void *answer, size_t answer_size)
{
	size_t have = 0;
	ssize_t n;

	/* A request is far smaller than a socket's buffer: the write is whole or an
	 * error. */
	if (write(server->fd, request, request_size) != (ssize_t)request_size)
		return -EIO;
	while (have < answer_size) {
		n = read(server->fd, (char *)answer + have, answer_size - have);
		if (n <= 0)
			return -EIO;
		have += (size_t)n;
	}
	return 0;
}
