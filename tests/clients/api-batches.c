/* SPDX-License-Identifier: Apache-2.0 */
/* Many requests at once, and queues of them, against a broker. */
#include "tests/clients/attached.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void a_batch_has_a_result_for_each(void **state)
{
	enum { N = 1000 };
	struct shmc *cache = *state;
	struct shmc_request *q = calloc(N, sizeof(*q));
	uint8_t *large = attached_pattern(200000, 5);
	char buffer[16], (*key)[16] = calloc(N, sizeof(*key));
	int i;

	for (i = 0; i < N; i++) {
		q[i].operation = i % 2 ? SHMC_OP_GET : SHMC_OP_PUT;
		q[i].key = key[i];
		q[i].key_size = (size_t)snprintf(key[i], sizeof(key[i]), "k%d", i / 2);
		q[i].value = i % 100 == 50 ? (void *)large : key[i];
		q[i].value_size = i % 100 == 50 ? 200000 : 3;
	}
	q[4].operation = SHMC_OP_DELETE;
	q[6].value_size = 0;
	q[8] = (struct shmc_request){.operation = SHMC_OP_PING};
	q[10].operation = SHMC_OP_READ;
	q[10].key = "k0";
	q[10].key_size = 2;
	q[10].value = buffer;
	q[10].value_size = sizeof(buffer);
	assert_int_equal(shmc_execute(cache, q, N, WAIT), 0);
	for (i = 0; i < N; i++) {
		if (i >= 4 && i <= 11)
			continue;
		assert_int_equal(q[i].result, 0);
		/* Each get sees what was put right before it. */
		if (i % 2) {
			assert_int_equal(q[i].view.size, q[i - 1].value_size);
			assert_memory_equal(
				q[i].view.data, q[i - 1].value, q[i - 1].value_size);
			shmc_release(cache, &q[i].view);
		}
	}
	assert_int_equal(q[4].result, SHMC_MISS);
	assert_int_equal(q[5].result, SHMC_MISS);
	assert_int_equal(q[6].result, -EINVAL);
	assert_int_equal(q[7].result, SHMC_MISS);
	assert_int_equal(q[8].result, 0);
	assert_int_equal(q[10].result, 0);
	assert_int_equal(q[10].value_size, 3);
	assert_memory_equal(buffer, "k0", 3);
	free(key);
	free(large);
	free(q);
}

static void a_batch_may_reserve_and_commit(void **state)
{
	enum { N = 20 };
	struct shmc *cache = *state;
	struct shmc_request q[N], commit[N];
	char key[N][8];
	int i;

	memset(q, 0, sizeof(q));
	memset(commit, 0, sizeof(commit));
	for (i = 0; i < N; i++) {
		q[i].operation = SHMC_OP_RESERVE;
		q[i].key = key[i];
		q[i].key_size = (size_t)snprintf(key[i], sizeof(key[i]), "k%d", i);
		q[i].value_size = 5000;
	}
	assert_int_equal(shmc_execute(cache, q, N, WAIT), 0);
	for (i = 0; i < N; i++) {
		assert_int_equal(q[i].result, 0);
		memset(q[i].reservation.data, i, 5000);
		commit[i].operation = i % 4 ? SHMC_OP_COMMIT : SHMC_OP_ABORT;
		commit[i].reservation = q[i].reservation;
	}
	assert_int_equal(shmc_execute(cache, commit, N, WAIT), 0);
	for (i = 0; i < N; i++) {
		assert_int_equal(commit[i].result, 0);
		assert_null(commit[i].reservation.data);
		assert_int_equal(shmc_exists(cache, key[i], strlen(key[i])),
			i % 4 ? 0 : SHMC_MISS);
	}
}

/* As an event loop does: submit what fits, poll, reap till there is nothing, and round again. */
static void a_queue_serves_an_event_loop(void **state)
{
	enum { N = 5000 };
	struct shmc *cache = *state;
	struct shmc_request *q = calloc(N, sizeof(*q)), *all[N], *done[64];
	int i, n, n_submitted = 0, n_done = 0;
	char(*key)[16] = calloc(N, sizeof(*key));
	struct shmc_queue *queue;
	struct pollfd fd;

	assert_int_equal(shmc_queue_open(&queue, cache), 0);
	fd = (struct pollfd){.fd = shmc_queue_fd(queue), .events = POLLIN};
	for (i = 0; i < N; i++) {
		q[i].operation = i % 5 == 4 ? SHMC_OP_GET : SHMC_OP_PUT;
		q[i].key = key[i];
		q[i].key_size = (size_t)snprintf(key[i], sizeof(key[i]), "k%d", i / 5);
		q[i].value = key[i];
		q[i].value_size = 4;
		q[i].user = &q[i];
		all[i] = &q[i];
	}
	while (n_done < N) {
		n = shmc_submit(queue, all + n_submitted, (size_t)(N - n_submitted));
		assert_true(n >= 0);
		n_submitted += n;
		while ((n = shmc_reap(queue, done, 64, 0)) > 0) {
			for (i = 0; i < n; i++) {
				assert_ptr_equal(done[i]->user, done[i]);
				assert_int_equal(done[i]->result, 0);
				if (done[i]->operation == SHMC_OP_GET)
					shmc_release(cache, &done[i]->view);
			}
			n_done += n;
		}
		assert_int_equal(n, 0);
		if (n_done < n_submitted)
			assert_int_equal(poll(&fd, 1, WAIT), 1);
	}
	/*
	 * Perhaps the broker was so quick that we never had to wait: once more, and first of all.
	 * The bell of an answer that we have reaped already may still come: a wake-up for nothing.
	 */
	q[0] = (struct shmc_request){.operation = SHMC_OP_PING};
	assert_int_equal(shmc_submit(queue, all, 1), 1);
	do {
		assert_int_equal(poll(&fd, 1, WAIT), 1);
		n = shmc_reap(queue, done, 64, 0);
	} while (!n);
	assert_int_equal(n, 1);
	assert_ptr_equal(done[0], &q[0]);
	shmc_queue_close(queue);
	free(key);
	free(q);
}

static void a_detach_closes_queues_and_drops_what_is_open(void **state)
{
	struct shmc *other = attached_as(SHMC_ROLE_WRITER), *cache = *state;
	struct shmc_request q = {.operation = SHMC_OP_PING}, *one = &q;
	struct shmc_reservation r;
	struct shmc_queue *queue;
	struct shmc_view view;

	attached_put(other, "key", "value");
	assert_int_equal(shmc_queue_open(&queue, other), 0);
	assert_int_equal(shmc_submit(queue, &one, 1), 1);
	assert_int_equal(shmc_reserve(other, "held", 4, 1 << 20, NULL, &r, WAIT), 0);
	assert_int_equal(shmc_pin(other, "key", 3, 0, WAIT), 0);
	assert_int_equal(shmc_get(other, "key", 3, &view), 0);
	shmc_detach(other);
	assert_int_equal(shmc_unpin(cache, "key", 3, WAIT), SHMC_MISS);
	attached_assert_value(cache, "key", "value", 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ATTACHED_TEST(a_batch_has_a_result_for_each, writer),
		ATTACHED_TEST(a_batch_has_a_result_for_each, stager),
		ATTACHED_TEST(a_batch_may_reserve_and_commit, writer),
		ATTACHED_TEST(a_queue_serves_an_event_loop, writer),
		ATTACHED_TEST(a_detach_closes_queues_and_drops_what_is_open, writer),
	};

	return cmocka_run_group_tests(tests, attached_group_setup, attached_group_teardown);
}
