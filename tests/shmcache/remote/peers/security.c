/* SPDX-License-Identifier: Apache-2.0 */
/* security.c: links through TLS, and everybody who may not have one. */
#include <errno.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "shmcache/remote/peers/sum.h"
#include "tests/shmcache/remote/peers/abort.h"
#include "tests/shmcache/remote/peers/raw.h"
#include "tests/support/certificate.h"

#define SIZE (9U << 20)

static const char *program; /* shmcache */
static char scratch[32];
static uint8_t *value, *copy;

static void run(const char *format, const char *directory, const char *argument)
{
	char command[1024], rest[256];

	snprintf(rest, sizeof(rest), format, argument);
	snprintf(command, sizeof(command), "'%s' pki --directory %s/%s %s >/dev/null", program,
		scratch, directory, rest);
	assert_int_equal(system(command), 0);
}

/* Two clusters of one name, with an authority each. */
static int begin(void **state)
{
	unsigned seed = 4711;
	size_t i;

	(void)state;
	snprintf(scratch, sizeof(scratch), "/tmp/shmcache-peers-XXXXXX");
	assert_non_null(mkdtemp(scratch));
	run("--cluster %s init-ca", "good", "test");
	run("member %s", "good", "a");
	run("member %s", "good", "b");
	run("member %s", "good", "stranger");
	run("--cluster %s init-ca", "other", "test");
	run("member %s", "other", "a");
	run("--cluster %s init-ca", "west", "west");
	run("member %s", "west", "a");
	snprintf(pair_certificates, sizeof(pair_certificates), "%s/good", scratch);
	value = malloc(SIZE);
	copy = malloc(SIZE);
	for (i = 0; i < SIZE; i++)
		value[i] = (uint8_t)(rand_r(&seed) >> 7 | 1);
	return 0;
}

static int end(void **state)
{
	char command[64];

	(void)state;
	free(value);
	free(copy);
	snprintf(command, sizeof(command), "rm -r %s", scratch);
	return system(command);
}

static void fetch_sizes(bool data_tls)
{
	static const uint64_t sizes[] = {1, 4096, 16384, 65536, FRAME_DATA_MAX + 1, SIZE};
	struct pair_fetch f = {.to = copy, .room = SIZE};
	struct pair p;
	unsigned i;

	pair_begin(&p, LINK_TLS, data_tls);
	assert_true(pair_run(&p, &p.a.n_up, 1));
	p.b.value = value;
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		p.b.value_size = sizes[i];
		p.b.sum = sum_of(value, sizes[i]);
		memset(copy, 0, SIZE);
		pair_fetch(&p, &f, "key");
		assert_true(pair_run(&p, &f.n_done, i + 1));
		assert_int_equal(f.result, LINK_OK);
		assert_memory_equal(copy, value, sizes[i]);
	}
	assert_int_equal(p.a.n_down, 0);
	pair_end(&p);
}

static void test_tls(void **state)
{
	(void)state;
	fetch_sizes(true);
}

static void test_bound(void **state)
{
	(void)state;
	fetch_sizes(false);
}

static void test_abort(void **state)
{
	struct link_settings a, b;
	struct pair p;
	int mode;

	(void)state;
	for (mode = 0; mode < 2; mode++) {
		a = pair_settings("a", LINK_TLS, mode);
		b = pair_settings("b", LINK_TLS, mode);
		a.window = b.window = ABORT_SIZE;
		pair_begin_with(&p, &a, &b);
		assert_true(pair_run(&p, &p.a.n_up, 1));
		abort_in_the_middle(&p);
		pair_end(&p);
	}
}

/* --- who may not ----------------------------------------------------------------------------- */

static struct link_net_stats stats(const struct pair *p)
{
	struct link_net_stats s;

	link_net_get_stats(p->b.net, &s);
	return s;
}

/* a's link does not come up, and b or a say why. */
static void no_link(struct pair *p, const char *word)
{
	assert_true(pair_run(p, &p->a.n_down, 1));
	if (!strstr(p->a.down, word))
		fail_msg("'%s' is not in '%s'", word, p->a.down);
	assert_int_equal(p->a.n_up, 0);
	assert_int_equal(p->b.n_arrived, 0);
	pair_end(p);
}

static void settings_of(struct link_settings *s, const char *directory, const char *name)
{
	char kept[64];

	memcpy(kept, pair_certificates, sizeof(kept));
	snprintf(pair_certificates, sizeof(pair_certificates), "%s/%s", scratch, directory);
	*s = pair_settings(name, LINK_TLS, true);
	memcpy(pair_certificates, kept, sizeof(kept));
}

static void test_other_authority(void **state)
{
	struct link_settings a, b;
	struct pair p;

	(void)state;
	settings_of(&a, "other", "a");
	settings_of(&b, "good", "b");
	/* The caller does not believe the holder either: neither is told anything. */
	pair_begin_with(&p, &a, &b);
	no_link(&p, "cert");
	/* It believes everybody of the good one, but is not one of them. */
	char good[64];

	snprintf(good, sizeof(good), "%s/good/ca.pem", scratch);
	a.ca = good;
	pair_begin_with(&p, &a, &b);
	assert_true(pair_run(&p, &p.a.n_down, 1));
	assert_true(stats(&p).n_tls_failed >= 1);
	no_link(&p, "ca");
}

