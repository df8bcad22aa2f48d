/* SPDX-License-Identifier: Apache-2.0 */
/* stream-tls.h: mutual TLS 1.3 between brokers of one cluster. */
#ifndef SHMCACHE_REMOTE_PEERS_STREAM_TLS_H
#define SHMCACHE_REMOTE_PEERS_STREAM_TLS_H

#include "shmcache/remote/peers/frame.h"
#include "shmcache/remote/peers/stream.h"

/*
 * Who a broker is, stands in its certificate: one URI spiffe://CLUSTER/broker/NAME among the
 * subject alternative names, signed by the cluster's own authority. Nothing else of a
 * certificate is believed, no common name and no host name.
 */
struct tls;

/*
 * Read the authority's certificate (@ca), ours and its key, all PEM files. 0, or -errno and a
 * sentence in @why. tls_free() when no stream of it is left; NULL is ignored.
 */
int tls_new(struct tls **out, const char *cluster, const char *ca, const char *certificate,
	const char *key, char *why, size_t why_size);
void tls_free(struct tls *tls);

/* The member that our own certificate names. */
const char *tls_own_name(const struct tls *tls);

/*
 * A connection that we opened to the member @wanted. Takes @fd over; NULL when out of memory,
 * and then does not. The handshake fails when somebody else answers.
 */
struct stream *stream_tls_connect(struct tls *tls, int fd, const char *wanted);

/*
 * A connection that we accepted; as above. With @or_clear, one that does not begin like TLS is
 * taken in the clear (is_secure tells which it was).
 */
struct stream *stream_tls_accept(struct tls *tls, int fd, bool or_clear);

/* The name in the peer's certificate, after the handshake; "" for a stream in the clear. */
const char *stream_peer(const struct stream *s);

/*
 * 32 bytes that only the two ends of this connection know (RFC 8446, 7.5); all zero for a
 * stream in the clear. 0 or -EPROTO.
 */
int stream_export(struct stream *s, uint8_t secret[FRAME_TOKEN_SIZE]);

/* Whether the kernel does the encryption of this stream. */
bool stream_has_ktls(const struct stream *s);

#endif
