/* SPDX-License-Identifier: Apache-2.0 */
/* Unit of peers-erase.c: a delete reaches all members, or is counted as one that did not. */
#include "tests/shmcache/remote/peers/cluster.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct cluster c;

static unsigned erased_told, erased_failed, n_erased;

static void erased(void *context, unsigned n_told, unsigned n_failed)
{
	(void)context;
	n_erased++;
	erased_told = n_told;
	erased_failed = n_failed;
}

static void erase(unsigned at, uint64_t i, uint64_t ms)
{
	uint8_t bytes[ABI_KEY_SIZE_MAX];
	struct remote_key key = remote_key(bytes, rig_key(i, bytes));

	n_erased = 0;
	peers_kind.erase(c.node[at].self, &key, store_now_ms() + ms, erased, NULL);
	CLUSTER_WAIT(&c, n_erased == 1);
}

static void test_erase(void **state)
{
	unsigned i;

	(void)state;
	cluster_open(&c, 3, "ask");
	for (i = 0; i < 4; i++) {
		cluster_put(&c, 1, i, i, 1000);
		cluster_put(&c, 2, i, i, 1000);
	}
	erase(0, 0, 20000);
	assert_int_equal(erased_told, 2);
	assert_int_equal(erased_failed, 0);
	assert_int_equal(rig_cell(&c.node[1].rig, 0), 0);
	assert_int_equal(rig_cell(&c.node[2].rig, 0), 0);
	erase(0, 77, 20000);
	assert_int_equal(erased_told, 2);
	assert_int_equal(rig_count(&c.node[0].rig, ABI_COUNTER_ERASES_HEARD), 0);
	assert_int_equal(rig_count(&c.node[1].rig, ABI_COUNTER_ERASES_HEARD), 2);
	/* One does not answer, and is counted; and carries it out when it is back. */
	c.node[2].is_stopped = true;
	erase(0, 1, 300);
	assert_int_equal(erased_told, 1);
	assert_int_equal(erased_failed, 1);
	assert_int_not_equal(rig_cell(&c.node[2].rig, 1), 0);
	c.node[2].is_stopped = false;
	CLUSTER_WAIT(&c, !rig_cell(&c.node[2].rig, 1));
	cluster_close_node(&c, 2);
	CLUSTER_WAIT(&c, cluster_n_up(&c, 0) == 1);
	erase(0, 2, 20000);
	assert_int_equal(erased_told, 1);
	assert_int_equal(erased_failed, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CLUSTER_TEST(test_erase),
	};

	return RIG_RUN(tests);
}
