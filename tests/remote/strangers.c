/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who is no member, and says so, or says that it is; and who is one and says what was said before.
 * Each is refused for that reason, and the broker is none the worse.
 */
#include <stdio.h>
#include <string.h>

#include "tests/remote/cluster.h"
#include "tests/remote/liar.h"
#include "tests/support/certificate.h"

static struct cluster cluster;
static const struct liar_target n0 = {0, CLUSTER_PORT, "n0"};

/* The member that n0 knows of, but who is not there: the test is. */
static struct liar_self member(void)
{
	return (struct liar_self){.net = &cluster.net, .host = 1, .mode = cluster.mode,
		.files = &cluster.files, .certificate = "liar", .name = "liar"};
}

static void start(void)
{
	char more[128], address[NET_ADDRESS_SIZE];

	net_address(1, address);
	snprintf(more, sizeof(more), "liar=%s:%u, other=%s:%u", address, CLUSTER_PORT, address,
		CLUSTER_PORT + 1);
	cluster_start(&cluster, 1, "64MiB", "", more);
}

/* A link and its data lane. */
static void assert_served(uint64_t link)
{
	const struct liar_self self = member();
	struct line control, data;

	assert_int_equal(liar_call(&self, &n0, link, NULL, &control), 0);
	assert_int_equal(liar_call(&self, &n0, link, &control, &data), 0);
	line_close(&data);
	line_close(&control);
}

static int call(const struct liar_self *self, const struct liar_target *to)
{
	struct line w;
	int r = liar_call(self, to, 1, NULL, &w);

	if (!r)
		line_close(&w);
	return r;
}

/* --- names ------------------------------------------------------------------------------------ */

static void test_names(void **state)
{
	const struct liar_target n7 = {0, CLUSTER_PORT, "n7"};
	struct liar_self self = member();

	(void)state;
	start();
	assert_served(1);
	assert_int_equal(call(&self, &n7), FRAME_REFUSE_NAME);
	/* With its own certificate it says that it is another member, or the broker itself. */
	self.name = "other";
	assert_int_equal(call(&self, &n0), cluster.mode ? FRAME_REFUSE_STRANGER : 0);
	self.name = "n0";
	assert_int_equal(call(&self, &n0), cluster.mode ? FRAME_REFUSE_STRANGER : FRAME_REFUSE_NAME);
	self.name = self.certificate = "stranger";
	assert_int_equal(call(&self, &n0), FRAME_REFUSE_STRANGER);
	assert_served(2);
	cluster_stop(&cluster);
}

static void test_version(void **state)
{
	const struct liar_self self = member();

	(void)state;
	start();
	assert_true(liar_is_refused(&self, &n0, FRAME_VERSION + 1));
	assert_true(liar_is_refused(&self, &n0, 0));
	assert_served(1);
	cluster_stop(&cluster);
}

/* --- what was said before --------------------------------------------------------------------- */

/* The very bytes that were welcome, to another greeting. */
static void test_replay(void **state)
{
	const struct liar_self self = member();
	struct frame_hello hello;
	struct frame_greet greet;
	struct line w;

	(void)state;
	start();
	assert_true(liar_knock(&self, &n0, false, &w, &greet));
	liar_make_hello(&self, &n0, 5, NULL, &greet, &hello);
	assert_int_equal(liar_hello(&w, &hello), 0);
	line_close(&w);
	assert_true(liar_knock(&self, &n0, false, &w, &greet));
	assert_int_equal(liar_hello(&w, &hello), FRAME_REFUSE_REPLAY);
	assert_served(6);
	cluster_stop(&cluster);
}

/* A data lane whose token was made with what another link knows. */
static void test_token(void **state)
{
	const struct liar_self self = member();
	struct line control, older, data;
	uint8_t secret[FRAME_TOKEN_SIZE];
	struct frame_hello hello;
	struct frame_greet greet;

	(void)state;
	start();
	/* Of no link at all. */
	memset(&older, 0, sizeof(older));
	assert_int_equal(liar_call(&self, &n0, 99, &older, &data), FRAME_REFUSE_TOKEN);
	assert_int_equal(liar_call(&self, &n0, 1, NULL, &older), 0);
	assert_int_equal(liar_call(&self, &n0, 2, NULL, &control), 0);
	/* The older link is gone: the newer took its place. */
	assert_int_equal(liar_call(&self, &n0, 1, &older, &data), FRAME_REFUSE_TOKEN);
	/* In the clear every secret is the same: there is none. */
	if (cluster.mode) {
		assert_int_equal(liar_call(&self, &n0, 2, &older, &data), FRAME_REFUSE_TOKEN);
		memset(secret, 0, sizeof(secret));
		assert_true(liar_knock(&self, &n0, cluster.mode == SECURE_BOUND, &data, &greet));
		liar_make_hello(&self, &n0, 2, secret, &greet, &hello);
		assert_int_equal(liar_hello(&data, &hello), FRAME_REFUSE_TOKEN);
	}
	assert_int_equal(liar_call(&self, &n0, 2, &control, &data), 0);
	line_close(&data);
	line_close(&control);
	line_close(&older);
	cluster_stop(&cluster);
}

