/* SPDX-License-Identifier: Apache-2.0 */
/* load-batch.c: many requests at once. */
#include <errno.h>
#include <poll.h>
#include <string.h>

#include "tests/tsan/load-private.h"

/*
 * Batches reach what single requests don't: rings that are full, staging that wraps, groups of
 * holds under one fence, answers taken long after they came. A queue has a lane of its own, which
 * the next queue inherits as the last one left it.
 */
#define BATCH 24
#define BATCH_VALUE 3000 /* more than a batch of which fits the smallest staging area */

struct batch {
	struct shmc_request request[BATCH];
	char key[BATCH][VALUE_KEY_MAX];
	char value[BATCH][BATCH_VALUE];
};

void load_get_many(struct load *load)
{
	char text[BATCH][VALUE_KEY_MAX];
	struct shmc_view view[BATCH];
	struct shmc_key key[BATCH];
	uint64_t number[BATCH];
	int result[BATCH], i, r;

	for (i = 0; i < BATCH; i++) {
		number[i] = load_any(load, LOAD_KEYS);
		key[i].data = text[i];
		key[i].size = value_key('s', number[i], text[i]);
	}
	r = shmc_get_many(load->cache, key, BATCH, view, result);
	if (r < 0)
		load_fail(load, "get_many: %s", shmc_strerror(r));
	for (i = 0; i < BATCH && r >= 0; i++) {
		if (!result[i]) {
			load_check(load, &view[i], number[i], "get_many");
			shmc_release(load->cache, &view[i]);
		} else if (result[i] != SHMC_MISS) {
			load_fail(load, "get_many: %s", shmc_strerror(result[i]));
		}
	}
}

static void batch_fill(struct load *load, struct batch *b, int i)
{
	static const enum shmc_operation operations[] = {SHMC_OP_PUT, SHMC_OP_PUT, SHMC_OP_PUT,
		SHMC_OP_GET, SHMC_OP_READ, SHMC_OP_DELETE, SHMC_OP_EXISTS, SHMC_OP_TOUCH,
		SHMC_OP_PING};
	uint64_t number = load_any(load, LOAD_KEYS);
	struct shmc_request *q = &b->request[i];

	*q = (struct shmc_request){
		.operation = operations[load_any(load, sizeof(operations) / sizeof(*operations))],
		.key = b->key[i],
		.key_size = value_key('s', number, b->key[i]),
		.value = b->value[i],
		.value_size = BATCH_VALUE,
		.user = (void *)(uintptr_t)number,
	};
	if (q->operation == SHMC_OP_PUT) {
		q->value_size = VALUE_SIZE_MIN + load_any(load, load_any(load, 4) ? 200 : 2900);
		value_make(q->value, q->value_size, number, load_version(load));
	}
}

static void batch_check(struct load *load, struct shmc_request *q)
{
	uint64_t number = (uintptr_t)q->user, version;

	if (q->operation == SHMC_OP_GET && !q->result) {
		load_check(load, &q->view, number, "a batch's get");
		shmc_release(load->cache, &q->view);
	} else if (q->operation == SHMC_OP_READ && !q->result) {
		if (!value_is(q->value, q->value_size, number, &version))
			load_fail(load, "a batch's read: wrong bytes under key %llu",
				(unsigned long long)number);
	} else if (q->result < 0 && !(q->operation == SHMC_OP_READ && q->result == -ENOSPC)) {
		load_fail(load, "a batch's request %d: %s", (int)q->operation,
			shmc_strerror(q->result));
	}
}

void load_execute(struct load *load)
{
	static _Thread_local struct batch b;
	int i, r;

	for (i = 0; i < BATCH; i++)
		batch_fill(load, &b, i);
	r = shmc_execute(load->cache, b.request, BATCH, LOAD_TIMEOUT_MS);
	if (r)
		load_fail(load, "execute: %s", shmc_strerror(r));
	for (i = 0; i < BATCH && !r; i++)
		batch_check(load, &b.request[i]);
}

/* Returns how many, or a negative errno. Waits for news where there are none. */
static int reap(struct load *load, struct shmc_queue *queue)
{
	struct pollfd fd = {.fd = shmc_queue_fd(queue), .events = POLLIN};
	struct shmc_request *done[BATCH];
	int i, n;

	n = shmc_reap(queue, done, BATCH, 0);
	if (n == 0 && poll(&fd, 1, LOAD_TIMEOUT_MS) == 0) {
		load_fail(load, "a queue's descriptor is never ready");
		return -ETIMEDOUT;
	}
	for (i = 0; i < n; i++)
		batch_check(load, done[i]);
	return n;
}

void load_queue(struct load *load)
{
	static _Thread_local struct batch b;
	struct shmc_request *request[BATCH];
	int i, r, n_begun = 0, n_done = 0;
	struct shmc_queue *queue;

	r = shmc_queue_open(&queue, load->cache);
	if (r) {
		if (r != SHMC_QUOTA)
			load_fail(load, "queue_open: %s", shmc_strerror(r));
		return;
	}
	for (i = 0; i < BATCH; i++) {
		batch_fill(load, &b, i);
		request[i] = &b.request[i];
	}
	while (n_done < BATCH) {
		r = shmc_submit(queue, request + n_begun, (size_t)(BATCH - n_begun));
		n_begun += r > 0 ? r : 0;
		r = r < 0 ? r : reap(load, queue);
		if (r < 0) {
			load_fail(load, "queue: %s, %d begun, %d done", shmc_strerror(r), n_begun,
				n_done);
			break;
		}
		n_done += r;
		/* Now and then with requests under way: they are abandoned. */
		if (load_any(load, 20) == 0)
			break;
	}
	shmc_queue_close(queue);
	/* What was found and not reaped is held still. */
	for (i = 0; i < BATCH; i++)
		if (b.request[i].operation == SHMC_OP_GET)
			shmc_release(load->cache, &b.request[i].view);
}
