/* SPDX-License-Identifier: Apache-2.0 */
/* line.h: a connection by hand, in the clear or by TLS. */
#ifndef TESTS_REMOTE_LINE_H
#define TESTS_REMOTE_LINE_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shmcache/remote/peers/frame.h"

/* All calls wait. One thread at a time, but for line_shut(). */
struct line {
	int fd;
	SSL *ssl; /* NULL: in the clear */
};

/*
 * Make TLS of it: with DIRECTORY/NAME.pem, or without a certificate (NULL), and whoever is at the
 * other end is believed. false: it did not come about. Who calls with a certificate that the other
 * end does not take may hear of it only by the next line_receive().
 */
bool line_secure(struct line *w, const char *directory, const char *name, bool is_server);

/* What only the two ends know; zeroes in the clear. */
void line_export(const struct line *w, uint8_t secret[FRAME_TOKEN_SIZE]);

/* All of it, or false: the other end hung up. */
bool line_send(const struct line *w, const void *data, size_t size);
bool line_send_frame(const struct line *w, uint8_t type, uint8_t flags, uint64_t id, uint64_t argument,
	const void *body, uint32_t size);
bool line_receive(const struct line *w, void *data, size_t size);

/* No more of it, whoever waits for it; line_close() is still wanted. */
void line_shut(const struct line *w);
/* Once; and harmless where fd is negative. */
void line_close(struct line *w);

#endif
