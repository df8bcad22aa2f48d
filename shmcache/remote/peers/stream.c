/* SPDX-License-Identifier: Apache-2.0 */
/* stream.c: bytes over TCP as they are. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "shmcache/remote/peers/stream.h"

static int tcp_handshake(struct stream *s)
{
	(void)s;
	return 0;
}

static ssize_t tcp_recv(struct stream *s, const struct iovec *iov, int n)
{
	struct msghdr message = {.msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)n};
	ssize_t r;

	do
		r = recvmsg(s->fd, &message, MSG_DONTWAIT);
	while (r < 0 && errno == EINTR);
	return r > 0 ? r : r < 0 ? -errno : -ECONNRESET;
}

static ssize_t tcp_send(struct stream *s, const struct iovec *iov, int n)
{
	struct msghdr message = {.msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)n};
	ssize_t r;

	do
		r = sendmsg(s->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : r;
}

static int tcp_flush(struct stream *s)
{
	(void)s;
	return 0;
}

static void tcp_free(struct stream *s)
{
	close(s->fd);
	free(s);
}

static const struct stream_ops tcp_ops = {
	.handshake = tcp_handshake,
	.recv = tcp_recv,
	.send = tcp_send,
	.flush = tcp_flush,
	.free = tcp_free,
};

struct stream *stream_tcp_new(int fd)
{
	struct stream *s = calloc(1, sizeof(*s));

	if (s)
		*s = (struct stream){.ops = &tcp_ops, .fd = fd};
	return s;
}

static void set(int fd, int level, int option, int value)
{
	(void)setsockopt(fd, level, option, &value, sizeof(value));
}

/*
 * Keep-alive finds out about a network that is gone while nothing is sent, the user time-out
 * while something is: each end needs both, since either may be the one that waits.
 */
int stream_tune(int fd, uint32_t silence_ms, const char *congestion)
{
	set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
	set(fd, IPPROTO_TCP, TCP_KEEPIDLE, 1);
	set(fd, IPPROTO_TCP, TCP_KEEPINTVL, 1);
	set(fd, IPPROTO_TCP, TCP_KEEPCNT, 3);
	set(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, (int)silence_ms);
	if (!congestion || !congestion[0])
		return 0;
	return setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, congestion, strlen(congestion)) ? -errno
											   : 0;
}
