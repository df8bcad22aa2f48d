/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd-pki.c: certificates for a first cluster of brokers.
 *
 * Two steps, files in one directory: an authority of the cluster's own, and a certificate for
 * each member. Who has a public-key infrastructure makes them there, in the same form:
 * docs/security.md.
 *
 * A member's certificate says who it is by one URI, spiffe://CLUSTER/broker/NAME, and by
 * nothing else: etcd refuses clients whose certificate has a common name. It is good for both
 * ends of a connection, for each broker is both. The authority's certificate holds the
 * cluster's name, so that it need not be told again; its key is wanted for new members only,
 * and is best kept away from the brokers.
 *
 * Nothing is ever written over: what is lost by that can't be made again.
 */
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clients/cli/command.h"
#include "clients/cli/options.h"

#define NAME_MAX_SIZE 48 /* as the broker takes them: [remote] name and cluster */
#define DAYS_DEFAULT 3650
#define DAYS_MAX 36500
#define BACKDATE_SECONDS 3600 /* for a member whose clock is behind */

enum { OPT_DIRECTORY = OPTIONS_OWN, OPT_CLUSTER, OPT_DAYS };

static const struct option pki_longs[] = {
	{ "directory", required_argument, NULL, OPT_DIRECTORY },
	{ "cluster", required_argument, NULL, OPT_CLUSTER },
	{ "days", required_argument, NULL, OPT_DAYS },
	{ NULL, 0, NULL, 0 },
};

struct pki {
	const struct cli *cli;
	const char *directory, *cluster;
	uint64_t days;
};

/* --- errors and files ------------------------------------------------------------------------ */

static enum cli_exit fail(const struct pki *p, const char *what)
{
	const char *reason = ERR_reason_error_string(ERR_peek_error());

	cli_say(p->cli, "can't %s: %s", what, reason ? reason : strerror(errno));
	return CLI_ERROR;
}

static void path_of(const struct pki *p, const char *name, const char *suffix, char path[4096])
{
	snprintf(path, 4096, "%s/%s%s", p->directory, name, suffix);
}

/* A new file for the owner alone. */
static FILE *create(const struct pki *p, const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	FILE *f = fd < 0 ? NULL : fdopen(fd, "w");

	if (f)
		return f;
	if (fd < 0 && errno == EEXIST)
		cli_say(p->cli, "%s is there already, and is not written over", path);
	else
		cli_say(p->cli, "can't make %s: %s", path, strerror(errno));
	if (fd >= 0)
		close(fd);
	return NULL;
}

static enum cli_exit finish(const struct pki *p, FILE *f, const char *path, bool is_written)
{
	bool is_there = is_written && !fflush(f) && !fsync(fileno(f));

	if (fclose(f) == 0 && is_there)
		return CLI_OK;
	cli_say(p->cli, "can't write %s: %s", path, strerror(errno));
	unlink(path);
	return CLI_ERROR;
}

/* Both or none. */
static enum cli_exit save(const struct pki *p, const char *name, EVP_PKEY *key, X509 *certificate)
{
	char key_path[4096], path[4096];
	enum cli_exit status;
	FILE *f;

	path_of(p, name, ".key", key_path);
	path_of(p, name, ".pem", path);
	if (!access(path, F_OK)) {
		cli_say(p->cli, "%s is there already, and is not written over", path);
		return CLI_REFUSED;
	}
	f = create(p, key_path);
	if (!f)
		return CLI_REFUSED;
	status = finish(p, f, key_path,
		PEM_write_PKCS8PrivateKey(f, key, NULL, NULL, 0, NULL, NULL) == 1);
	if (status)
		return status;
	f = create(p, path);
	status = f ? finish(p, f, path, PEM_write_X509(f, certificate) == 1) : CLI_REFUSED;
	if (status)
		unlink(key_path);
	else if (!p->cli->quiet)
		printf("%s\n%s\n", key_path, path);
	return status;
}

static enum cli_exit load_authority(const struct pki *p, EVP_PKEY **key, X509 **certificate)
{
	char path[4096];
	FILE *f;

