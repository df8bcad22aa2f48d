/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client that truncates what it may.
 *
 * All but one of its descriptors are sealed or read-only. The one is a writer's of the tier: the
 * broker must survive the cut, get its tier back, and serve no zeroes under any key.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/system/common.h"

#define DRAM_SIZE (16U << 20)
#define VALUE_SIZE (200U << 10)
#define N_KEYS 40

static struct system_broker broker;
static struct raw_client victim, writer;
static struct raw_lane *victim_lane, *writer_lane;
static uint8_t bytes[VALUE_SIZE];

static const char *key_of(unsigned i)
{
	static char key[32];

	snprintf(key, sizeof(key), "key-%u", i);
	return key;
}

static int put(struct raw_client *c, struct raw_lane *lane, unsigned i)
{
	system_fill(bytes, sizeof(bytes), i);
	return raw_put(c, lane, key_of(i), bytes, sizeof(bytes));
}

static bool is_right(unsigned i)
{
	system_fill(bytes, sizeof(bytes), i);
	return raw_value_is(&victim, key_of(i), bytes, sizeof(bytes));
}

static bool is_whole(void *context)
{
	struct stat st;

	(void)context;
	return !fstat(victim.fd[RAW_DRAM], &st) && st.st_size == DRAM_SIZE &&
		(uint64_t)st.st_blocks * 512 >= DRAM_SIZE;
}

static void assert_serves_again(void)
{
	unsigned i;

	assert_true(system_wait(is_whole, NULL));
	for (i = 0; i < N_KEYS; i++) {
		/* A put may still have met the cut; afterwards none does. */
		assert_int_equal(put(&victim, victim_lane, i), ABI_STATUS_OK);
		assert_true(is_right(i));
	}
	system_assert_alive(&broker);
}

static void test_sealed(void **state)
{
	(void)state;
	assert_true(ftruncate(writer.fd[RAW_REQUEST], 0) < 0 && errno == EPERM);
	assert_true(ftruncate(writer.fd[RAW_REQUEST], 1 << 30) < 0 && errno == EPERM);
	assert_true(ftruncate(writer.fd[RAW_RESPONSE], 0) < 0 && errno == EPERM);
	assert_true(ftruncate(writer.fd[RAW_RESPONSE], 1 << 30) < 0 && errno == EPERM);
	assert_true(ftruncate(writer.fd[RAW_INDEX], 0) < 0 && (errno == EINVAL || errno == EBADF));
	assert_true(ftruncate(victim.fd[RAW_DRAM], 0) < 0 && (errno == EINVAL || errno == EBADF));
	system_assert_alive(&broker);
}

static int punch(const struct raw_client *c)
{
	return fallocate(c->fd[RAW_REQUEST], FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
		(off_t)c->request_size);
}

static void assert_others_serve(void)
{
	assert_int_equal(put(&victim, victim_lane, 0), ABI_STATUS_OK);
	assert_true(is_right(0));
}

/*
 * Holes in the request region: each look at it would take a page fault that waits for the client.
 * Before its first lane it may punch, as nobody looks; what is missing reads as zeroes.
 */
static void test_hole_in_request(void **state)
{
	struct raw_client c;
	struct raw_lane *lane;

	(void)state;
	assert_int_equal(raw_attach(&c, broker.run.name, WIRE_ROLE_READER), 0);
	assert_int_equal(punch(&c), 0);
	assert_int_equal(raw_lane_open(&c, &lane), 0);
	assert_int_equal(raw_ping(&c, lane), ABI_STATUS_OK);
	assert_true(punch(&c) < 0 && errno == EPERM);
	assert_true(madvise(c.request, c.request_size, MADV_REMOVE) < 0 && errno == EPERM);
	assert_int_equal(raw_ping(&c, lane), ABI_STATUS_OK);
	raw_detach(&c);
	assert_others_serve();
}