static void test_no_member(void **state)
{
	struct link_settings a, b;
	struct pair p;

	(void)state;
	settings_of(&a, "good", "stranger");
	settings_of(&b, "good", "b");
	pair_begin_with(&p, &a, &b);
	no_link(&p, "no member");
}

/* The right authority, the wrong one behind the address. */
static void test_wrong_holder(void **state)
{
	struct link_settings a, b;
	struct pair p;

	(void)state;
	settings_of(&a, "good", "a");
	settings_of(&b, "good", "stranger");
	pair_begin_with(&p, &a, &b);
	no_link(&p, "another member");
}

/* Names that are no member's, or more than one. */
static void own_names(void)
{
	const struct certificate_wish odd[] = {
		{"bare", NULL, "a", 86400},
		{"dns", "DNS:a", "a", 86400},
		{"west", "URI:spiffe://west/broker/a", NULL, 86400},
		{"tester", "URI:spiffe://tester/broker/a", NULL, 86400},
		{"longer", "URI:spiffe://test/broker/a/b", NULL, 86400},
		{"two", "URI:spiffe://test/broker/a,URI:spiffe://test/broker/b", NULL, 86400},
		{"another", "URI:spiffe://test/broker/a,URI:https://test/a", NULL, 86400},
	};
	char certificate[128], key[128];
	struct link_settings s;
	struct pair_end e = {0};
	unsigned i;

	settings_of(&s, "good", "a");
	for (i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
		assert_int_equal(certificate_make(pair_certificates, &odd[i]), 0);
		snprintf(certificate, sizeof(certificate), "%s/%s.pem", pair_certificates, odd[i].name);
		snprintf(key, sizeof(key), "%s/%s.key", pair_certificates, odd[i].name);
		s.certificate = certificate;
		s.key = key;
		assert_int_not_equal(pair_end_begin(&e, -1, &s), 0);
		assert_non_null(strstr(e.why, "names no member of test"));
		close(e.log.fd);
	}
}

/* A certificate that is not its own, at start. */
static void test_own_certificate(void **state)
{
	struct link_settings s, t;
	struct pair_end e = {0};

	(void)state;
	settings_of(&s, "good", "a");
	settings_of(&t, "good", "b");
	s.certificate = t.certificate;
	assert_int_not_equal(pair_end_begin(&e, -1, &s), 0);
	assert_non_null(strstr(e.why, "key"));
	close(e.log.fd);
	s.key = t.key;
	assert_int_not_equal(pair_end_begin(&e, -1, &s), 0);
	assert_non_null(strstr(e.why, "this broker is a"));
	close(e.log.fd);
	settings_of(&s, "west", "a");
	assert_int_not_equal(pair_end_begin(&e, -1, &s), 0);
	assert_non_null(strstr(e.why, "names no member of test"));
	close(e.log.fd);
	own_names();
	s.ca = "/nonexistent";
	assert_int_not_equal(pair_end_begin(&e, -1, &s), 0);
	assert_non_null(strstr(e.why, "/nonexistent"));
	assert_non_null(strstr(e.why, strerror(ENOENT)));
	close(e.log.fd);
}

/* By hand in a child: with @certificate or none, and no newer TLS. 0: it was let in. */
static int call_by_hand(uint16_t port, const char *certificate, const char *key, int newest)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());
	struct frame knock = {FRAME_MAGIC, FRAME_KNOCK, 0, 0, FRAME_HELLO_MAGIC, FRAME_VERSION};
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	SSL *ssl = SSL_new(context);

	signal(SIGPIPE, SIG_IGN);
	if (certificate && (SSL_use_certificate_file(ssl, certificate, SSL_FILETYPE_PEM) != 1 ||
				   SSL_use_PrivateKey_file(ssl, key, SSL_FILETYPE_PEM) != 1))
		return 2;
	if (SSL_set_max_proto_version(ssl, newest) != 1)
		return 2;
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) || !SSL_set_fd(ssl, fd) ||
		SSL_connect(ssl) != 1 || SSL_write(ssl, &knock, sizeof(knock)) <= 0)
		return 1;
	return SSL_read(ssl, &knock, sizeof(knock)) > 0 ? 0 : 1;
}

static int call(struct pair *p, const struct link_settings *s, int newest)
{
	int status = -1;
	pid_t pid = fork();

	if (!pid)
		_exit(call_by_hand(link_net_port(p->b.net), s ? s->certificate : NULL,
			s ? s->key : NULL, newest));
	while (!waitpid(pid, &status, WNOHANG))
		pair_rest(p, 5);
	assert_true(WIFEXITED(status));
	pair_rest(p, 50);
	return WEXITSTATUS(status);
}

/* Who has all that it takes, but for a TLS that is new enough. */
static void test_old_tls(void **state)
{
	struct link_settings s;
	struct pair p;

	(void)state;
	settings_of(&s, "good", "a");
	pair_begin(&p, LINK_TLS, true);
	assert_int_equal(call(&p, &s, TLS1_2_VERSION), 1);
	assert_int_equal(stats(&p).n_tls_failed, 1);
	assert_int_equal(call(&p, &s, TLS1_3_VERSION), 0);
	pair_end(&p);
}