	path_of(p, "ca", ".key", path);
	f = fopen(path, "re");
	*key = f ? PEM_read_PrivateKey(f, NULL, NULL, NULL) : NULL;
	if (f)
		fclose(f);
	if (*key) {
		path_of(p, "ca", ".pem", path);
		f = fopen(path, "re");
		*certificate = f ? PEM_read_X509(f, NULL, NULL, NULL) : NULL;
		if (f)
			fclose(f);
	}
	if (*key && *certificate)
		return CLI_OK;
	cli_say(p->cli, "can't read %s; `shmcache pki init-ca` makes one", path);
	return CLI_ERROR;
}

/* --- certificates ---------------------------------------------------------------------------- */

static bool extend(X509 *certificate, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX context;
	X509_EXTENSION *extension;
	bool is_done;

	X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
	extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
	is_done = extension && X509_add_ext(certificate, extension, -1) == 1;
	X509_EXTENSION_free(extension);
	return is_done;
}

/* Random, as RFC 5280 has it: positive, up to 20 bytes. */
static bool number(X509 *certificate)
{
	uint8_t bytes[16];
	BIGNUM *n;
	bool is_done;

	if (RAND_bytes(bytes, sizeof(bytes)) != 1)
		return false;
	bytes[0] = (uint8_t)((bytes[0] & 0x7f) | 0x40);
	n = BN_bin2bn(bytes, sizeof(bytes), NULL);
	is_done = n && BN_to_ASN1_INTEGER(n, X509_get_serialNumber(certificate));
	BN_free(n);
	return is_done;
}

static bool common(const struct pki *p, X509 *certificate, EVP_PKEY *key)
{
	return X509_set_version(certificate, X509_VERSION_3) == 1 && number(certificate) &&
		X509_gmtime_adj(X509_getm_notBefore(certificate), -BACKDATE_SECONDS) &&
		X509_time_adj_ex(X509_getm_notAfter(certificate), (int)p->days, 0, NULL) &&
		X509_set_pubkey(certificate, key) == 1;
}

