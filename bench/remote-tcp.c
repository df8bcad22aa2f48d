/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The least that TCP can do.
 *
 * A request is a number of bytes, the answer as many. Both sides block in the kernel, and nobody
 * checks, allocates or looks anything up: whatever a fetch costs above this is ours to answer for.
 * The congestion control is set at each socket, since the machine's default may be one that paces,
 * which halves what two namespaces of one machine can do.
 */
#include "bench/remote-tcp.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PORT 7001
#define START_PATIENCE_MS 10000

static int set_up(int fd, const char *congestion)
{
	int on = 1;

	return setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) ||
			setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, congestion, strlen(congestion))
		? -errno
		: 0;
}

static uint8_t *map_area(size_t size)
{
	uint8_t *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	memset(p, 1, size);
	return p;
}

/* --- the server ------------------------------------------------------------------------------- */

static int serve(int fd, const uint8_t *area, size_t area_size)
{
	size_t at = 0;
	uint64_t size;
	ssize_t n;

	while (recv(fd, &size, sizeof(size), MSG_WAITALL) == sizeof(size)) {
		if (at + size > area_size)
			at = 0;
		for (; size; size -= (size_t)n, at += (size_t)n) {
			n = send(fd, area + at, size, MSG_NOSIGNAL);
			if (n < 0)
				return 1;
		}
	}
	return 0;
}

int remote_tcp_server_main(char **argv)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(PORT)};
	size_t area_size = strtoull(argv[2], NULL, 10);
	uint8_t *area = map_area(area_size);
	int fd, peer;

	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (!area || fd < 0 || inet_pton(AF_INET, argv[3], &a.sin_addr) != 1 ||
		set_up(fd, argv[4]) || bind(fd, (struct sockaddr *)&a, sizeof(a)) || listen(fd, 1))
		return 1;
	peer = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
	if (peer < 0 || set_up(peer, argv[4]))
		return 1;
	return serve(peer, area, area_size);
}

/* --- the client ------------------------------------------------------------------------------- */

static int connect_to(struct remote_tcp *tcp, const char *address, const char *congestion)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(PORT)};
	struct timespec pause = {.tv_nsec = 1000000};
	int i, r = -EINVAL;

	if (inet_pton(AF_INET, address, &a.sin_addr) != 1)
		return r;
	for (i = 0; i < START_PATIENCE_MS; i++) {
		tcp->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (tcp->fd < 0)
			return -errno;
		r = set_up(tcp->fd, congestion);
		if (r || !connect(tcp->fd, (struct sockaddr *)&a, sizeof(a)))
			return r;
		r = -errno;
		close(tcp->fd);
		tcp->fd = -1;
		if (!proc_running(&tcp->server))
			return -ECHILD;
		nanosleep(&pause, NULL);
	}
	return r;
}

int remote_tcp_start(struct remote_tcp *tcp, const struct net *net, size_t area,
	const char *congestion, int cpu)
{
	char address[NET_ADDRESS_SIZE], size[24];
	const char *argv[] = {"/proc/self/exe", "--tcp-server", size, address, congestion, NULL};
	struct proc_options options = {argv, cpu, -1, -1, -1};
	int r;

	memset(tcp, 0, sizeof(*tcp));
	tcp->fd = -1;
	tcp->area_size = area;
	tcp->area = map_area(area);
	if (!tcp->area)
		return -ENOMEM;
	net_address(0, address);
	snprintf(size, sizeof(size), "%zu", area);
	r = net_enter(net, 0);
	if (!r)
		r = proc_start(&tcp->server, &options);
	if (!r)
		r = net_enter(net, 1);
	if (!r)
		r = connect_to(tcp, address, congestion);
	if (net_leave(net) && !r)
		r = -errno;
	if (r)
		remote_tcp_stop(tcp);
	return r;
}

void remote_tcp_stop(struct remote_tcp *tcp)
{
	if (tcp->fd >= 0)
		close(tcp->fd);
	tcp->fd = -1;
	proc_stop(&tcp->server);
	if (tcp->area)
		munmap(tcp->area, tcp->area_size);
	tcp->area = NULL;
}

static int ask(struct remote_tcp *tcp, uint64_t size)
{
	return send(tcp->fd, &size, sizeof(size), MSG_NOSIGNAL) == sizeof(size) ? 0 : -EPIPE;
}

static int receive(struct remote_tcp *tcp, size_t size)
{
	ssize_t n;

	if (tcp->at + size > tcp->area_size)
		tcp->at = 0;
	for (; size; size -= (size_t)n, tcp->at += (size_t)n) {
		n = recv(tcp->fd, tcp->area + tcp->at, size, 0);
		if (n <= 0)
			return n ? -errno : -EPIPE;
	}
	return 0;
}

int remote_tcp_fetch(struct remote_tcp *tcp, size_t size, unsigned n, unsigned depth)
{
	unsigned asked = 0, got;
	int r = 0;

	while (!r && asked < depth && asked < n) {
		r = ask(tcp, size);
		asked++;
	}
	for (got = 0; !r && got < n; got++) {
		r = receive(tcp, size);
		if (!r && asked < n) {
			r = ask(tcp, size);
			asked++;
		}
	}
	return r;
}
