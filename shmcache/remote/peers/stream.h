/* SPDX-License-Identifier: Apache-2.0 */
/* stream.h: bytes to and from a peer, in the clear or through TLS. */
#ifndef SHMCACHE_REMOTE_PEERS_STREAM_H
#define SHMCACHE_REMOTE_PEERS_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

/*
 * A table of functions, so that other transports can follow. A stream owns its connection, whose
 * descriptor the caller watches; nothing waits. For one thread.
 */
struct stream;

struct stream_ops {
	int (*handshake)(struct stream *s);
	ssize_t (*recv)(struct stream *s, const struct iovec *iov, int n);
	ssize_t (*send)(struct stream *s, const struct iovec *iov, int n);
	int (*flush)(struct stream *s);
	void (*free)(struct stream *s);
};

struct stream {
	const struct stream_ops *ops;
	int fd;
	bool is_secure;
	bool wants_out;    /* go on when the descriptor is writable, whatever there is to send */
	bool has_more;     /* recv() would give more, though the descriptor may not be readable */
	const char *wrong; /* a sentence behind a failure, or NULL */
};

/* In the clear. Takes @fd over; NULL when out of memory, and then does not. */
struct stream *stream_tcp_new(int fd);

/*
 * 0 when both ends know what they must, -EAGAIN, or another -errno. To be called until it is 0.
 */
static inline int stream_handshake(struct stream *s)
{
	return s->ops->handshake(s);
}

/* Fill @iov in order. How many bytes, -EAGAIN, -ECONNRESET at the end, or another -errno. */
static inline ssize_t stream_recv(struct stream *s, const struct iovec *iov, int n)
{
	return s->ops->recv(s, iov, n);
}

/*
 * Take bytes of @iov in order: the stream has them, though they may not have left (wants_out).
 * How many, -EAGAIN, or another -errno.
 */
static inline ssize_t stream_send(struct stream *s, const struct iovec *iov, int n)
{
	return s->ops->send(s, iov, n);
}

/* Let go what send() kept back. 0, -EAGAIN, or another -errno. */
static inline int stream_flush(struct stream *s)
{
	return s->ops->flush(s);
}

/* Close the connection. NULL is ignored. */
static inline void stream_free(struct stream *s)
{
	if (s)
		s->ops->free(s);
}

/*
 * What every connection between brokers has: no delay, a dead network known after @silence_ms
 * at both ends whether something is being sent or not, and the congestion control that is
 * wanted (NULL: the system's). No buffer sizes: the kernel finds better ones. 0, or -errno
 * where the congestion control is not to be had.
 */
int stream_tune(int fd, uint32_t silence_ms, const char *congestion);

#endif
