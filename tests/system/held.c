/* SPDX-License-Identifier: Apache-2.0 */
/* held.c: views of present and of replaced values, and a reserved block half filled. */
#include "tests/system/held.h"

#include <stdio.h>
#include <string.h>

static int key_of(char key[32], unsigned i)
{
	return snprintf(key, 32, "held-%u", i);
}

void held_fill(struct held *h)
{
	system_fill(h->block.data, HELD_SIZE / 2, 100);
}

int held_take(struct held *h, const char *name)
{
	static uint8_t bytes[HELD_SIZE];
	char key[32];
	unsigned i;
	int r = shmc_attach(&h->cache, name, NULL);

	for (i = 0; !r && i < HELD_VIEWS; i++) {
		size_t n = (size_t)key_of(key, i);

		system_fill(bytes, HELD_SIZE, i);
		r = shmc_put(h->cache, key, n, bytes, HELD_SIZE, NULL, 60000);
		if (!r)
			r = shmc_get(h->cache, key, n, &h->view[i]);
		if (!r && i % 2 == 0)
			r = shmc_put(h->cache, key, n, "x", 1, NULL, 60000);
	}
	if (!r)
		r = shmc_reserve(h->cache, "block", 5, HELD_SIZE, NULL, &h->block, 60000);
	if (!r)
		held_fill(h);
	return r;
}

static bool is_filled(const void *data, size_t size, uint64_t seed)
{
	static uint8_t bytes[HELD_SIZE];

	system_fill(bytes, size, seed);
	return !memcmp(data, bytes, size);
}

bool held_block_is_whole(const struct held *h)
{
	return is_filled(h->block.data, HELD_SIZE / 2, 100);
}

int held_check(struct held *h, int result)
{
	unsigned i;

	for (i = 0; i < HELD_VIEWS; i++) {
		if (!result && !is_filled(h->view[i].data, HELD_SIZE, i))
			return 1;
		if (shmc_view_check(h->cache, &h->view[i]) != result)
			return 2;
	}
	return held_block_is_whole(h) ? 0 : 3;
}

int held_let_go(struct held *h)
{
	unsigned i;

	for (i = 0; i < HELD_VIEWS; i++)
		shmc_release(h->cache, &h->view[i]);
	return shmc_commit(h->cache, &h->block, 60000) == SHMC_GONE ? 0 : 4;
}

unsigned held_churn(const char *name, unsigned seed)
{
	static uint8_t bytes[300000];
	struct shmc *cache;
	unsigned i, n_refused = 0;
	char key[32];
	int n, r;

	assert_int_equal(shmc_attach(&cache, name, NULL), 0);
	for (i = 0; i < 220; i++) {
		n = snprintf(key, sizeof(key), "churn-%u-%u", seed, i);
		system_fill(bytes, sizeof(bytes), i);
		r = shmc_put(cache, key, (size_t)n, bytes, sizeof(bytes), NULL, 60000);
		assert_true(r == 0 || r == SHMC_NOSPACE);
		n_refused += r == SHMC_NOSPACE;
	}
	shmc_detach(cache);
	return n_refused;
}

/* Does no line tell of a former broker's session? */
static bool has_no_former(void *context)
{
	const struct abi_plane *plane = ((struct raw_client *)context)->plane;
	unsigned i;

	for (i = 0; i < plane->n_sessions_max; i++)
		if (shared_u64_load(&plane->session[i].id) &&
			shared_u64_load(&plane->session[i].epoch) !=
				shared_u64_load(&plane->epoch))
			return false;
	return true;
}

void held_wait_all_back(struct system_broker *b)
{
	struct raw_client c;

	assert_int_equal(raw_attach(&c, b->run.name, WIRE_ROLE_WRITER), 0);
	assert_int_equal(system_wait_gauge(&c, ABI_GAUGE_LIMBO_BYTES, 0), 0);
	assert_true(system_wait(has_no_former, &c));
	raw_detach(&c);
	system_assert_alive(b);
}
