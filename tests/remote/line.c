/* SPDX-License-Identifier: Apache-2.0 */
/* line.c: a connection by hand, in the clear or by TLS. */
#include "tests/remote/line.h"

#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* OpenSSL writes without MSG_NOSIGNAL. */
static SSL *make(int fd, const char *directory, const char *name)
{
	SSL_CTX *context = SSL_CTX_new(TLS_method());
	char certificate[PATH_MAX], key[PATH_MAX];
	SSL *ssl = NULL;

	signal(SIGPIPE, SIG_IGN);
	if (!context)
		return NULL;
	snprintf(certificate, sizeof(certificate), "%s/%s.pem", directory, name ? name : "");
	snprintf(key, sizeof(key), "%s/%s.key", directory, name ? name : "");
	if (!name || (SSL_CTX_use_certificate_file(context, certificate, SSL_FILETYPE_PEM) == 1 &&
			     SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) == 1))
		ssl = SSL_new(context);
	SSL_CTX_free(context);
	if (ssl && SSL_set_fd(ssl, fd) == 1)
		return ssl;
	SSL_free(ssl);
	return NULL;
}

bool line_secure(struct line *w, const char *directory, const char *name, bool is_server)
{
	w->ssl = make(w->fd, directory, name);
	if (!w->ssl)
		return false;
	return (is_server ? SSL_accept(w->ssl) : SSL_connect(w->ssl)) == 1;
}

void line_export(const struct line *w, uint8_t secret[FRAME_TOKEN_SIZE])
{
	static const char label[] = "EXPORTER-shmcache-data-lane";

	memset(secret, 0, FRAME_TOKEN_SIZE);
	if (w->ssl)
		SSL_export_keying_material(w->ssl, secret, FRAME_TOKEN_SIZE, label, sizeof(label) - 1,
			NULL, 0, 0);
}

bool line_send(const struct line *w, const void *data, size_t size)
{
	const uint8_t *at = data;
	size_t done;
	ssize_t n;

	if (w->ssl)
		return !size || SSL_write_ex(w->ssl, data, size, &done) == 1;
	for (; size; size -= (size_t)n, at += n) {
		n = send(w->fd, at, size, MSG_NOSIGNAL);
		if (n <= 0)
			return false;
	}
	return true;
}

bool line_send_frame(const struct line *w, uint8_t type, uint8_t flags, uint64_t id, uint64_t argument,
	const void *body, uint32_t size)
{
	struct frame f = {FRAME_MAGIC, type, flags, size, id, argument};

	return line_send(w, &f, sizeof(f)) && (!body || line_send(w, body, size));
}

bool line_receive(const struct line *w, void *data, size_t size)
{
	size_t at = 0, n;

	if (!w->ssl)
		return recv(w->fd, data, size, MSG_WAITALL) == (ssize_t)size;
	for (; at < size; at += n)
		if (SSL_read_ex(w->ssl, (uint8_t *)data + at, size - at, &n) != 1)
			return false;
	return true;
}

void line_shut(const struct line *w)
{
	shutdown(w->fd, SHUT_RDWR);
}

void line_close(struct line *w)
{
	SSL_free(w->ssl);
	if (w->fd >= 0)
		close(w->fd);
	*w = (struct line){.fd = -1};
}
