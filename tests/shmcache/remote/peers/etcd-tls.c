/* SPDX-License-Identifier: Apache-2.0 */
/* etcd through https: a real one that wants certificates, and shows its own. */
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "shmcache/remote/peers/etcd-post.h"
#include "shmcache/remote/peers/etcd.h"
#include "tests/support/certificate.h"
#include "tests/support/etcd.h"

enum { PATIENCE_MS = 40000 };

/*
 * The brokers' certificates are those of `shmcache pki`, as an operator has them: the etcd that is
 * started accepts what that authority signed. Its own certificate names addresses, which a broker's
 * does not; so it is made here, with what docs/security.md demands of it.
 */
static const char *program; /* shmcache */
static struct scratch scratch;
static struct etcd_server server;
static char path[6][PATH_MAX];
static bool has_failed; /* then patience is short: what comes after would fail for long */

/* --- certificates ----------------------------------------------------------------------------- */

static const char *file(unsigned i, const char *name)
{
	return scratch_file(&scratch, name, path[i]);
}

static void pki(const char *directory, const char *words)
{
	char command[PATH_MAX + 256];

	snprintf(command, sizeof(command), "'%s' pki --directory '%s/%s' %s >/dev/null", program,
		scratch.path, directory, words);
	assert_int_equal(system(command), 0);
}

/* --- a broker's part -------------------------------------------------------------------------- */

struct node {
	struct etcd *e;
	unsigned n, n_notes[3];
	char said[512];
};

static void on_view(void *context, const struct member *members, unsigned n)
{
	struct node *at = context;

	(void)members;
	at->n = n;
}

static void on_note(void *context, enum etcd_note note, const char *text)
{
	struct node *at = context;

	at->n_notes[note]++;
	if (note == ETCD_REFUSED)
		snprintf(at->said, sizeof(at->said), "%s", text);
	else
		printf("%s: %s\n", note == ETCD_AWAY ? "away" : "connected", text);
}

static void node_start(struct node *at, const char *url, const char *ca, const char *certificate,
	const char *key)
{
	struct etcd_options options = {.endpoints = url, .prefix = "/shmcache", .cluster = "test",
		.ca = ca, .certificate = certificate, .key = key, .self = "a",
		.endpoint = "127.0.0.1:7000", .epoch = 1, .ttl_s = 2, .view = on_view,
		.note = on_note, .context = at};
	char why[128];

	memset(at, 0, sizeof(*at));
	assert_int_equal(etcd_open(&at->e, &options, why, sizeof(why)), 0);
}

/* Until it is in, or was refused; then it is out again. */
static void node_run(struct node *at)
{
	uint64_t until_ms = post_now_ms() + (has_failed ? 3000 : PATIENCE_MS);

	while (!at->n_notes[ETCD_CONNECTED] && !at->n_notes[ETCD_REFUSED]) {
		struct pollfd fd = {.fd = etcd_fd(at->e), .events = POLLIN};

		has_failed |= post_now_ms() >= until_ms;
		assert_true(post_now_ms() < until_ms);
		if (poll(&fd, 1, 100) > 0)
			etcd_run(at->e);
	}
	etcd_close(at->e);
}

static void assert_in(const struct node *at)
{
	if (!at->n_notes[ETCD_CONNECTED])
		fail_msg("not connected: %s", at->said);
	assert_int_equal(at->n, 1);
}

static void assert_out(const struct node *at, const char *words)
{
	assert_int_equal(at->n_notes[ETCD_CONNECTED], 0);
	printf("said: %s\n", at->said);
	if (!strstr(at->said, words))
		fail_msg("'%s' is not in '%s'", words, at->said);
	/* Whose it is stands before it. */
	assert_non_null(strstr(at->said, server.url));
}

/* --- tests ------------------------------------------------------------------------------------ */

static void test_right(void **state)
{
	struct node at;

	(void)state;
	node_start(&at, server.url, file(0, "good/ca.pem"), file(1, "good/a.pem"),
		file(2, "good/a.key"));
	node_run(&at);
	assert_in(&at);
}

/* An etcd of somebody else's: nothing is told to it. */
static void test_wrong_authority(void **state)
{
	struct node at;

	(void)state;
	node_start(&at, server.url, file(0, "other/ca.pem"), file(1, "good/a.pem"),
		file(2, "good/a.key"));
	node_run(&at);
	assert_out(&at, "its certificate is not accepted");
}