/* --- certificates ----------------------------------------------------------------------------- */

struct heard {
	const char *word;
	unsigned n;
};

static bool is_heard(void *context)
{
	struct heard *h = context;

	return system_log_count(&cluster.broker[0], h->word) >= h->n;
}

/* It hangs up, and says in its log why. */
static void assert_turned_away(const struct liar_self *self, const char *why)
{
	struct heard h = {why, system_log_count(&cluster.broker[0], why) + 1};

	assert_int_equal(call(self, &n0), -1);
	if (!system_wait(is_heard, &h))
		fail_msg("'%s' is not in the log", why);
}

static void test_certificates(void **state)
{
	const struct certificate_wish odd[] = {
		{"expired", "URI:spiffe://shmcache/broker/liar", NULL, -60},
		{"west", "URI:spiffe://west/broker/liar", NULL, 86400},
		{"dns", "DNS:liar", "liar", 86400},
		{"bare", NULL, "liar", 86400},
		{"two", "URI:spiffe://shmcache/broker/liar,URI:spiffe://shmcache/broker/n0", NULL, 86400},
	};
	struct liar_self self = member();
	struct scratch other = {0};
	unsigned i;

	(void)state;
	for (i = 0; i < sizeof(odd) / sizeof(odd[0]); i++)
		assert_int_equal(certificate_make(cluster.files.path, &odd[i]), 0);
	assert_int_equal(secure_make(&other, 0), 0);
	assert_int_equal(secure_add(&other, "liar"), 0);
	start();
	self.certificate = NULL;
	assert_turned_away(&self, "peer did not return a certificate");
	self.certificate = "liar";
	self.files = &other;
	assert_turned_away(&self, "unable to get local issuer certificate");
	self.files = &cluster.files;
	self.certificate = "expired";
	assert_turned_away(&self, "certificate has expired");
	for (i = 1; i < sizeof(odd) / sizeof(odd[0]); i++) {
		self.certificate = odd[i].name;
		assert_turned_away(&self, "its certificate names no member of this cluster");
	}
	scratch_remove(&other);
	assert_served(1);
	cluster_stop(&cluster);
}

/* Without TLS: told that it is wanted. */
static void test_clear(void **state)
{
	const struct liar_self self = member();
	uint8_t secret[FRAME_TOKEN_SIZE] = {0};
	struct frame_hello hello;
	struct frame_greet greet;
	struct line control, w;

	(void)state;
	start();
	assert_true(liar_knock(&self, &n0, true, &w, &greet));
	liar_make_hello(&self, &n0, 1, NULL, &greet, &hello);
	assert_int_equal(liar_hello(&w, &hello), FRAME_REFUSE_STRANGER);
	/* A data lane, even one that knows the secret, where data_tls = on. */
	assert_int_equal(liar_call(&self, &n0, 2, NULL, &control), 0);
	assert_true(liar_knock(&self, &n0, true, &w, &greet));
	line_export(&control, secret);
	liar_make_hello(&self, &n0, 2, secret, &greet, &hello);
	assert_int_equal(liar_hello(&w, &hello),
		cluster.mode == SECURE_TLS ? FRAME_REFUSE_STRANGER : 0);
	line_close(&w);
	line_close(&control);
	cluster_stop(&cluster);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_version),
		cmocka_unit_test(test_replay),
		cmocka_unit_test(test_token),
		cmocka_unit_test(test_certificates),
		cmocka_unit_test(test_clear),
	};
	const struct CMUnitTest clear[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_version),
		cmocka_unit_test(test_replay),
		cmocka_unit_test(test_token),
	};

	cluster_init(&cluster, 2, argc, argv);
	if (!cluster.mode)
		return cmocka_run_group_tests(clear, NULL, NULL);
	if (secure_add(&cluster.files, "liar") || secure_add(&cluster.files, "stranger"))
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