/* Who keeps us from forbidding it gets no lane, and is cut off. */
static void test_hole_not_forbidden(void **state)
{
	uint64_t broken = raw_counter(&victim, ABI_COUNTER_SESSIONS_BROKEN);
	unsigned told = system_log_count(&broker, "event=session-cut-off");
	struct raw_client c;
	struct raw_lane *lane;

	(void)state;
	assert_int_equal(raw_attach(&c, broker.run.name, WIRE_ROLE_READER), 0);
	assert_int_equal(fcntl(c.fd[RAW_REQUEST], F_ADD_SEALS, F_SEAL_SEAL), 0);
	assert_int_not_equal(raw_lane_open(&c, &lane), 0);
	assert_int_equal(
		system_wait_counter(&victim, ABI_COUNTER_SESSIONS_BROKEN, broken + 1), broken + 1);
	assert_int_equal(system_log_count(&broker, "event=session-cut-off"), told + 1);
	raw_detach(&c);
	assert_others_serve();
}

static void test_cut_to_nothing(void **state)
{
	uint64_t n = raw_counter(&victim, ABI_COUNTER_TIER_DAMAGE), word;
	unsigned i;
	int r;

	(void)state;
	for (i = 0; i < N_KEYS; i++)
		assert_int_equal(put(&victim, victim_lane, i), ABI_STATUS_OK);
	assert_int_equal(ftruncate(writer.fd[RAW_DRAM], 0), 0);
	/* The broker copies into what is gone, and says so; or it has noticed before. */
	r = put(&victim, victim_lane, N_KEYS);
	assert_true(r == ABI_STATUS_DAMAGED || r == ABI_STATUS_OK);
	assert_true(system_wait(is_whole, NULL));
	assert_int_equal(system_wait_counter(&victim, ABI_COUNTER_TIER_DAMAGE, n + N_KEYS), n + N_KEYS);
	for (i = 0; i < N_KEYS; i++)
		assert_null(raw_find(&victim, key_of(i), &word));
	raw_delete(&victim, victim_lane, key_of(N_KEYS));
	assert_true(system_log_count(&broker, "event=tier-damaged") > 0);
	assert_serves_again();
}

/* What lies before the cut stays, byte for byte. */
static void test_cut_in_half(void **state)
{
	uint64_t n = raw_counter(&victim, ABI_COUNTER_TIER_DAMAGE), n_lost = 0, word, cut;
	const struct abi_record *r;
	bool is_lost[N_KEYS];
	unsigned i;

	(void)state;
	for (i = 0; i < N_KEYS; i++)
		assert_int_equal(put(&victim, victim_lane, i), ABI_STATUS_OK);
	/* Through the middle of one, wherever the others lie. */
	r = raw_find(&victim, key_of(N_KEYS / 2), &word);
	assert_non_null(r);
	cut = (r->value_off + r->value_size / 2) & ~UINT64_C(4095);
	for (i = 0; i < N_KEYS; i++) {
		r = raw_find(&victim, key_of(i), &word);
		assert_non_null(r);
		is_lost[i] = r->value_off + r->value_size > cut;
		n_lost += is_lost[i];
	}
	assert_in_range(n_lost, 1, N_KEYS);
	assert_int_equal(ftruncate(writer.fd[RAW_DRAM], (off_t)cut), 0);
	assert_true(system_wait(is_whole, NULL));
	assert_int_equal(system_wait_counter(&victim, ABI_COUNTER_TIER_DAMAGE, n + n_lost), n + n_lost);
	for (i = 0; i < N_KEYS; i++) {
		if (is_lost[i])
			assert_null(raw_find(&victim, key_of(i), &word));
		else
			assert_true(is_right(i));
	}
	assert_serves_again();
}

/* The size is right again before anybody looks; the pages are not. */
static void test_cut_and_set_right(void **state)
{
	uint64_t n = raw_counter(&victim, ABI_COUNTER_TIER_DAMAGE), word;
	unsigned i;

	(void)state;
	for (i = 0; i < N_KEYS; i++)
		assert_int_equal(put(&victim, victim_lane, i), ABI_STATUS_OK);
	assert_int_equal(ftruncate(writer.fd[RAW_DRAM], 0), 0);
	assert_int_equal(ftruncate(writer.fd[RAW_DRAM], DRAM_SIZE), 0);
	assert_int_equal(system_wait_counter(&victim, ABI_COUNTER_TIER_DAMAGE, n + N_KEYS), n + N_KEYS);
	for (i = 0; i < N_KEYS; i++)
		assert_null(raw_find(&victim, key_of(i), &word));
	assert_serves_again();
}

