/* SPDX-License-Identifier: Apache-2.0 */
/* Unit of etcd.c: a token, and which refusals of it are news. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "shmcache/remote/peers/etcd-impl.h"

/* One token that two requests were sent with: news is what a token that never worked is refused for. */
static void test_two_requests(void **state)
{
	struct etcd e = {.token = "first", .n_tokens = 7};

	(void)state;
	etcd_token_worked(&e, 7);
	assert_true(etcd_token_is_over(&e, 7));
	assert_string_equal(e.token, "");
	assert_true(etcd_token_is_over(&e, 7));
	/* An answer to what was sent with the first says nothing of the second. */
	strcpy(e.token, "second");
	etcd_token_worked(&e, 7);
	assert_true(etcd_token_is_over(&e, 7));
	assert_string_equal(e.token, "second");
	assert_false(etcd_token_is_over(&e, e.n_tokens));
	assert_string_equal(e.token, "");
}

/* What never worked: the first refusal is news, and so is the one of the token after it. */
static void test_never_worked(void **state)
{
	struct etcd e = {.token = ""};

	(void)state;
	assert_false(etcd_token_is_over(&e, 0));
	assert_false(etcd_token_is_over(&e, 1));
	/* Where etcd asked nobody who he is, and does now. */
	e.has_no_auth = true;
	etcd_token_worked(&e, 2);
	assert_true(etcd_token_is_over(&e, 2));
	assert_false(e.has_no_auth);
}

static unsigned n_told;

static void note(void *context, enum etcd_note what, const char *text)
{
	(void)context;
	(void)text;
	n_told += what == ETCD_REFUSED;
}

/* An answer without what it should have is no success, and not asked for again at once. */
static void test_lacks(void **state)
{
	static const enum etcd_step steps[] = {STEP_AUTHENTICATE, STEP_GRANT};
	unsigned i;

	(void)state;
	for (i = 0; i < sizeof(steps) / sizeof(*steps); i++) {
		struct etcd e = {.step = steps[i], .options.note = note};
		struct post post = {.owner = &e};

		n_told = 0;
		etcd_step_done(&post, 200, "{\"header\":{}}");
		assert_int_equal(n_told, 1);
		assert_int_equal(e.n_failed, 1);
		assert_true(e.retry_ms > post_now_ms());
	}
}

/* That a lease is kept alive proves nothing: etcd does not ask by whom. */
static void test_kept(void **state)
{
	struct etcd e = {.step = STEP_KEEP, .token = "t", .n_failed = 3, .lease = 7};
	struct post post = {.owner = &e};

	(void)state;
	etcd_step_done(&post, 200, "{\"result\":{\"ID\":\"7\",\"TTL\":\"10\"}}");
	assert_true(e.keep_ms > post_now_ms());
	assert_int_equal(e.n_failed, 3);
	assert_false(e.has_token_worked);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_two_requests),
		cmocka_unit_test(test_never_worked),
		cmocka_unit_test(test_lacks),
		cmocka_unit_test(test_kept),
	};

	return cmocka_run_group_tests_name("peers-etcd-token", tests, NULL, NULL);
}
