/* SPDX-License-Identifier: Apache-2.0 */
/* queue.c: submit, reap and the descriptor of an event loop, against a broker led by hand. */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "clients/lib/queue.h"
#include "tests/clients/rig.h"

struct fixture {
	struct rig rig;
	struct shmc_queue *queue;
};

static int setup(void **state)
{
	static struct fixture f;

	memset(&f, 0, sizeof(f));
	rig_open(&f.rig, WIRE_ROLE_STAGER);
	*state = &f;
	return shmc_queue_open(&f.queue, f.rig.cache);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	shmc_queue_close(f->queue);
	rig_close(&f->rig);
	return 0;
}

static bool is_readable(const struct fixture *f)
{
	struct pollfd fd = {.fd = shmc_queue_fd(f->queue), .events = POLLIN};

	return poll(&fd, 1, 0) == 1;
}

static void submit(struct fixture *f, struct shmc_request *request)
{
	assert_int_equal(shmc_submit(f->queue, &request, 1), 1);
}

static struct submission taken(struct fixture *f)
{
	struct submission s;

	assert_true(rig_take(&f->rig, 0, &s));
	return s;
}

static void assert_reaps_nothing(struct fixture *f)
{
	struct shmc_request *done;

	assert_int_equal(shmc_reap(f->queue, &done, 1, 0), 0);
	assert_false(is_readable(f));
}

static void assert_reaps(struct fixture *f, struct shmc_request *request, int result)
{
	struct shmc_request *done = NULL;

	assert_true(is_readable(f));
	assert_int_equal(shmc_reap(f->queue, &done, 1, 0), 1);
	assert_ptr_equal(done, request);
	assert_int_equal(request->result, result);
}

static void the_descriptor_tells_of_answers(void **state)
{
	struct fixture *f = *state;
	struct shmc_request q = {.operation = SHMC_OP_PING};
	struct submission s;
	int i;

	assert_false(is_readable(f));
	for (i = 0; i < 3 * RIG_QUEUE; i++) {
		submit(f, &q);
		assert_reaps_nothing(f);
		s = taken(f);
		rig_answer(&f->rig, 0, s.id, ABI_STATUS_OK, 0, 0);
		assert_reaps(f, &q, 0);
		assert_reaps_nothing(f);
	}
}

/*
 * Whoever polls right after the first submit has asked for nothing yet, and is told all the same.
 */
static void the_descriptor_tells_of_the_first_answer(void **state)
{
	struct fixture *f = *state;
	struct shmc_request q = {.operation = SHMC_OP_PING};

	submit(f, &q);
	rig_answer(&f->rig, 0, taken(f).id, ABI_STATUS_OK, 0, 0);
	assert_reaps(f, &q, 0);
}

static void the_descriptor_tells_of_what_is_done_at_once(void **state)
{
	struct fixture *f = *state;
	struct shmc_request exists = {.operation = SHMC_OP_EXISTS, .key = "no", .key_size = 2};
	struct shmc_request wrong = {.operation = SHMC_OP_PUT}, *done;

	submit(f, &exists);
	submit(f, &wrong);
	assert_reaps(f, &exists, SHMC_MISS);
	assert_reaps(f, &wrong, -EINVAL);
	assert_reaps_nothing(f);
	assert_int_equal(shmc_reap(f->queue, &done, 1, 1000), 0);
}

static void a_bell_for_what_was_taken_is_silenced(void **state)
{
	struct fixture *f = *state;
	struct shmc_request q[2] = {{.operation = SHMC_OP_PING}, {.operation = SHMC_OP_PING}};
	struct shmc_request *done[2];
	int i;

	for (i = 0; i < 2; i++)
		submit(f, &q[i]);
	assert_reaps_nothing(f);
	for (i = 0; i < 2; i++)
		rig_answer(&f->rig, 0, taken(f).id, ABI_STATUS_OK, 0, 0);
	assert_int_equal(shmc_reap(f->queue, done, 2, 0), 2);
	assert_reaps_nothing(f);
}

static void takes_no_more_than_fit(void **state)
{
	struct fixture *f = *state;
	struct shmc_request q[2 * RIG_QUEUE], *all[2 * RIG_QUEUE], *done[2 * RIG_QUEUE];
	int i, n, n_done = 0;

	memset(q, 0, sizeof(q));
	for (i = 0; i < 2 * RIG_QUEUE; i++)
		all[i] = &q[i];
	n = shmc_submit(f->queue, all, 2 * RIG_QUEUE);
	assert_int_equal(n, RIG_QUEUE - 1);
	assert_int_equal(shmc_submit(f->queue, all + n, 1), 0);
	while (n_done < 2 * RIG_QUEUE) {
		rig_answer(&f->rig, 0, taken(f).id, ABI_STATUS_OK, 0, 0);
		i = shmc_reap(f->queue, done, 2 * RIG_QUEUE, 0);
		assert_int_equal(i, 1);
		assert_ptr_equal(done[0], &q[n_done]);
		n_done += i;
		if (n < 2 * RIG_QUEUE)
			n += shmc_submit(f->queue, all + n, (size_t)(2 * RIG_QUEUE - n));
	}
}

