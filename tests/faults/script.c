/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a client does while calls fail.
 *
 * Values are made from their key, so that each that is read can be told from any other. Answers are
 * looked at one by one: a failure has to be one of those that shmcache.h tells of, and time running
 * out is none, since nobody here is slow.
 */
#include "tests/faults/script.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "clients/shmcache.h"
#include "tests/system/common.h"

#define TIMEOUT_MS 10000
#define VALUE_MAX (400U << 10)

static struct {
	struct shmc *cache;
	time_t began;
	char complaint[256];
	uint8_t value[VALUE_MAX], got[VALUE_MAX];
} script;

static void complain(const char *format, ...)
{
	va_list args;

	if (script.complaint[0])
		return;
	va_start(args, format);
	vsnprintf(script.complaint, sizeof(script.complaint), format, args);
	va_end(args);
}

/* Is @r an answer that a call may give when memory or descriptors are short? True if it is 0. */
static bool is_ok(const char *what, int r)
{
	switch (r) {
	case 0:
		return true;
	case SHMC_MISS:
	case SHMC_NOSPACE:
	case SHMC_QUOTA:
	case SHMC_GONE:
	case -ENOMEM:
	case -EMFILE:
	case -ENOTCONN:
		return false;
	default:
		complain("%s answered %s", what, shmc_strerror(r));
		return false;
	}
}

/* The same for what makes descriptors of its own, and tells what the system said. */
static bool is_open(const char *what, int r)
{
	switch (r) {
	case -ECONNREFUSED:
	case -ENOBUFS:
	case -ENOSPC:
	case -EAGAIN:
		return false;
	default:
		return is_ok(what, r);
	}
}

/* --- one thing each --------------------------------------------------------------------------- */

static size_t make(unsigned i, char key[32])
{
	return (size_t)snprintf(key, 32, "%s-%u", i % 2 ? "odd" : "even", i);
}

static void put(unsigned i, size_t size)
{
	struct shmc_put_options options = {.ttl_ms = i % 3 ? 0 : 600000, .group = i % 4};
	char key[32];
	size_t n = make(i, key);

	system_fill(script.value, size, i);
	is_ok("put", shmc_put(script.cache, key, n, script.value, size, &options, TIMEOUT_MS));
}

static void check_value(unsigned i, const void *value, size_t size)
{
	if (size > VALUE_MAX) {
		complain("a value of %zu bytes", size);
		return;
	}
	system_fill(script.value, size, i);
	if (memcmp(script.value, value, size))
		complain("value %u is another", i);
}

static void read_one(unsigned i)
{
	char key[32];
	size_t n = make(i, key), size;

	if (is_ok("read", shmc_read(script.cache, key, n, script.got, VALUE_MAX, &size)))
		check_value(i, script.got, size);
}

static void reserve(unsigned i, size_t size, bool commits)
{
	struct shmc_reservation r;
	char key[32];
	size_t n = make(i, key);

	if (!is_ok("reserve", shmc_reserve(script.cache, key, n, size, NULL, &r, TIMEOUT_MS)))
		return;
	system_fill(r.data, size, i);
	if (commits)
		is_ok("commit", shmc_commit(script.cache, &r, TIMEOUT_MS));
	else
		is_ok("abort", shmc_abort(script.cache, &r, TIMEOUT_MS));
	if (r.data)
		shmc_abort(script.cache, &r, TIMEOUT_MS);
}

static void small_things(unsigned i)
{
	char key[32];
	size_t n = make(i, key);

	is_ok("touch", shmc_touch(script.cache, key, n, 500000, TIMEOUT_MS));
	is_ok("pin", shmc_pin(script.cache, key, n, 60000, TIMEOUT_MS));
	if (i % 2)
		is_ok("unpin", shmc_unpin(script.cache, key, n, TIMEOUT_MS));
	if (i % 5 == 0)
		is_ok("delete", shmc_delete(script.cache, key, n, TIMEOUT_MS));
	is_ok("exists", shmc_exists(script.cache, key, n));
}