static void test_no_certificate(void **state)
{
	struct pair p;

	(void)state;
	pair_begin(&p, LINK_TLS, true);
	assert_true(pair_run(&p, &p.a.n_up, 1));
	assert_int_equal(call(&p, NULL, TLS1_3_VERSION), 1);
	assert_int_equal(stats(&p).n_tls_failed, 1);
	assert_int_equal(stats(&p).n_strangers, 0);
	assert_true(link_is_up(p.a.link));
	pair_end(&p);
}

/*
 * In the clear: told that TLS is wanted, on the control lane always, on data lanes as
 * configured.
 */
static void test_clear(void **state)
{
	static const uint8_t secret[FRAME_TOKEN_SIZE];
	struct frame_hello hello;
	unsigned is_bound;
	struct pair p;
	struct raw r;

	(void)state;
	for (is_bound = 0; is_bound < 2; is_bound++) {
		pair_begin(&p, LINK_TLS, !is_bound);
		assert_true(pair_run(&p, &p.a.n_up, 1));
		raw_connect(&r, link_net_port(p.b.net));
		assert_true(raw_knock(&r, &p));
		raw_make_hello(&r, &hello, "c", false, 1, NULL);
		raw_hello(&r, &hello);
		assert_non_null(strstr(raw_refusal(&r, &p), "wants TLS"));
		raw_close(&r);
		/*
		 * A lane of the link that is there, but who it is would have to know its
		 * secret.
		 */
		raw_connect(&r, link_net_port(p.b.net));
		assert_true(raw_knock(&r, &p));
		raw_make_hello(&r, &hello, "a", true, 1, secret);
		hello.incarnation = link_guest_incarnation(p.b.guest);
		raw_hello(&r, &hello);
		assert_non_null(strstr(raw_refusal(&r, &p), is_bound ? "no link" : "wants TLS"));
		raw_close(&r);
		assert_true(link_is_up(p.a.link));
		pair_end(&p);
	}
}

/* Who was shown out does not come back. */
static void test_review(void **state)
{
	struct pair p;

	(void)state;
	pair_begin(&p, LINK_TLS, true);
	assert_true(pair_run(&p, &p.a.n_up, 1));
	p.b.refuses_all = true;
	link_net_review(p.b.net);
	assert_true(pair_run(&p, &p.b.n_left, 1));
	assert_string_equal(p.b.why, "it is no member any more");
	pair_rest(&p, 500);
	assert_int_equal(p.b.n_arrived, 1);
	assert_non_null(strstr(p.a.down, "no member"));
	pair_end(&p);
}

/* Bytes that are no TLS, and TLS that breaks off. */
static void test_random(void **state)
{
	uint8_t bytes[600];
	unsigned seed = 4711, i, n;
	struct pair p;
	struct raw r;

	(void)state;
	print_message("seed %u\n", seed);
	pair_begin(&p, LINK_TLS, true);
	assert_true(pair_run(&p, &p.a.n_up, 1));
	for (i = 0; i < 600; i++) {
		raw_connect(&r, link_net_port(p.b.net));
		for (n = 0; n < sizeof(bytes); n++)
			bytes[n] = (uint8_t)(rand_r(&seed) >> 7);
		if (i % 2)
			memcpy(bytes, "\x16\x03\x01\x01\x00\x01\x00", 7);
		raw_bytes(&r, bytes, 1 + (unsigned)rand_r(&seed) % sizeof(bytes));
		if (i % 16 == 0)
			pair_rest(&p, 1);
		raw_close(&r);
	}
	pair_rest(&p, 100);
	assert_int_equal(stats(&p).n_strangers, 0);
	assert_true(link_is_up(p.a.link));
	assert_int_equal(p.a.n_down, 0);
	pair_end(&p);
}

/* --- without --------------------------------------------------------------------------------- */

static void test_none_elsewhere(void **state)
{
	struct link_settings s = pair_settings("a", LINK_NONE, true);
	struct pair_end e = {0};

	(void)state;
	assert_int_equal(pair_end_begin(&e, -1, &s), 0);
	assert_int_equal(link_net_listen(e.net, "0.0.0.0:0", e.why), -1);
	assert_non_null(strstr(e.why, "without security"));
	link_net_free(e.net);
	close(e.log.fd);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tls),
		cmocka_unit_test(test_bound),
		cmocka_unit_test(test_abort),
		cmocka_unit_test(test_other_authority),
		cmocka_unit_test(test_no_member),
		cmocka_unit_test(test_wrong_holder),
		cmocka_unit_test(test_own_certificate),
		cmocka_unit_test(test_no_certificate),
		cmocka_unit_test(test_old_tls),
		cmocka_unit_test(test_clear),
		cmocka_unit_test(test_review),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_none_elsewhere),
	};

	if (argc < 2)
		return 1;
	program = argv[1];
	return cmocka_run_group_tests(tests, begin, end);
}
