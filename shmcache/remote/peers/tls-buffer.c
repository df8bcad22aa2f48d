/* SPDX-License-Identifier: Apache-2.0 */
/* tls-buffer.c: many TLS records that go out by one system call. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "shmcache/remote/peers/tls.h"

#define SIZE (256U << 10)

struct tls_buffer {
	size_t begin, end;
	uint8_t bytes[SIZE];
};

size_t tls_buffer_size(const struct tls_buffer *b)
{
	return b->end - b->begin;
}

size_t tls_buffer_room(const struct tls_buffer *b)
{
	return SIZE - b->end;
}

int tls_buffer_flush(struct tls_buffer *b, int fd)
{
	ssize_t n;

	while (b->begin < b->end) {
		n = send(fd, b->bytes + b->begin, b->end - b->begin, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		b->begin += (size_t)n;
	}
	b->begin = b->end = 0;
	return 0;
}

void tls_buffer_free(struct tls_buffer *b)
{
	free(b);
}

/* --- as OpenSSL sees it ---------------------------------------------------------------------- */

/*
 * Handshakes and alerts don't ask for room: what does not fit is an error, and does not happen.
 */
static int bio_write(BIO *bio, const char *data, int size)
{
	struct tls_buffer *b = BIO_get_data(bio);

	BIO_clear_retry_flags(bio);
	if (size <= 0 || (size_t)size > tls_buffer_room(b))
		return -1;
	memcpy(b->bytes + b->end, data, (size_t)size);
	b->end += (size_t)size;
	return size;
}

static long bio_ctrl(BIO *bio, int command, long number, void *pointer)
{
	(void)bio;
	(void)number;
	(void)pointer;
	return command == BIO_CTRL_FLUSH || command == BIO_CTRL_PUSH || command == BIO_CTRL_POP;
}

static int bio_create(BIO *bio)
{
	BIO_set_init(bio, 1);
	return 1;
}

/* One table for the process, made once and never freed, as OpenSSL's own. */
static const BIO_METHOD *method(void)
{
	static BIO_METHOD *made;

	if (made)
		return made;
	made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "shmcache output");
	if (made) {
		BIO_meth_set_write(made, bio_write);
		BIO_meth_set_ctrl(made, bio_ctrl);
		BIO_meth_set_create(made, bio_create);
	}
	return made;
}

BIO *tls_buffer_bio(struct tls_buffer **out)
{
	struct tls_buffer *b = malloc(sizeof(*b));
	BIO *bio = b && method() ? BIO_new(method()) : NULL;

	if (!bio) {
		free(b);
		return NULL;
	}
	b->begin = b->end = 0;
	BIO_set_data(bio, b);
	*out = b;
	return bio;
}
