// SPDX-License-Identifier: Apache-2.0
/*
 * trace-made.c - traces that are made up.
 *
 * A policy that was chosen on one trace may have been fitted to it.  These are
 * the shapes that textbooks know of, each of which is some simple policy's best
 * and another's worst case: independent reads by a power law (counts decide),
 * scans (newcomers are worthless), a loop (the newest should go first), a loop
 * beside a power law, and a working set that changes (old counts mislead).
 */
#include "bench/trace.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct maker {
	struct trace *t;
	uint64_t seed;
	uint32_t n_keys;
	uint32_t n_reads;
	double alpha;
	bool mixed;
	double *sum; /* of the power law, up to each key */
};

enum { MAKER_NEW_KEYS = 1 << 30, MAKER_LOOP_KEYS = 1 << 29 };

static int law_init(struct maker *m)
{
	double sum = 0;

	m->sum = calloc(m->n_keys, sizeof(*m->sum));
	if (!m->sum)
		return -ENOMEM;
	for (uint32_t i = 0; i < m->n_keys; i++)
		m->sum[i] = sum += pow(i + 1, -m->alpha);
	return 0;
}

static uint32_t law_next(struct maker *m)
{
	double u = (double)(trace_random(&m->seed) >> 11) * 0x1p-53;
	uint32_t low = 0, high = m->n_keys - 1;

	u *= m->sum[m->n_keys - 1];
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (m->sum[middle] <= u)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static uint64_t zipf_next(struct maker *m, uint32_t i)
{
	(void)i;
	return law_next(m);
}

/* A scan takes a fifth of the time, in stretches of 20000 reads. */
static uint64_t scan_next(struct maker *m, uint32_t i)
{
	return i % 100000 >= 80000 ? MAKER_NEW_KEYS + (uint64_t)i : law_next(m);
}

static uint64_t loop_next(struct maker *m, uint32_t i)
{
	return i % m->n_keys;
}

static uint64_t zipf_loop_next(struct maker *m, uint32_t i)
{
	return i % 4 ? law_next(m) : MAKER_LOOP_KEYS + i / 4 % (m->n_keys / 4 + 1);
}

static uint64_t shift_next(struct maker *m, uint32_t i)
{
	return law_next(m) + (uint64_t)m->n_keys * (i / (m->n_reads / 6 + 1));
}

static const struct kind {
	const char *name;
	uint64_t (*next)(struct maker *m, uint32_t i);
	uint32_t n_keys;
} kinds[] = {
	{"zipf", zipf_next, 100000},
	{"scan", scan_next, 100000},
	{"loop", loop_next, 12000},
	{"zipf-loop", zipf_loop_next, 60000},
	{"shift", shift_next, 20000},
};

enum { N_KINDS = sizeof(kinds) / sizeof(kinds[0]) };

const char *trace_kinds(unsigned i)
{
	return i < N_KINDS ? kinds[i].name : NULL;
}

static const struct kind *kind_find(const char *spec)
{
	for (unsigned i = 0; i < N_KINDS; i++) {
		size_t len = strlen(kinds[i].name);

		if (!strncmp(spec, kinds[i].name, len) &&
			(!spec[len] || spec[len] == ':'))
			return &kinds[i];
	}
	return NULL;
}

/* One NAME=NUMBER; where it ends, or NULL. */
static const char *option(struct maker *m, const char *at)
{
	const char *equals = strchr(at, '=');
	char *end;
	double value;

	if (!equals)
		return NULL;
	value = strtod(equals + 1, &end);
	if (end == equals + 1 || (*end && *end != ','))
		return NULL;
	if (!strncmp(at, "keys=", 5) && value >= 1 && value <= 1e8)
		m->n_keys = (uint32_t)value;
	else if (!strncmp(at, "reads=", 6) && value >= 1 && value <= 1e9)
		m->n_reads = (uint32_t)value;
	else if (!strncmp(at, "alpha=", 6) && value >= 0 && value <= 10)
		m->alpha = value;
	else if (!strncmp(at, "mixed=", 6) && (value == 0 || value == 1))
		m->mixed = value == 1;
	else
		return NULL;
	return *end ? end + 1 : end;
}

/* Always the same for one key: each octave from 64 B to 16 MiB as likely. */
static uint64_t size_of(const struct maker *m, uint64_t id)
{
	uint64_t state = id, low;

	if (!m->mixed)
		return TRACE_BLOCK_SIZE;
	low = UINT64_C(64) << trace_random(&state) % 18;
	return low + trace_random(&state) % low;
}

static int make(struct maker *m, const struct kind *kind)
{
	int r = law_init(m);

	for (uint32_t i = 0; !r && i < m->n_reads; i++) {
		uint64_t id = kind->next(m, i);

		r = trace_add(m->t, id, size_of(m, id), 0, 0);
	}
	free(m->sum);
	return r;
}

int trace_make(
	struct trace *t, const char *spec, uint64_t seed, struct trace_error *error)
{
	const struct kind *kind = kind_find(spec);
	struct trace new = {0};
	struct maker m = {.t = &new, .seed = seed, .n_reads = 500000, .alpha = 0.9};
	const char *at;
	int r;

	if (!kind) {
		trace_error_set(error,
			"%s: no such kind (zipf, scan, loop, zipf-loop, shift)", spec);
		return -EINVAL;
	}
	m.n_keys = kind->n_keys;
	for (at = spec + strlen(kind->name) + (strchr(spec, ':') != NULL); *at;) {
		const char *next = option(&m, at);

		if (!next) {
			trace_error_set(error,
				"%s: '%s' is none of keys=, reads=, alpha=, mixed= with "
				"a number that makes sense",
				spec, at);
			return -EINVAL;
		}
		at = next;
	}
	r = make(&m, kind);
	if (r) {
		trace_error_set(error, "%s: %s", spec, strerror(-r));
		trace_free(&new);
		return r;
	}
	free(new.ids);
	new.ids = NULL;
	*t = new;
	return 0;
}
