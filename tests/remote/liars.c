/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A peer that lies, and random bytes. Whatever it says: the one who asked gets a miss with a reason
 * in time, never a wrong byte; nothing is left of it; and the next one who asks is served.
 */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/remote/cluster.h"
#include "tests/remote/liar.h"
#include "tests/support/value.h"

#define RANDOM_CONNECTIONS 3000
#define CONFIG "absent_for = 0\n"

static struct cluster cluster;
static struct liar_self self = {.net = &cluster.net, .host = 1, .files = &cluster.files,
	.certificate = "liar", .name = "liar"};
static const struct liar_target n0 = {0, CLUSTER_PORT, "n0"};
static _Atomic unsigned lie;

static void start(void)
{
	char more[64], address[NET_ADDRESS_SIZE];

	snprintf(more, sizeof(more), "liar=%s:%u", net_address(1, address), CLUSTER_PORT);
	cluster_start(&cluster, 1, "64MiB", CONFIG, more);
}

static bool has_link(void *context)
{
	(void)context;
	return system_log_count(&cluster.broker[0], "peer=liar") > 0;
}

/* --- as a holder ------------------------------------------------------------------------------ */

static int fetch(unsigned n, unsigned *why)
{
	const struct shmc_fetch_options options = {.deadline_ms = 2000};
	struct shmc_view view;
	char key[32];
	size_t i;
	int r;

	snprintf(key, sizeof(key), "lie-%u", n);
	r = shmc_fetch(cluster.cache[0], key, strlen(key), &options, &view, why, 60000);
	if (r)
		return r;
	assert_int_equal(view.size, LIAR_SIZE);
	for (i = 0; i < view.size; i++)
		assert_int_equal(((const char *)view.data)[i], 'x');
	shmc_release(cluster.cache[0], &view);
	return 0;
}

static bool is_served(void *context)
{
	unsigned *n = context, why;

	return !fetch(++*n, &why);
}

static void test_holder(void **state)
{
	unsigned n = 1000, why;
	struct liar *liar;
	int r;

	(void)state;
	start();
	liar = liar_start(&self, CLUSTER_PORT, &lie);
	assert_non_null(liar);
	assert_true(system_wait(has_link, NULL));
	for (unsigned i = 0; i < LIAR_N_LIES; i++) {
		/* The link may have been given up, and is back before long. */
		lie = LIAR_HONEST;
		assert_true(system_wait(is_served, &n));
		lie = i;
		r = fetch(i, &why);
		printf("%s: %s\n", liar_lie_name(i), r ? shmc_fetch_miss_name(why) : "served");
		assert_int_equal(r, i == LIAR_HONEST ? 0 : SHMC_MISS);
		system_assert_alive(&cluster.broker[0]);
	}
	/* His links go: the descriptors are those of a broker alone, as they were at first. */
	liar_stop(liar);
	cluster_stop(&cluster);
}

/* --- as a requester --------------------------------------------------------------------------- */

/* One link after another, each with another way to misbehave. */
static void misbehave(unsigned how, uint64_t link, const char *key, size_t key_size)
{
	struct line control, data;
	uint8_t junk[4096];
	unsigned i;

	assert_int_equal(liar_call(&self, &n0, link, NULL, &control), 0);
	assert_int_equal(liar_call(&self, &n0, link, &control, &data), 0);
	memset(junk, 0xa5, sizeof(junk));
	switch (how) {
	case 0: /* asks, and reads nothing of it */
		for (i = 0; i < 60; i++)
			line_send_frame(&data, FRAME_FETCH, 0, i + 1, 2000, key, (uint32_t)key_size);
		usleep(300000);
		break;
	case 1: /* asks, and goes */
		line_send_frame(&data, FRAME_FETCH, 0, 1, 60000, key, (uint32_t)key_size);
		break;
	case 2: /* more at once than there may be */
		for (i = 0; i < 5000; i++)
			if (!line_send_frame(&data, FRAME_FETCH, 0, i + 1, 60000, key, (uint32_t)key_size))
				break;
		break;
	case 3: /* grants more than was ever sent */
		line_send_frame(&data, FRAME_FETCH, 0, 1, 60000, key, (uint32_t)key_size);
		line_send_frame(&data, FRAME_CREDIT, 0, 0, UINT64_MAX, NULL, 0);
		usleep(50000);
		break;
	case 4: /* cancels what was never asked for */
		for (i = 0; i < 100; i++)
			line_send_frame(&data, FRAME_CANCEL, 0, i, 0, NULL, 0);
		break;
	case 5: /* the same id twice */
		for (i = 0; i < 20; i++)
			line_send_frame(&data, FRAME_FETCH, 0, 1, 60000, key, (uint32_t)key_size);
		break;
	case 6: /* lookups that are none */
		line_send_frame(&control, FRAME_LOOKUP, FRAME_LOOKUP_KEYS, 1, 1000, junk, sizeof(junk));
		break;
	case 7: /* an answer where questions are asked */
		line_send_frame(&control, FRAME_FOUND, 0, 1, 1, "\0", 1);
		break;
	case 8: /* announces for ever what nobody wants to know */
		for (i = 0; i < 2000; i++)
			if (!line_send_frame(&control, FRAME_ANNOUNCE, 0, 0, 0, junk, 24 * 100))
				break;
		break;
	default:
		line_send(&control, junk, sizeof(junk));
		line_send(&data, junk, sizeof(junk));
	}
	line_close(&data);
	line_close(&control);
}

static void test_requester(void **state)
{
	char text[VALUE_KEY_MAX];
	unsigned how;

	(void)state;
	start();
	cluster_put(&cluster, 0, 1, 1, 20 << 20);
	for (how = 0; how < 10; how++) {
		misbehave(how, 100 + how, text, value_key('v', 1, text));
		assert_int_equal(cluster_get(&cluster, 0, 1), 1);
	}
	cluster_stop(&cluster);
}

static void test_random(void **state)
{
	uint64_t seed = (uint64_t)time(NULL), n;
	uint8_t bytes[2000];
	struct line w;
	unsigned i, j;

	(void)state;
	printf("seed %llu\n", (unsigned long long)seed);
	start();
	for (i = 0; i < RANDOM_CONNECTIONS; i++) {
		w = liar_connect(&self, &n0);
		assert_true(w.fd >= 0);
		for (j = 0; j < sizeof(bytes); j++)
			bytes[j] = (uint8_t)value_random(&seed);
		n = value_random(&seed);
		/* Some begin as they should. */
		if (n & 1)
			memcpy(bytes, &(struct frame){FRAME_MAGIC, (uint8_t)(n >> 8) % 20, 0,
					      (uint32_t)(n >> 16) % 4000, FRAME_HELLO_MAGIC,
					      FRAME_VERSION}, sizeof(struct frame));
		line_send(&w, bytes, (n >> 40) % sizeof(bytes));
		line_close(&w);
	}
	cluster_stop(&cluster);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_holder),
		cmocka_unit_test(test_requester),
		cmocka_unit_test(test_random),
	};
	/* Random bytes are no TLS: peers-security. */
	const struct CMUnitTest secured[] = {
		cmocka_unit_test(test_holder),
		cmocka_unit_test(test_requester),
	};

	cluster_init(&cluster, 2, argc, argv);
	self.mode = cluster.mode;
	if (!self.mode)
		return cmocka_run_group_tests(tests, NULL, NULL);
	if (secure_add(&cluster.files, "liar"))
		return 1;
	return cmocka_run_group_tests(secured, NULL, NULL);
}