static bool fill_authority(const struct pki *p, X509 *c, EVP_PKEY *key)
{
	X509_NAME *name = X509_get_subject_name(c);
	char uri[128];

	snprintf(uri, sizeof(uri), "URI:spiffe://%s", p->cluster);
	return common(p, c, key) &&
		X509_NAME_add_entry_by_txt(name, "O", MBSTRING_ASC,
			(const unsigned char *)p->cluster, -1, -1, 0) == 1 &&
		X509_set_issuer_name(c, name) == 1 &&
		extend(c, c, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
		extend(c, c, NID_key_usage, "critical,keyCertSign,cRLSign") &&
		extend(c, c, NID_subject_key_identifier, "hash") &&
		extend(c, c, NID_subject_alt_name, uri) && X509_sign(c, key, EVP_sha256()) > 0;
}

static bool fill_member(
	const struct pki *p, X509 *c, EVP_PKEY *key, const char *member, X509 *ca, EVP_PKEY *ca_key)
{
	char uri[256];

	snprintf(uri, sizeof(uri), "critical,URI:spiffe://%s/broker/%s", p->cluster, member);
	return common(p, c, key) && X509_set_issuer_name(c, X509_get_subject_name(ca)) == 1 &&
		extend(c, ca, NID_basic_constraints, "critical,CA:FALSE") &&
		extend(c, ca, NID_key_usage, "critical,digitalSignature") &&
		extend(c, ca, NID_ext_key_usage, "serverAuth,clientAuth") &&
		extend(c, ca, NID_authority_key_identifier, "keyid:always") &&
		extend(c, ca, NID_subject_alt_name, uri) && X509_sign(c, ca_key, EVP_sha256()) > 0;
}

/* --- the two steps --------------------------------------------------------------------------- */

static bool is_name(const char *name)
{
	static const char allowed[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";
	size_t n = strlen(name);

	return n && n <= NAME_MAX_SIZE && strspn(name, allowed) == n;
}

static enum cli_exit init_authority(const struct pki *p)
{
	enum cli_exit status;
	EVP_PKEY *key;
	X509 *c;

	if (!p->cluster || !is_name(p->cluster))
		return cli_usage(p->cli, "--cluster is a name of up to %d of A-Z a-z 0-9 _ -",
			NAME_MAX_SIZE);
	if (mkdir(p->directory, 0700) && errno != EEXIST) {
		cli_say(p->cli, "can't make %s: %s", p->directory, strerror(errno));
		return CLI_ERROR;
	}
	key = EVP_EC_gen("P-256");
	c = X509_new();
	if (key && c && fill_authority(p, c, key))
		status = save(p, "ca", key, c);
	else
		status = fail(p, "make the authority");
	X509_free(c);
	EVP_PKEY_free(key);
	return status;
}

/* The cluster's name stands in its authority's certificate. */
static enum cli_exit read_cluster(struct pki *p, X509 *ca, char cluster[NAME_MAX_SIZE + 1])
{
	int n = X509_NAME_get_text_by_NID(X509_get_subject_name(ca), NID_organizationName, cluster,
		NAME_MAX_SIZE + 1);

	if (n <= 0 || !is_name(cluster)) {
		cli_say(p->cli, "%s/ca.pem was not made by `shmcache pki init-ca`", p->directory);
		return CLI_ERROR;
	}
	p->cluster = cluster;
	return CLI_OK;
}

static enum cli_exit make_member(struct pki *p, const char *member)
{
	EVP_PKEY *ca_key = NULL, *key = NULL;
	X509 *ca = NULL, *c = NULL;
	char cluster[NAME_MAX_SIZE + 1];
	enum cli_exit status;

	if (!is_name(member) || !strcmp(member, "ca"))
		return cli_usage(p->cli,
			"a member is a name of up to %d of A-Z a-z 0-9 _ -, and not 'ca'",
			NAME_MAX_SIZE);
	status = load_authority(p, &ca_key, &ca);
	if (!status)
		status = read_cluster(p, ca, cluster);
	if (!status) {
		key = EVP_EC_gen("P-256");
		c = X509_new();
		if (key && c && fill_member(p, c, key, member, ca, ca_key))
			status = save(p, member, key, c);
		else
			status = fail(p, "make the certificate");
	}
	X509_free(c);
	X509_free(ca);
	EVP_PKEY_free(key);
	EVP_PKEY_free(ca_key);
	return status;
}

static enum cli_exit pki_run(struct cli *cli, int argc, char **argv)
{
	struct pki p = {.cli = cli, .directory = ".", .days = DAYS_DEFAULT};
	enum cli_exit status = CLI_OK;
	struct options o;
	int c;

	options_begin(&o, cli, argc, argv, "", pki_longs, false);
	while (!status && (c = options_next(&o)) >= 0) {
		if (c == OPT_DIRECTORY)
			p.directory = optarg;
		else if (c == OPT_CLUSTER)
			p.cluster = optarg;
		else
			status = options_number(cli, "--days", DAYS_MAX, &p.days);
	}
	if (!status && !p.days)
		status = cli_usage(cli, "--days is 1 to %d", DAYS_MAX);
	if (!status && c == OPTIONS_STOP)
		return o.status;
	if (!status)
		status = options_operands(&o, 1, 2);
	if (status)
		return status;
	if (!strcmp(argv[optind], "init-ca") && optind + 1 == argc)
		return init_authority(&p);
	if (!strcmp(argv[optind], "member") && optind + 2 == argc)
		return make_member(&p, argv[optind + 1]);
	return cli_usage(cli, "there are: init-ca, member NAME");
}

const struct command command_pki = {
	.name = "pki",
	.summary = "make certificates for a first cluster of brokers",
	.usage = "[OPTION]... init-ca | member NAME",
	.help = "      --directory DIR  where the files are (the current directory)\n"
		"      --cluster NAME   whose authority it is (init-ca)\n"
		"      --days N         how long it is good (3650)\n"
		"\n"
		"init-ca makes the cluster's authority, ca.key and ca.pem; member makes NAME.key\n"
		"and NAME.pem for the broker of that name. Prints the files. None is ever written\n"
		"over.\n"
		"A broker needs ca.pem and its own two files, and never ca.key.\n"
		"\n"
		"Example:\n"
		"  shmcache pki --directory pki --cluster west init-ca\n"
		"  shmcache pki --directory pki member kv0\n",
	.run = pki_run,
};