static void batch(void)
{
	struct shmc_request requests[8] = {0};
	char key[8][32];
	unsigned i;

	for (i = 0; i < 8; i++) {
		requests[i].operation = i % 2 ? SHMC_OP_GET : SHMC_OP_PUT;
		requests[i].key_size = make(100 + i / 2, key[i]);
		requests[i].key = key[i];
		requests[i].value = script.got;
		requests[i].value_size = i % 2 ? 0 : 1000;
	}
	/* All of them one value: that of the last number. */
	is_ok("execute", shmc_execute(script.cache, requests, 8, TIMEOUT_MS));
	for (i = 0; i < 8; i++)
		if (is_ok("one of a batch", requests[i].result) && i % 2)
			shmc_release(script.cache, &requests[i].view);
}

static void queue(void)
{
	struct shmc_request request = {.operation = SHMC_OP_PUT, .key = "queued", .key_size = 6,
		.value = (void *)"value", .value_size = 5};
	struct shmc_request *one = &request;
	struct shmc_queue *q;
	int r;

	if (!is_open("queue_open", shmc_queue_open(&q, script.cache)))
		return;
	r = shmc_submit(q, &one, 1);
	if (r == 1) {
		r = shmc_reap(q, &one, 1, TIMEOUT_MS);
		if (r == 1)
			is_ok("a queued put", request.result);
		else
			is_ok("reap", r ? r : -ETIMEDOUT);
	} else {
		is_open("submit", r ? r : -ETIMEDOUT);
	}
	shmc_queue_close(q);
}

/* --- together --------------------------------------------------------------------------------- */

static bool begin(const char *name)
{
	const struct shmc_attach_options options = {.timeout_ms = TIMEOUT_MS};

	script.complaint[0] = '\0';
	script.began = time(NULL);
	return is_open("attach", shmc_attach(&script.cache, name, &options));
}

static const char *end(void)
{
	shmc_detach(script.cache);
	/* An answer that is found when the time for it is over is right, and nobody was woken. */
	if (time(NULL) - script.began >= TIMEOUT_MS / 1000)
		complain("somebody slept until his timeout");
	return script.complaint[0] ? script.complaint : NULL;
}

const char *faults_script(const char *name)
{
	struct shmc_view view[4] = {{0}};
	char key[32];
	unsigned i;

	if (!begin(name))
		return script.complaint[0] ? script.complaint : NULL;
	for (i = 0; i < 40; i++)
		put(i, 1 + i * 97 % 3000);
	for (i = 0; i < 4; i++)
		is_ok("get", shmc_get(script.cache, key, make(i * 7, key), &view[i]));
	for (i = 0; i < 10; i++)
		small_things(i);
	reserve(200, 70000, true);
	reserve(201, 300, true);
	reserve(202, 5000, false);
	batch();
	queue();
	/* More than there is room for. */
	for (i = 210; i < 216; i++)
		put(i, VALUE_MAX - i * 64);
	for (i = 0; i < 40; i += 3)
		read_one(i);
	for (i = 200; i < 216; i++)
		read_one(i);
	for (i = 0; i < 4; i++) {
		if (view[i].data)
			check_value(i * 7, view[i].data, view[i].size);
		shmc_release(script.cache, &view[i]);
	}
	is_ok("flush of a prefix", shmc_flush(script.cache, "odd", 3, NULL, TIMEOUT_MS));
	is_ok("flush", shmc_flush(script.cache, NULL, 0, NULL, TIMEOUT_MS));
	return end();
}

const char *faults_script_short(const char *name)
{
	if (!begin(name))
		return script.complaint[0] ? script.complaint : NULL;
	put(1, 100);
	read_one(1);
	return end();
}

const char *faults_script_well(const char *name)
{
	uint64_t n;
	int r;

	if (!begin(name)) {
		complain("it can't attach");
		return script.complaint;
	}
	put(1, 100);
	read_one(1);
	r = shmc_flush(script.cache, NULL, 0, &n, TIMEOUT_MS);
	if (r || !n)
		complain("%llu entries flushed, %s", (unsigned long long)(r ? 0 : n),
			shmc_strerror(r));
	return end();
}