static void a_reap_waits_its_time(void **state)
{
	struct fixture *f = *state;
	struct shmc_request q = {.operation = SHMC_OP_PING}, *done;
	uint64_t begin = deadline_clock();

	submit(f, &q);
	assert_int_equal(shmc_reap(f->queue, &done, 1, 30), 0);
	assert_true(deadline_clock() - begin >= 30000000);
	assert_int_equal(shmc_reap(f->queue, &done, 1, -3), -EINVAL);
	rig_answer(&f->rig, 0, taken(f).id, ABI_STATUS_NOSPACE, 0, 0);
	assert_reaps(f, &q, SHMC_NOSPACE);
}

/* The unfinished come back with that result, and when there are none left, the queue says so. */
static void a_hang_up_finishes_all(void **state)
{
	struct fixture *f = *state;
	struct shmc_request q[3], *done[3], *one = &q[0];
	int i;

	memset(q, 0, sizeof(q));
	for (i = 0; i < 3; i++)
		submit(f, &q[i]);
	assert_reaps_nothing(f);
	rig_answer(&f->rig, 0, taken(f).id, ABI_STATUS_OK, 0, 0);
	close(f->rig.socket);
	f->rig.socket = -1;
	assert_reaps(f, &q[0], 0);
	assert_true(is_readable(f));
	assert_int_equal(shmc_reap(f->queue, done, 3, 0), 2);
	assert_int_equal(q[1].result, -ENOTCONN);
	assert_int_equal(q[2].result, -ENOTCONN);
	assert_int_equal(shmc_reap(f->queue, done, 3, 1000), -ENOTCONN);
	assert_false(is_readable(f));
	assert_int_equal(shmc_submit(f->queue, &one, 1), -ENOTCONN);
}

static void a_closed_queue_leaves_its_lane_clean(void **state)
{
	struct fixture *f = *state;
	struct shmc_request q[RIG_QUEUE], *done;
	struct submission s;
	int i;

	memset(q, 0, sizeof(q));
	for (i = 0; i < RIG_QUEUE - 1; i++)
		submit(f, &q[i]);
	shmc_queue_close(f->queue);
	memset(q, 0x55, sizeof(q));
	/* The next owner finds the ring full of what nobody waits for. */
	assert_int_equal(shmc_queue_open(&f->queue, f->rig.cache), 0);
	assert_ptr_equal(f->queue->lane, &f->rig.session->lane[0]);
	memset(q, 0, sizeof(q));
	assert_int_equal(shmc_submit(f->queue, &(struct shmc_request *){&q[0]}, 1), 0);
	while (rig_take(&f->rig, 0, &s))
		rig_answer(&f->rig, 0, s.id, ABI_STATUS_OK, 0, 0);
	assert_true(is_readable(f));
	assert_int_equal(shmc_reap(f->queue, &done, 1, 0), 0);
	/*
	 * Nothing is on its way to us, and there is room: whoever was refused must not sleep over
	 * it.
	 */
	assert_true(is_readable(f));
	submit(f, &q[0]);
	rig_answer(&f->rig, 0, taken(f).id, ABI_STATUS_OK, 0, 0);
	assert_int_equal(shmc_reap(f->queue, &done, 1, 0), 1);
	assert_ptr_equal(done, &q[0]);
}

static void lanes_run_out(void **state)
{
	struct fixture *f = *state;
	struct shmc_key keys[5] = {{"a", 1}, {"b", 1}, {"c", 0}, {"d", 1}, {"e", 1}};
	struct shmc_queue *more[RIG_LANES];
	struct shmc_view views[5];
	int results[5], i;

	rig_store(&f->rig, "a", "value");
	for (i = 1; i < RIG_LANES; i++)
		assert_int_equal(shmc_queue_open(&more[i], f->rig.cache), 0);
	assert_int_equal(shmc_queue_open(&more[0], f->rig.cache), SHMC_QUOTA);
	assert_int_equal(shmc_exists(f->rig.cache, "key", 3), SHMC_QUOTA);
	assert_int_equal(shmc_get_many(f->rig.cache, keys, 5, views, results), 0);
	for (i = 0; i < 5; i++)
		assert_int_equal(results[i], i == 2 ? -EINVAL : SHMC_QUOTA);
	shmc_queue_close(more[1]);
	assert_int_equal(shmc_exists(f->rig.cache, "key", 3), SHMC_MISS);
	assert_int_equal(shmc_queue_open(&more[1], f->rig.cache), SHMC_QUOTA);
	for (i = 2; i < RIG_LANES; i++)
		shmc_queue_close(more[i]);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(the_descriptor_tells_of_answers),
		T(the_descriptor_tells_of_the_first_answer),
		T(the_descriptor_tells_of_what_is_done_at_once),
		T(a_bell_for_what_was_taken_is_silenced),
		T(takes_no_more_than_fit),
		T(a_reap_waits_its_time),
		T(a_hang_up_finishes_all),
		T(a_closed_queue_leaves_its_lane_clean),
		T(lanes_run_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
