// SPDX-License-Identifier: Apache-2.0
/*
 * trace.c - a sequence of reads, held in memory.
 *
 * A replay runs one trace against many policies and sizes, so it is worth
 * loading it once and doing all that is not the policy's work beforehand: ids
 * become dense numbers, by which the runs index arrays and need no hash table
 * of their own.  16 bytes a read; 100 million reads fit a small machine.
 */
#include "bench/trace.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct trace_id {
	uint64_t id;
	uint32_t key_1; /* key + 1, 0: free */
};

void trace_error_set(struct trace_error *error, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(error->text, sizeof(error->text), format, args);
	va_end(args);
}

static struct trace_id *id_find(struct trace_id *ids, size_t n_ids_max, uint64_t id)
{
	uint64_t state = id;
	size_t i = trace_random(&state) & (n_ids_max - 1);

	while (ids[i].key_1 && ids[i].id != id)
		i = (i + 1) & (n_ids_max - 1);
	return &ids[i];
}

static int ids_grow(struct trace *t)
{
	size_t n_new = t->n_ids_max ? 2 * t->n_ids_max : 1 << 16;
	struct trace_id *ids;

	if (t->n_ids_max && t->n_keys < t->n_ids_max / 2)
		return 0;
	ids = calloc(n_new, sizeof(*ids));
	if (!ids)
		return -ENOMEM;
	for (size_t i = 0; i < t->n_ids_max; i++) {
		if (t->ids[i].key_1)
			*id_find(ids, n_new, t->ids[i].id) = t->ids[i];
	}
	free(t->ids);
	t->ids = ids;
	t->n_ids_max = n_new;
	return 0;
}

static int reads_grow(struct trace *t)
{
	size_t n_new = t->n_reads_max ? 2 * t->n_reads_max : 1 << 16;
	struct trace_read *reads;

	if (t->n_reads < t->n_reads_max)
		return 0;
	reads = reallocarray(t->reads, n_new, sizeof(*reads));
	if (!reads)
		return -ENOMEM;
	t->reads = reads;
	t->n_reads_max = n_new;
	return 0;
}

int trace_add(
	struct trace *t, uint64_t id, uint64_t size, uint32_t group, uint32_t position)
{
	struct trace_id *x;
	int r;

	if (t->n_keys == UINT32_MAX - 2)
		return -E2BIG;
	r = ids_grow(t);
	if (!r)
		r = reads_grow(t);
	if (r)
		return r;
	x = id_find(t->ids, t->n_ids_max, id);
	if (!x->key_1)
		*x = (struct trace_id){.id = id, .key_1 = ++t->n_keys};
	t->reads[t->n_reads++] = (struct trace_read){
		.key = x->key_1 - 1,
		.size = size < UINT32_MAX ? (uint32_t)size : UINT32_MAX,
		.group = group,
		.position = position,
	};
	return 0;
}

void trace_free(struct trace *t)
{
	free(t->reads);
	free(t->ids);
	*t = (struct trace){0};
}

static bool looks_like_jsonl(const char *path)
{
	size_t len = strlen(path);
	FILE *f;
	int c;

	if (len > 6 && !strcmp(path + len - 6, ".jsonl"))
		return true;
	f = fopen(path, "rb");
	if (!f)
		return false; /* whoever opens it next will say so */
	c = getc(f);
	fclose(f);
	return c == '{';
}

int trace_load(struct trace *t, const char *path, enum trace_format format, size_t n_max,
	struct trace_error *error)
{
	struct trace new = {0};
	int r;

	if (format == TRACE_GUESS)
		format = looks_like_jsonl(path) ? TRACE_JSONL : TRACE_ORACLE;
	if (format == TRACE_JSONL)
		r = trace_load_jsonl(&new, path, n_max, error);
	else
		r = trace_load_oracle(&new, path, n_max, error);
	if (!r && !new.n_reads) {
		trace_error_set(error, "%s: no reads in it", path);
		r = -EINVAL;
	}
	if (r) {
		trace_free(&new);
		return r;
	}
	free(new.ids);
	new.ids = NULL;
	*t = new;
	return 0;
}
