/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests that wait for a holder who says nothing, while others on the same lane are answered for
 * more than a lap of its ring: the inspector tells which they are, for how long and for what.
 *
 * The link to such a holder is given up after some seconds. On a machine that is slower than that
 * there is nothing to be seen, and it is tried again. The broker is stopped while it is looked at.
 */
#include <regex.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/remote/cluster.h"
#include "tests/remote/liar.h"

#define N_QUEUE 16
#define CONFIG "absent_for = 0\n[session]\nqueue = 16\n"
#define LONG_MS 3600000
#define SHORT_MS 100
#define N_LONG 3
#define ROUNDS 10

static struct cluster cluster;
static struct liar_self self = {.net = &cluster.net, .host = 1, .files = &cluster.files,
	.certificate = "liar", .name = "liar"};
static _Atomic unsigned lie = LIAR_SILENT;

static bool has_link(void *context)
{
	(void)context;
	return system_log_count(&cluster.broker[0], "peer=liar") > 0;
}

/* The key stays where it is until the answer has come. */
static void submit_fetch(struct raw_client *c, struct raw_lane *lane, unsigned n,
	uint64_t deadline_ms)
{
	struct submission s = {.operation = ABI_OP_FETCH, .id = 100 + n, .argument = deadline_ms,
		.staging_off = n * 64};

	s.key_size = (uint16_t)snprintf((char *)lane->staging + s.staging_off, 64, "far-%u", n);
	raw_submit(c, lane, &s);
}

/* Is this the next answer? */
static bool reap(struct raw_client *c, struct raw_lane *lane, uint32_t id)
{
	struct completion completion;

	assert_int_equal(raw_reap(c, lane, &completion), 0);
	return completion.id == id;
}

static bool ping(struct raw_client *c, struct raw_lane *lane, unsigned n)
{
	const struct submission s = {.operation = ABI_OP_PING};

	while (n--) {
		raw_submit(c, lane, &s);
		if (!reap(c, lane, 0))
			return false;
	}
	return true;
}

static void inspect(const char *view, const char *argument, struct system_output *o)
{
	cluster_inspect(&cluster, 0, view, argument, o);
	assert_int_equal(o->status, 0);
}

static unsigned count(const char *text, const char *pattern)
{
	regmatch_t match;
	unsigned n = 0;
	regex_t regex;

	assert_int_equal(regcomp(&regex, pattern, REG_EXTENDED | REG_NEWLINE), 0);
	for (; !regexec(&regex, text, 1, &match, 0); text += match.rm_eo)
		n++;
	regfree(&regex);
	return n;
}

static void expect(const struct system_output *o, const char *pattern, unsigned n)
{
	if (count(o->text, pattern) != n)
		fail_msg("not %u times \"%s\" in:\n%s", n, pattern, o->text);
}

static bool is_answered(void *context)
{
	const struct raw_lane *lane = context;
	struct completion c;

	return completion_take(&lane->completion[lane->reaped % N_QUEUE], lane->reaped, &c);
}

/*
 * Three that wait for long, at positions 0, 2 and 40; one that waited for a moment, at 1, and one
 * more at 41, whose answer is not taken; all the others are pings. False: the machine was slow, and
 * what should wait was given up.
 */
static bool ask(struct raw_client *c, struct raw_lane *lane)
{
	struct completion last;

	submit_fetch(c, lane, 0, LONG_MS);
	submit_fetch(c, lane, 1, SHORT_MS);
	submit_fetch(c, lane, 2, LONG_MS);
	if (!reap(c, lane, 101) || !ping(c, lane, 37))
		return false;
	submit_fetch(c, lane, 3, LONG_MS);
	submit_fetch(c, lane, 4, SHORT_MS);
	assert_true(system_wait(is_answered, lane));
	kill(cluster.broker[0].run.proc.pid, SIGSTOP);
	return completion_take(&lane->completion[38 % N_QUEUE], 38, &last) && last.id == 104 &&
		!completion_take(&lane->completion[39 % N_QUEUE], 39, &last);
}

static void look(const char *ring)
{
	struct system_output o;

	inspect("--ring", ring, &o);
	expect(&o, "42 requests, 42 taken, 3 elsewhere, 39 answered, 38 reaped;", 1);
	expect(&o, "^ +[0-9]+ elsewhere ", N_LONG);
	expect(&o, "^ +0 elsewhere +[0-9.]+ m?s fetch    far-0 within 1h00m staged at 0$", 1);
	expect(&o, "^ +2 elsewhere +[0-9.]+ m?s fetch    far-2 within 1h00m staged at 128$", 1);
	expect(&o, "^ +40 elsewhere +[0-9.]+ m?s fetch    far-3 within 1h00m staged at 192$", 1);
	expect(&o, "^ +41 answered +- fetch    far-4 within 100 ms staged at 256: miss$", 1);
	expect(&o, " (next|waits) ", 0);
	inspect("--check", NULL, &o);
	expect(&o, "^0 findings in ", 1);
}

static bool run(void)
{
	struct raw_lane *lane;
	struct raw_client c;
	char ring[32];
	bool is_fast;

	assert_int_equal(raw_attach(&c, cluster.broker[0].run.name, WIRE_ROLE_READER), 0);
	assert_int_equal(raw_lane_open(&c, &lane), 0);
	snprintf(ring, sizeof(ring), "%llu.0", (unsigned long long)c.welcome.session);
	is_fast = ask(&c, lane);
	if (is_fast)
		look(ring);
	kill(cluster.broker[0].run.proc.pid, SIGCONT);
	raw_detach(&c);
	return is_fast;
}

static void test_order(void **state)
{
	char more[64], address[NET_ADDRESS_SIZE];
	struct liar *liar;
	unsigned i;

	(void)state;
	snprintf(more, sizeof(more), "liar=%s:%u", net_address(1, address), CLUSTER_PORT);
	cluster_start(&cluster, 1, "64MiB", CONFIG, more);
	liar = liar_start(&self, CLUSTER_PORT, &lie);
	assert_non_null(liar);
	assert_true(system_wait(has_link, NULL));
	for (i = 0; i < ROUNDS && !run(); i++)
		printf("too slow: once more\n");
	assert_true(i < ROUNDS);
	liar_stop(liar);
	cluster_stop(&cluster);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),
	};

	cluster_init(&cluster, 2, argc, argv);
	self.mode = cluster.mode;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
