// SPDX-License-Identifier: Apache-2.0
/*
 * trace-jsonl.c - traces of LLM requests, one JSON object a line.
 *
 * The lines have one fixed shape, members with a number each and one array of
 * numbers, so this is a strict parser of that shape and not of JSON: strings as
 * values, nesting, signs, fractions and exponents are errors.  A line that is
 * not understood is an error with its number, never skipped: a hit ratio over
 * part of a trace looks like any other.
 */
#include "bench/trace.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct line {
	const char *at;
	const char *wrong; /* what was expected at `at`; NULL: all is well */
};

static void skip_blanks(struct line *l)
{
	l->at += strspn(l->at, " \t\r\n");
}

/* Is the next one c?  Then it is passed over. */
static bool take(struct line *l, char c)
{
	skip_blanks(l);
	if (*l->at != c)
		return false;
	l->at++;
	return true;
}

static bool want(struct line *l, char c, const char *wrong)
{
	if (take(l, c))
		return true;
	l->wrong = wrong;
	return false;
}

static bool number(struct line *l, uint64_t *out)
{
	uint64_t value = 0;
	const char *start;

	skip_blanks(l);
	start = l->at;
	for (; *l->at >= '0' && *l->at <= '9'; l->at++) {
		unsigned digit = (unsigned)(*l->at - '0');

		if (value > (UINT64_MAX - digit) / 10) {
			l->wrong = "a number below 2^64";
			return false;
		}
		value = value * 10 + digit;
	}
	if (l->at == start || (*start == '0' && l->at > start + 1) || *l->at == '.') {
		l->wrong = "a whole number";
		return false;
	}
	*out = value;
	return true;
}

/* A member's name up to its colon; those with escapes can't be ours. */
static bool name(struct line *l, const char **start, size_t *len)
{
	if (!want(l, '"', "a member's name"))
		return false;
	*start = l->at;
	*len = strcspn(l->at, "\"\\");
	l->at += *len;
	return want(l, '"', "the end of a name") && want(l, ':', "':'");
}

struct load {
	struct trace *t;
	size_t n_max;
	uint32_t group;
	int r;
};

static bool full(const struct load *load)
{
	return load->n_max && load->t->n_reads >= load->n_max;
}

static bool blocks(struct line *l, struct load *load)
{
	uint32_t position = 0;
	uint64_t id;

	if (!want(l, '[', "'['"))
		return false;
	if (take(l, ']'))
		return true;
	do {
		if (!number(l, &id))
			return false;
		if (!full(load))
			load->r = trace_add(
				load->t, id, TRACE_BLOCK_SIZE, load->group, position++);
		if (load->r)
			return false;
	} while (take(l, ','));
	return want(l, ']', "',' or ']'");
}

static bool members(struct line *l, struct load *load)
{
	bool has_blocks = false;
	const char *start;
	uint64_t ignored;
	size_t len;

	if (!want(l, '{', "'{'"))
		return false;
	do {
		if (!name(l, &start, &len))
			return false;
		if (len == 8 && !memcmp(start, "hash_ids", 8)) {
			if (has_blocks) {
				l->wrong = "hash_ids only once";
				return false;
			}
			has_blocks = true;
			if (!blocks(l, load))
				return false;
		} else if (!number(l, &ignored)) {
			return false;
		}
	} while (take(l, ','));
	if (!want(l, '}', "',' or '}'"))
		return false;
	skip_blanks(l);
	if (!has_blocks)
		l->wrong = "a member hash_ids";
	else if (*l->at)
		l->wrong = "the end of the line";
	return !l->wrong;
}

static int load_line(struct load *load, const char *path, size_t n, char *text,
	size_t len, struct trace_error *error)
{
	struct line l = {.at = text};

	load->group++;
	if (memchr(text, 0, len)) {
		l.at = text + strlen(text);
		l.wrong = "text without zero bytes";
	} else if (members(&l, load)) {
		return 0;
	}
	if (load->r) {
		trace_error_set(error, "%s:%zu: %s", path, n, strerror(-load->r));
		return load->r;
	}
	trace_error_set(error, "%s:%zu: column %zu: expected %s", path, n,
		(size_t)(l.at - text) + 1, l.wrong);
	return -EINVAL;
}

int trace_load_jsonl(
	struct trace *t, const char *path, size_t n_max, struct trace_error *error)
{
	struct load load = {.t = t, .n_max = n_max};
	FILE *f = fopen(path, "r");
	char *text = NULL;
	size_t size = 0;
	ssize_t len;
	int r = 0;

	if (!f) {
		r = -errno;
		trace_error_set(error, "%s: %s", path, strerror(errno));
		return r;
	}
	t->chained = true;
	for (size_t n = 1; !r && !full(&load); n++) {
		len = getline(&text, &size, f);
		if (len < 0)
			break;
		r = load_line(&load, path, n, text, (size_t)len, error);
	}
	if (!r && ferror(f)) {
		trace_error_set(error, "%s: cannot be read to its end", path);
		r = -EIO;
	}
	free(text);
	fclose(f);
	return r;
}
