// SPDX-License-Identifier: Apache-2.0
/*
 * trace-oracle.c - libCacheSim's oracleGeneral format.
 *
 * The format in which most public cache traces can be had, so that miss counts
 * published for them check ours.  It has no header and no magic: all that can
 * tell a wrong file is that its length is no multiple of a record's, and sizes
 * and next accesses that make no sense.
 */
#include "bench/trace.h"

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct record {
	uint32_t time;
	uint64_t id;
	uint32_t size;
	int64_t next;
};

static struct record decode(const unsigned char *raw)
{
	uint32_t time, size;
	uint64_t id, next;

	memcpy(&time, raw, 4);
	memcpy(&id, raw + 4, 8);
	memcpy(&size, raw + 12, 4);
	memcpy(&next, raw + 16, 8);
	return (struct record){
		.time = le32toh(time),
		.id = le64toh(id),
		.size = le32toh(size),
		.next = (int64_t)le64toh(next),
	};
}

/* -1 and INT64_MAX mean never; else it is a record further on. */
static const char *check(const struct record *x, uint64_t n, uint32_t last_time)
{
	if (x->next < -1)
		return "the next access is negative: is this oracleGeneral?";
	if (x->next != -1 && (uint64_t)x->next < n)
		return "the next access lies in the past: is this oracleGeneral?";
	if (x->time < last_time)
		return "time runs backwards: is this oracleGeneral?";
	return NULL;
}

static int load(struct trace *t, FILE *f, const char *path, size_t n_max,
	struct trace_error *error)
{
	unsigned char raw[TRACE_ORACLE_RECORD_SIZE];
	uint32_t last_time = 0;
	const char *wrong;
	struct record x;
	size_t len;
	int r;

	for (uint64_t n = 0; !n_max || t->n_reads < n_max; n++) {
		len = fread(raw, 1, sizeof(raw), f);
		if (!len)
			break;
		if (len < sizeof(raw)) {
			trace_error_set(error,
				"%s: record %" PRIu64 ": cut short, %zu of %zu bytes",
				path, n, len, sizeof(raw));
			return -EINVAL;
		}
		x = decode(raw);
		wrong = check(&x, n, last_time);
		if (wrong) {
			trace_error_set(
				error, "%s: record %" PRIu64 ": %s", path, n, wrong);
			return -EINVAL;
		}
		last_time = x.time;
		if (!x.size) {
			t->n_skipped++;
			continue;
		}
		r = trace_add(t, x.id, x.size, 0, 0);
		if (r) {
			trace_error_set(error, "%s: record %" PRIu64 ": %s", path, n,
				strerror(-r));
			return r;
		}
	}
	if (!ferror(f))
		return 0;
	trace_error_set(error, "%s: cannot be read to its end", path);
	return -EIO;
}

int trace_load_oracle(
	struct trace *t, const char *path, size_t n_max, struct trace_error *error)
{
	FILE *f = fopen(path, "rb");
	int r;

	if (!f) {
		r = -errno;
		trace_error_set(error, "%s: %s", path, strerror(errno));
		return r;
	}
	r = load(t, f, path, n_max, error);
	fclose(f);
	return r;
}
