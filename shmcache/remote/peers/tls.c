/* SPDX-License-Identifier: Apache-2.0 */
/* tls.c: the cluster's authority, our certificate, and whose certificate the other end has. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "shmcache/remote/peers/tls.h"

/*
 * TLS 1.3 alone, certificates on both sides, no sessions that are taken up again (a member that
 * was shown out must not come back on an old one). The authority is the cluster's own: the
 * system's are not looked at. Which purposes a certificate has (server, client) OpenSSL checks
 * by itself.
 */
#define READ_AHEAD (256U << 10)

struct tls {
	SSL_CTX *context;
	bool may_ktls;
	char cluster[FRAME_NAME_SIZE];
	char own[FRAME_NAME_SIZE];
};

/*
 * Whether this kernel knows TLS: then a socket that is not connected can't have it yet, for
 * that reason.
 */
static bool kernel_has_tls(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool has = false;

	if (fd < 0)
		return false;
	if (!setsockopt(fd, IPPROTO_TCP, TCP_ULP, "tls", 3) || errno == ENOTCONN)
		has = true;
	close(fd);
	return has;
}

/* --- names ----------------------------------------------------------------------------------- */

/* The name in "spiffe://CLUSTER/broker/NAME", if it is this. */
static bool parse_uri(
	const char *cluster, const uint8_t *uri, size_t size, char name[FRAME_NAME_SIZE])
{
	char prefix[FRAME_NAME_SIZE + 32];
	size_t n = (size_t)snprintf(prefix, sizeof(prefix), "spiffe://%s/broker/", cluster);

	if (size <= n || size - n >= FRAME_NAME_SIZE || memcmp(uri, prefix, n))
		return false;
	memset(name, 0, FRAME_NAME_SIZE);
	memcpy(name, uri + n, size - n);
	return frame_name_is_valid(name);
}

/* Exactly one URI, and that is a member's. */
static int certificate_name(const char *cluster, X509 *certificate, char name[FRAME_NAME_SIZE])
{
	GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
	int i, n_uris = 0, n_good = 0;

	for (i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *at = sk_GENERAL_NAME_value(names, i);

		if (at->type != GEN_URI)
			continue;
		n_uris++;
		n_good += parse_uri(cluster, ASN1_STRING_get0_data(at->d.uniformResourceIdentifier),
			(size_t)ASN1_STRING_length(at->d.uniformResourceIdentifier), name);
	}
	GENERAL_NAMES_free(names);
	return n_uris == 1 && n_good == 1 ? 0 : -EACCES;
}

int tls_peer_name(SSL *ssl, char name[FRAME_NAME_SIZE])
{
	const struct tls *tls = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
	X509 *certificate = SSL_get0_peer_certificate(ssl);

	return certificate ? certificate_name(tls->cluster, certificate, name) : -EACCES;
}

const char *tls_own_name(const struct tls *tls)
{
	return tls->own;
}

/* --- reasons --------------------------------------------------------------------------------- */

const char *tls_reason(SSL *ssl)
{
	unsigned long e = ERR_peek_last_error();
	const char *text;

	if (ERR_GET_REASON(e) == SSL_R_CERTIFICATE_VERIFY_FAILED)
		return X509_verify_cert_error_string(SSL_get_verify_result(ssl));
	text = ERR_reason_error_string(e);
	return text ? text : "TLS failed";
}

void tls_forget_errors(void)
{
	ERR_clear_error();
}

/* --- the context ----------------------------------------------------------------------------- */

static int no_good(char *why, size_t why_size, const char *what, const char *file)
{
	unsigned long e = ERR_peek_error();
	/* Of what the system refused OpenSSL has no text. */
	const char *reason = ERR_SYSTEM_ERROR(e) ? strerror(ERR_GET_REASON(e)) :
						   ERR_reason_error_string(e);

	snprintf(why, why_size, "can't use %s as %s: %s", file, what,
		reason ? reason : "no reason given");
	ERR_clear_error();
	return -EINVAL;
}

static int load(struct tls *tls, const char *ca, const char *certificate, const char *key,
	char *why, size_t why_size)
{
	SSL_CTX *c = tls->context;

	if (SSL_CTX_load_verify_file(c, ca) != 1)
		return no_good(why, why_size, "the cluster's authority", ca);
	if (SSL_CTX_use_certificate_chain_file(c, certificate) != 1)
		return no_good(why, why_size, "this broker's certificate", certificate);
	if (SSL_CTX_use_PrivateKey_file(c, key, SSL_FILETYPE_PEM) != 1 ||
		SSL_CTX_check_private_key(c) != 1)
		return no_good(why, why_size, "the key of this broker's certificate", key);
	if (!certificate_name(tls->cluster, SSL_CTX_get0_certificate(c), tls->own))
		return 0;
	snprintf(why, why_size,
		"%s names no member of %s: it needs the one subject alternative name "
		"URI:spiffe://%s/broker/NAME",
		certificate, tls->cluster, tls->cluster);
	return -EINVAL;
}

static int set_up(struct tls *tls)
{
	SSL_CTX *c = tls->context = SSL_CTX_new(TLS_method());

	if (!c)
		return -ENOMEM;
	SSL_CTX_set_app_data(c, tls);
	if (!SSL_CTX_set_min_proto_version(c, TLS1_3_VERSION) ||
		!SSL_CTX_set_ciphersuites(c, "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:"
					     "TLS_CHACHA20_POLY1305_SHA256"))
		return -ENOTSUP;
	SSL_CTX_set_verify(c, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	SSL_CTX_set_verify_depth(c, 3);
	SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_num_tickets(c, 0);
	SSL_CTX_set_mode(c, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	tls->may_ktls = kernel_has_tls();
	if (tls->may_ktls) {
		SSL_CTX_set_options(c, SSL_OP_ENABLE_KTLS);
	} else {
		SSL_CTX_set_read_ahead(c, 1);
		SSL_CTX_set_default_read_buffer_len(c, READ_AHEAD);
	}
	return 0;
}

int tls_new(struct tls **out, const char *cluster, const char *ca, const char *certificate,
	const char *key, char *why, size_t why_size)
{
	struct tls *tls = calloc(1, sizeof(*tls));
	int r = tls ? set_up(tls) : -ENOMEM;

	if (r) {
		snprintf(why, why_size, "can't begin with TLS: %s", strerror(-r));
	} else {
		snprintf(tls->cluster, sizeof(tls->cluster), "%s", cluster);
		r = load(tls, ca, certificate, key, why, why_size);
	}
	if (r)
		tls_free(tls);
	else
		*out = tls;
	return r;
}

void tls_free(struct tls *tls)
{
	if (!tls)
		return;
	SSL_CTX_free(tls->context);
	free(tls);
}

SSL *tls_make(struct tls *tls, int fd, struct tls_buffer **buffer)
{
	SSL *ssl = SSL_new(tls->context);
	BIO *in = NULL, *out = NULL;

	if (!ssl)
		return NULL;
	if (tls->may_ktls) {
		if (SSL_set_fd(ssl, fd) == 1)
			return ssl;
	} else {
		in = BIO_new_socket(fd, BIO_NOCLOSE);
		out = tls_buffer_bio(buffer);
		if (in && out) {
			SSL_set_bio(ssl, in, out);
			return ssl;
		}
		if (out)
			tls_buffer_free(*buffer);
	}
	BIO_free(in);
	BIO_free(out);
	SSL_free(ssl);
	return NULL;
}
