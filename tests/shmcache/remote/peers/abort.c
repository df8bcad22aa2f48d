/* SPDX-License-Identifier: Apache-2.0 */
/* abort.c: a holder that gives up in the middle of a frame. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "shmcache/remote/peers/sum.h"
#include "tests/shmcache/remote/peers/abort.h"

/*
 * The socket takes what it has room for by one call, and nobody reads while that goes on: both ends
 * are of this thread. Where it is full is the kernel's business, and once in a while between two
 * frames. So it is tried again, with a small value before it that moves the place.
 */
#define TRIES 20

static uint64_t no_sum(void *context)
{
	(void)context;
	return 0;
}

static void done(void *context, bool sent)
{
	unsigned *n = context;

	assert_false(sent);
	++*n;
}

/* Push @size bytes that are gone when this returns. */
static void push_and_abort(struct link_request *request, size_t size)
{
	unsigned n = 0;
	uint8_t *value = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	const struct link_body body = {
		.value = {.size = size}, .data = value, .sum = no_sum, .done = done, .context = &n};

	assert_true(value != MAP_FAILED);
	memset(value, 'v', size);
	link_push(request, &body);
	assert_int_equal(n, 0);
	link_push_abort(request);
	assert_int_equal(n, 1);
	/* Whoever looks at it now is ended for it; nothing else comes to lie there. */
	assert_int_equal(mprotect(value, size, PROT_NONE), 0);
}

static size_t run_of(const uint8_t *at, const uint8_t *end, uint8_t byte)
{
	const uint8_t *begin = at;

	while (at < end && *at == byte)
		at++;
	return (size_t)(at - begin);
}

/* Values, then zeroes up to the end of a frame, and nothing behind. Was it in the middle? */
static bool look(const uint8_t *copy)
{
	const uint8_t *end = copy + ABORT_SIZE;
	size_t n = run_of(copy, end, 'v'), n_zeroes = run_of(copy + n, end, 0);

	assert_int_equal((n + n_zeroes) % FRAME_DATA_MAX, 0);
	assert_true(n_zeroes < FRAME_DATA_MAX);
	assert_int_equal(n + n_zeroes + run_of(copy + n + n_zeroes, end, 0xff), ABORT_SIZE);
	return n_zeroes;
}

static bool try_once(struct pair *p, uint8_t *copy)
{
	struct pair_fetch f = {.to = copy, .room = ABORT_SIZE};
	unsigned before = p->b.n_requests;

	memset(copy, 0xff, ABORT_SIZE);
	p->b.value = NULL;
	pair_fetch(p, &f, "key");
	assert_true(pair_run(p, &p->b.n_requests, before + 1));
	push_and_abort(p->b.requests[before], ABORT_SIZE);
	assert_true(pair_run(p, &f.n_done, 1));
	assert_int_equal(f.result, LINK_REFUSED);
	return look(copy);
}

/* The next one on the same lanes. */
static void serve_one(struct pair *p, uint8_t *copy, const uint8_t *value, size_t size)
{
	struct pair_fetch f = {.to = copy, .room = ABORT_SIZE};
	unsigned i;

	p->b.value = value;
	p->b.value_size = size;
	p->b.sum = sum_of(value, size);
	for (i = 1; i <= 2; i++) {
		pair_fetch(p, &f, "key");
		assert_true(pair_run(p, &f.n_done, i));
		assert_int_equal(f.result, LINK_OK);
		assert_memory_equal(copy, value, size);
	}
}

void abort_in_the_middle(struct pair *p)
{
	static uint8_t value[100000];
	uint8_t *copy = malloc(ABORT_SIZE);
	bool was_middle = false;
	unsigned i;

	assert_non_null(copy);
	memset(value, 'x', sizeof(value));
	for (i = 0; i < TRIES && !was_middle; i++) {
		was_middle = try_once(p, copy);
		serve_one(p, copy, value, sizeof(value) - i * 1237);
	}
	assert_true(was_middle);
	assert_int_equal(p->a.n_down, 0);
	free(copy);
}
