/* SPDX-License-Identifier: Apache-2.0 */
/* tls.h: what stream-tls.c needs of OpenSSL's context, certificates and output. */
#ifndef SHMCACHE_REMOTE_PEERS_TLS_H
#define SHMCACHE_REMOTE_PEERS_TLS_H

#include <openssl/ssl.h>

#include "shmcache/remote/peers/stream-tls.h"

/* Output that SSL_write() made and that has not left. */
struct tls_buffer;

size_t tls_buffer_size(const struct tls_buffer *b);
size_t tls_buffer_room(const struct tls_buffer *b);
/* 0 when all has left, -EAGAIN, or another -errno. */
int tls_buffer_flush(struct tls_buffer *b, int fd);
void tls_buffer_free(struct tls_buffer *b);
/* A BIO that writes into a new buffer; NULL when out of memory. */
BIO *tls_buffer_bio(struct tls_buffer **out);

/* A connection on @fd, with a buffer for its output unless the kernel may encrypt. */
SSL *tls_make(struct tls *tls, int fd, struct tls_buffer **buffer);

/* The member that the peer's certificate names. 0 or -EACCES. */
int tls_peer_name(SSL *ssl, char name[FRAME_NAME_SIZE]);

/* Why the last call failed: a static sentence, without a full stop. */
const char *tls_reason(SSL *ssl);
/* Errors of former calls, of other connections too, are no news. */
void tls_forget_errors(void);

#endif