/* Bytes that were filled in before the cut are zeroes after it: they must not be published. */
static void test_reservation_across_a_cut(void **state)
{
	uint64_t reservation, off, word;

	(void)state;
	assert_int_equal(raw_reserve(&writer, writer_lane, "open", VALUE_SIZE, &reservation, &off),
		ABI_STATUS_OK);
	memset(writer.dram + off, 1, VALUE_SIZE);
	assert_int_equal(ftruncate(writer.fd[RAW_DRAM], 0), 0);
	assert_true(system_wait(is_whole, NULL));
	assert_int_equal(raw_commit(&writer, writer_lane, reservation), ABI_STATUS_DAMAGED);
	assert_null(raw_find(&victim, "open", &word));
	assert_int_equal(system_wait_gauge(&victim, ABI_GAUGE_RESERVED_BYTES, 0), 0);
	assert_serves_again();
}

static int cut_on_and_on(void *context)
{
	const int *fd = context;
	unsigned i;

	for (i = 0;; i++)
		(void)!ftruncate(*fd, (off_t)(i * 7919 % DRAM_SIZE));
	return 0;
}

static void test_cut_at_full_speed(void **state)
{
	pid_t pid = system_spawn(cut_on_and_on, &writer.fd[RAW_DRAM]);
	unsigned i;
	int r;

	(void)state;
	/* Looking at values would end this process: a reader of lost pages has no such guard. */
	for (i = 0; i < 2000; i++) {
		r = put(&victim, victim_lane, i % N_KEYS);
		if (r != ABI_STATUS_OK && r != ABI_STATUS_DAMAGED) {
			system_end(pid);
			fail_msg("a put says %d", r);
		}
	}
	system_end(pid);
	system_assert_alive(&broker);
	assert_serves_again();
	/* Cuts are counted, not told one by one. */
	assert_true(system_log_count(&broker, "event=tier-damaged") < 1000);
}

/* A descriptor outlives its session. */
static void test_cut_after_detach(void **state)
{
	int fd = dup(writer.fd[RAW_DRAM]);

	(void)state;
	assert_true(fd >= 0);
	raw_detach(&writer);
	assert_int_equal(ftruncate(fd, 4096), 0);
	close(fd);
	assert_serves_again();
	assert_int_equal(raw_attach(&writer, broker.run.name, WIRE_ROLE_WRITER), 0);
	assert_int_equal(raw_lane_open(&writer, &writer_lane), 0);
}

/* A tier that was grown would be another geometry to the next broker. */
static void test_grown(void **state)
{
	unsigned i;

	(void)state;
	for (i = 0; i < N_KEYS; i++)
		assert_int_equal(put(&victim, victim_lane, i), ABI_STATUS_OK);
	assert_int_equal(ftruncate(writer.fd[RAW_DRAM], 2 * DRAM_SIZE), 0);
	assert_true(system_wait(is_whole, NULL));
	for (i = 0; i < N_KEYS; i++)
		assert_true(is_right(i));
}

static int setup(void **state)
{
	(void)state;
	system_start(&broker, "16MiB", false, "");
	assert_int_equal(raw_attach(&victim, broker.run.name, WIRE_ROLE_STAGER), 0);
	assert_int_equal(raw_lane_open(&victim, &victim_lane), 0);
	assert_int_equal(raw_attach(&writer, broker.run.name, WIRE_ROLE_WRITER), 0);
	assert_int_equal(raw_lane_open(&writer, &writer_lane), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	raw_detach(&victim);
	raw_detach(&writer);
	system_stop(&broker);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sealed),
		cmocka_unit_test(test_hole_in_request),
		cmocka_unit_test(test_hole_not_forbidden),
		cmocka_unit_test(test_cut_to_nothing),
		cmocka_unit_test(test_cut_in_half),
		cmocka_unit_test(test_cut_and_set_right),
		cmocka_unit_test(test_reservation_across_a_cut),
		cmocka_unit_test(test_cut_at_full_speed),
		cmocka_unit_test(test_cut_after_detach),
		cmocka_unit_test(test_grown),
	};

	/* Ended from outside, too, it leaves nothing behind. */
	if (cleanup_guard())
		return 1;
	return cmocka_run_group_tests(tests, setup, teardown);
}
