/* SPDX-License-Identifier: Apache-2.0 */
/* certificate.c: certificates that `shmcache pki` would not make: odd names, and old ones. */
#include "tests/support/certificate.h"

#include <limits.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stdio.h>

static FILE *open_file(const char *directory, const char *name, const char *suffix, const char *mode)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s%s", directory, name, suffix);
	return fopen(path, mode);
}

static bool extend(X509 *c, X509 *ca, int nid, const char *value)
{
	X509_EXTENSION *extension;
	X509V3_CTX context;
	bool is_done;

	X509V3_set_ctx(&context, ca, c, NULL, NULL, 0);
	extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
	is_done = extension && X509_add_ext(c, extension, -1) == 1;
	X509_EXTENSION_free(extension);
	return is_done;
}

static bool fill(X509 *c, EVP_PKEY *key, X509 *ca, const struct certificate_wish *wish)
{
	X509_NAME *name = X509_get_subject_name(c);

	return X509_set_version(c, X509_VERSION_3) == 1 &&
		ASN1_INTEGER_set(X509_get_serialNumber(c), 4711) &&
		X509_gmtime_adj(X509_getm_notBefore(c), -86400) &&
		X509_gmtime_adj(X509_getm_notAfter(c), wish->left_s) &&
		X509_set_pubkey(c, key) == 1 &&
		X509_set_issuer_name(c, X509_get_subject_name(ca)) == 1 &&
		extend(c, ca, NID_key_usage, "critical,digitalSignature") &&
		extend(c, ca, NID_ext_key_usage, "serverAuth,clientAuth") &&
		extend(c, ca, NID_authority_key_identifier, "keyid:always") &&
		(!wish->alternatives || extend(c, ca, NID_subject_alt_name, wish->alternatives)) &&
		(!wish->common || X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
					  (const unsigned char *)wish->common, -1, -1, 0) == 1);
}

static bool read_authority(const char *directory, X509 **ca, EVP_PKEY **ca_key)
{
	FILE *f = open_file(directory, "ca", ".pem", "re"), *g = open_file(directory, "ca", ".key", "re");

	*ca = f ? PEM_read_X509(f, NULL, NULL, NULL) : NULL;
	*ca_key = g ? PEM_read_PrivateKey(g, NULL, NULL, NULL) : NULL;
	if (f)
		fclose(f);
	if (g)
		fclose(g);
	return *ca && *ca_key;
}

static bool save(const char *directory, const char *name, X509 *c, EVP_PKEY *key)
{
	FILE *f = open_file(directory, name, ".pem", "we"), *g = open_file(directory, name, ".key", "we");
	bool is_done = f && g && PEM_write_X509(f, c) == 1 &&
		PEM_write_PKCS8PrivateKey(g, key, NULL, NULL, 0, NULL, NULL) == 1;

	if (f && fclose(f))
		is_done = false;
	if (g && fclose(g))
		is_done = false;
	return is_done;
}

int certificate_make(const char *directory, const struct certificate_wish *wish)
{
	EVP_PKEY *key = EVP_EC_gen("P-256"), *ca_key = NULL;
	X509 *c = X509_new(), *ca = NULL;
	bool is_done;

	is_done = key && c && read_authority(directory, &ca, &ca_key) && fill(c, key, ca, wish) &&
		X509_sign(c, ca_key, EVP_sha256()) > 0 && save(directory, wish->name, c, key);
	X509_free(c);
	X509_free(ca);
	EVP_PKEY_free(key);
	EVP_PKEY_free(ca_key);
	return is_done ? 0 : -1;
}