/* An authority that was made anew, of the same name: the certificate is not of that one. */
static void test_other_authority_of_that_name(void **state)
{
	struct node at;

	(void)state;
	node_start(&at, server.url, file(0, "double/ca.pem"), file(1, "good/a.pem"),
		file(2, "good/a.key"));
	node_run(&at);
	assert_out(&at, "its certificate");
}

/* Its certificate is good, and is for another address. */
static void test_wrong_address(void **state)
{
	char url[64];
	struct node at;

	(void)state;
	snprintf(url, sizeof(url), "https://localhost%s", strrchr(server.url, ':'));
	node_start(&at, url, file(0, "good/ca.pem"), file(1, "good/a.pem"), file(2, "good/a.key"));
	node_run(&at);
	assert_int_equal(at.n_notes[ETCD_CONNECTED], 0);
	assert_non_null(strstr(at.said, "its certificate is not accepted"));
	assert_non_null(strstr(at.said, "localhost"));
}

static void test_no_certificate(void **state)
{
	struct node at;

	(void)state;
	node_start(&at, server.url, file(0, "good/ca.pem"), NULL, NULL);
	node_run(&at);
	assert_out(&at, "accept our certificate");
}

static void test_strange_certificate(void **state)
{
	struct node at;

	(void)state;
	node_start(&at, server.url, file(0, "good/ca.pem"), file(1, "other/a.pem"),
		file(2, "other/a.key"));
	node_run(&at);
	assert_out(&at, "accept our certificate");
}

/* The key is another certificate's. */
static void test_wrong_key(void **state)
{
	struct node at;

	(void)state;
	node_start(&at, server.url, file(0, "good/ca.pem"), file(1, "good/a.pem"),
		file(2, "other/a.key"));
	node_run(&at);
	assert_out(&at, "our own certificates are of no use");
}

/* Two endpoints, of which one is not to be trusted: told of, and the other one is used. */
static void test_one_of_two(void **state)
{
	uint64_t until_ms = post_now_ms() + PATIENCE_MS;
	char urls[256];
	struct node at;

	(void)state;
	snprintf(urls, sizeof(urls), "https://localhost%s,%s", strrchr(server.url, ':'), server.url);
	node_start(&at, urls, file(0, "good/ca.pem"), file(1, "good/a.pem"), file(2, "good/a.key"));
	/* Whichever is asked first. */
	do {
		assert_true(post_now_ms() < until_ms);
		(void)poll(&(struct pollfd){.fd = etcd_fd(at.e), .events = POLLIN}, 1, 100);
		etcd_run(at.e);
	} while (!at.n_notes[ETCD_CONNECTED]);
	etcd_close(at.e);
	assert_in(&at);
}

static int group_setup(void **state)
{
	/* Good for both uses, as it has to be: see docs/remote.md. */
	const struct certificate_wish wish = {.name = "etcd", .alternatives = "IP:127.0.0.1",
		.left_s = 24 * 3600};
	struct etcd_files files;

	(void)state;
	if (scratch_make(&scratch, NULL))
		return -1;
	pki("good", "--cluster test init-ca");
	pki("good", "member a");
	pki("double", "--cluster test init-ca");
	pki("other", "--cluster other init-ca");
	pki("other", "member a");
	if (certificate_make(file(0, "good"), &wish))
		return -1;
	files = (struct etcd_files){
		file(3, "good/ca.pem"), file(4, "good/etcd.pem"), file(5, "good/etcd.key")};
	return etcd_server_init(&server, "127.0.0.1", &files) || etcd_server_start(&server, "data");
}

static int group_teardown(void **state)
{
	(void)state;
	etcd_server_end(&server);
	scratch_remove(&scratch);
	return 0;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_right),
		cmocka_unit_test(test_wrong_authority),
		cmocka_unit_test(test_other_authority_of_that_name),
		cmocka_unit_test(test_wrong_address),
		cmocka_unit_test(test_no_certificate),
		cmocka_unit_test(test_strange_certificate),
		cmocka_unit_test(test_wrong_key),
		cmocka_unit_test(test_one_of_two),
	};

	if (argc != 2)
		return 1;
	program = argv[1];
	if (!etcd_is_installed()) {
		puts("SKIP: there is no etcd; it is in Debian's package etcd-server");
		return 77;
	}
	cleanup_guard();
	return cmocka_run_group_tests_name("etcd-tls", tests, group_setup, group_teardown);
}
