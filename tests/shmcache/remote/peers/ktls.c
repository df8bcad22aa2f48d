/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ktls.c: links where the kernel is said to know TLS, so that OpenSSL writes to the socket itself.
 *
 * With a kernel that does, OpenSSL goes on with a record from where it lay when the socket was full.
 * Whether one does or not: what it was given lies there still, with what it was then.
 */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include <xxhash.h>

#include "tests/shmcache/remote/peers/abort.h"

#define STREAMS 16

int __real_setsockopt(int fd, int level, int option, const void *value, socklen_t size);
int __wrap_setsockopt(int fd, int level, int option, const void *value, socklen_t size);
int __real_SSL_write_ex(SSL *ssl, const void *bytes, size_t size, size_t *sent);
int __wrap_SSL_write_ex(SSL *ssl, const void *bytes, size_t size, size_t *sent);

/* What OpenSSL has to be called again with. */
static struct pending {
	const SSL *ssl;
	const void *bytes;
	size_t size;
	uint64_t sum;
} pending[STREAMS];
static unsigned n_pending; /* ever */

int __wrap_setsockopt(int fd, int level, int option, const void *value, socklen_t size)
{
	if (level == IPPROTO_TCP && option == TCP_ULP)
		return 0;
	return __real_setsockopt(fd, level, option, value, size);
}

static struct pending *of(const SSL *ssl)
{
	unsigned i = 0;

	while (i < STREAMS && pending[i].ssl != ssl)
		i++;
	return i < STREAMS ? &pending[i] : NULL;
}

int __wrap_SSL_write_ex(SSL *ssl, const void *bytes, size_t size, size_t *sent)
{
	struct pending *p = of(ssl);
	int r;

	if (p) {
		assert_ptr_equal(bytes, p->bytes);
		assert_true(size >= p->size);
		assert_true(XXH3_64bits(p->bytes, p->size) == p->sum);
		p->ssl = NULL;
	}
	r = __real_SSL_write_ex(ssl, bytes, size, sent);
	if (r != 1 && SSL_get_error(ssl, r) == SSL_ERROR_WANT_WRITE) {
		p = of(NULL);
		assert_non_null(p);
		*p = (struct pending){ssl, bytes, size, XXH3_64bits(bytes, size)};
		n_pending++;
	}
	return r;
}

static const char *program; /* shmcache */
static char scratch[32];

static void run(const char *arguments)
{
	char command[256];

	snprintf(command, sizeof(command), "'%s' pki --directory %s %s >/dev/null", program, scratch,
		arguments);
	assert_int_equal(system(command), 0);
}

static int begin(void **state)
{
	(void)state;
	snprintf(scratch, sizeof(scratch), "/tmp/shmcache-ktls-XXXXXX");
	assert_non_null(mkdtemp(scratch));
	run("--cluster test init-ca");
	run("member a");
	run("member b");
	snprintf(pair_certificates, sizeof(pair_certificates), "%s", scratch);
	return 0;
}

static int end(void **state)
{
	char command[64];

	(void)state;
	snprintf(command, sizeof(command), "rm -r %s", scratch);
	return system(command);
}

static void test_abort(void **state)
{
	struct link_settings a = pair_settings("a", LINK_TLS, true);
	struct link_settings b = pair_settings("b", LINK_TLS, true);
	struct pair p;

	(void)state;
	a.window = b.window = ABORT_SIZE;
	pair_begin_with(&p, &a, &b);
	assert_true(pair_run(&p, &p.a.n_up, 1));
	abort_in_the_middle(&p);
	pair_end(&p);
	assert_true(n_pending > 0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_abort)};

	if (argc < 2)
		return 1;
	program = argv[1];
	return cmocka_run_group_tests(tests, begin, end);
}
