/* SPDX-License-Identifier: Apache-2.0 */
/* stream-tls.c: bytes through OpenSSL. */
#include <errno.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "shmcache/remote/peers/stream-tls.h"
#include "shmcache/remote/peers/tls.h"

/*
 * SSL_write() makes records of 16 KiB and would send each by a system call of its own. So it
 * writes into a buffer of ours (tls-buffer.c), which goes out by one call when it is full or
 * when there is no more; small pieces that follow each other become one record. SSL_write() is
 * called only while the buffer has room for a whole record: so it never wants to be called
 * again with the same bytes, which may be gone by then (a push that is aborted).
 *
 * Where the kernel can encrypt, it does, and OpenSSL writes to the socket itself. It then keeps no
 * copy of a record that the socket did not take, but goes on from where that lay, whatever it is
 * given by the next call. So every record is put together in a place of ours, and stays there until
 * it is gone.
 */
#define RECORD 16384
#define RECORD_ROOM (RECORD + 512)

struct stream_tls {
	struct stream base;
	SSL *ssl;
	struct tls_buffer *buffer; /* NULL with kTLS */
	bool is_client, or_clear, is_clear, has_looked;
	char wanted[FRAME_NAME_SIZE];
	char peer[FRAME_NAME_SIZE];
	uint8_t record[RECORD]; /* small pieces put together */
	size_t n_pending;	/* of @record: OpenSSL is to be called again with these */
};

static struct stream_tls *of(struct stream *s)
{
	return (struct stream_tls *)s;
}

/* What OpenSSL's last call on @t that did not do its work means. */
static int failure(struct stream_tls *t, int r)
{
	int saved = errno;

	switch (SSL_get_error(t->ssl, r)) {
	case SSL_ERROR_WANT_READ:
		return -EAGAIN;
	case SSL_ERROR_WANT_WRITE:
		t->base.wants_out = true;
		return -EAGAIN;
	case SSL_ERROR_ZERO_RETURN:
		return -ECONNRESET;
	case SSL_ERROR_SYSCALL:
		return saved ? -saved : -ECONNRESET;
	default:
		t->base.wrong = tls_reason(t->ssl);
		return -EPROTO;
	}
}

/* --- the handshake --------------------------------------------------------------------------- */

static int flush(struct stream *s)
{
	struct stream_tls *t = of(s);
	int r;

	if (t->is_clear || !t->buffer) {
		s->wants_out = false;
		return 0;
	}
	r = tls_buffer_flush(t->buffer, s->fd);
	s->wants_out = r == -EAGAIN;
	return r;
}

/* TLS begins with a record of type 22, and no frame of ours does. */
static int look(struct stream_tls *t)
{
	uint8_t first;
	ssize_t n = recv(t->base.fd, &first, 1, MSG_PEEK | MSG_DONTWAIT);

	if (n < 0)
		return -errno;
	if (!n)
		return -ECONNRESET;
	t->has_looked = true;
	t->is_clear = first != 22;
	return 0;
}

static int check_peer(struct stream_tls *t)
{
	if (tls_peer_name(t->ssl, t->peer)) {
		t->base.wrong = "its certificate names no member of this cluster";
		return -EACCES;
	}
	if (t->is_client && strcmp(t->peer, t->wanted)) {
		t->base.wrong = "its certificate names another member";
		return -EACCES;
	}
	t->base.is_secure = true;
	return 0;
}

static int handshake(struct stream *s)
{
	struct stream_tls *t = of(s);
	int r;

	if (t->or_clear && !t->has_looked) {
		r = look(t);
		if (r)
			return r;
	}
	if (t->is_clear)
		return 0;
	tls_forget_errors();
	errno = 0;
	r = SSL_do_handshake(t->ssl);
	if (r == 1)
		r = check_peer(t);
	else
		r = failure(t, r);
	/* An alert, too, shall go out. */
	if (t->buffer && flush(s) && !r)
		return s->wants_out ? -EAGAIN : -ECONNRESET;
	return r;
}

/* --- bytes ----------------------------------------------------------------------------------- */

static ssize_t clear_io(struct stream *s, const struct iovec *iov, int n, bool is_send)
{
	struct msghdr message = {.msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)n};
	ssize_t r = is_send ? sendmsg(s->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL)
			    : recvmsg(s->fd, &message, MSG_DONTWAIT);

	return r > 0 ? r : r < 0 ? -errno : -ECONNRESET;
}

static ssize_t tls_recv(struct stream *s, const struct iovec *iov, int n)
{
	struct stream_tls *t = of(s);
	ssize_t total = 0;
	size_t got, at;
	int i, r = 1;

	if (t->is_clear)
		return clear_io(s, iov, n, false);
	tls_forget_errors();
	errno = 0;
	for (i = 0; i < n && r == 1; i++)
		for (at = 0; at < iov[i].iov_len; at += got, total += (ssize_t)got) {
			r = SSL_read_ex(t->ssl, (uint8_t *)iov[i].iov_base + at,
				iov[i].iov_len - at, &got);
			if (r != 1)
				break;
		}
	if (r != 1)
		r = failure(t, r);
	/*
	 * A failure behind some bytes is met again by the next call, which nothing else may
	 * bring.
	 */
	s->has_more = total && r != -EAGAIN;
	if (!total)
		total = r;
	/* OpenSSL may have made an answer. */
	if (t->buffer && tls_buffer_size(t->buffer))
		(void)flush(s);
	return total;
}

/*
 * The next record: the first piece when it is long, or a copy of as many as fit. One that is pending
 * has the length of what it was made of, though some of that may read otherwise by now.
 */
static const uint8_t *next_record(struct stream_tls *t, const struct iovec *iov, int n, size_t skip,
	size_t *size)
{
	size_t at = 0, take;
	int i;

	if (t->n_pending) {
		*size = t->n_pending;
		return t->record;
	}
	if (t->buffer && iov[0].iov_len - skip >= RECORD) {
		*size = RECORD;
		return (const uint8_t *)iov[0].iov_base + skip;
	}
	for (i = 0; i < n && at < RECORD; i++, skip = 0) {
		take = iov[i].iov_len - skip;
		if (take > RECORD - at)
			take = RECORD - at;
		memcpy(t->record + at, (const uint8_t *)iov[i].iov_base + skip, take);
		at += take;
	}
	*size = at;
	return t->record;
}

static bool has_room(struct stream_tls *t, int *r)
{
	if (!t->buffer || tls_buffer_room(t->buffer) >= RECORD_ROOM)
		return true;
	*r = flush(&t->base);
	return !*r && tls_buffer_room(t->buffer) >= RECORD_ROOM;
}

static ssize_t tls_send(struct stream *s, const struct iovec *iov, int n)
{
	struct stream_tls *t = of(s);
	size_t size, sent, skip = 0;
	const uint8_t *record;
	ssize_t total = 0;
	int r = 0;

	if (t->is_clear)
		return clear_io(s, iov, n, true);
	tls_forget_errors();
	errno = 0;
	while (n) {
		if (skip == iov->iov_len) {
			iov++, n--, skip = 0;
			continue;
		}
		if (!has_room(t, &r))
			break;
		record = next_record(t, iov, n, skip, &size);
		r = SSL_write_ex(t->ssl, record, size, &sent);
		t->n_pending = r == 1 || t->buffer ? 0 : size;
		if (r != 1) {
			r = failure(t, r);
			break;
		}
		r = 0;
		total += (ssize_t)sent;
		for (skip += sent; n && skip >= iov->iov_len && skip; iov++, n--)
			skip -= iov->iov_len;
	}
	if (!r)
		r = flush(s);
	if (r && r != -EAGAIN)
		return r;
	return total ? total : -EAGAIN;
}

/* --- both ends ------------------------------------------------------------------------------- */

static void tls_stream_free(struct stream *s)
{
	struct stream_tls *t = of(s);

	SSL_free(t->ssl);
	tls_buffer_free(t->buffer);
	close(s->fd);
	free(t);
}

static const struct stream_ops tls_ops = {
	.handshake = handshake,
	.recv = tls_recv,
	.send = tls_send,
	.flush = flush,
	.free = tls_stream_free,
};

static struct stream_tls *stream_new(struct tls *tls, int fd)
{
	struct stream_tls *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->base = (struct stream){.ops = &tls_ops, .fd = fd};
	t->ssl = tls_make(tls, fd, &t->buffer);
	if (!t->ssl) {
		free(t);
		return NULL;
	}
	return t;
}

struct stream *stream_tls_connect(struct tls *tls, int fd, const char *wanted)
{
	struct stream_tls *t = stream_new(tls, fd);

	if (!t)
		return NULL;
	t->is_client = true;
	snprintf(t->wanted, sizeof(t->wanted), "%s", wanted);
	SSL_set_connect_state(t->ssl);
	return &t->base;
}

struct stream *stream_tls_accept(struct tls *tls, int fd, bool or_clear)
{
	struct stream_tls *t = stream_new(tls, fd);

	if (!t)
		return NULL;
	t->or_clear = or_clear;
	SSL_set_accept_state(t->ssl);
	return &t->base;
}

const char *stream_peer(const struct stream *s)
{
	return s->is_secure ? ((const struct stream_tls *)s)->peer : "";
}

int stream_export(struct stream *s, uint8_t secret[FRAME_TOKEN_SIZE])
{
	static const char label[] = "EXPORTER-shmcache-data-lane";

	memset(secret, 0, FRAME_TOKEN_SIZE);
	if (!s->is_secure)
		return 0;
	return SSL_export_keying_material(of(s)->ssl, secret, FRAME_TOKEN_SIZE, label,
		       sizeof(label) - 1, NULL, 0, 0) == 1
		? 0
		: -EPROTO;
}

bool stream_has_ktls(const struct stream *s)
{
	return s->is_secure && BIO_get_ktls_send(SSL_get_wbio(((const struct stream_tls *)s)->ssl));
}
