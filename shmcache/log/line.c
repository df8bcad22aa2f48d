/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A line is put together on the writer's stack, of fields that say their own type: there is no
 * format string, so none can disagree with its arguments, and each value passes through the
 * same escape. A value that is too long is cut, visibly. A field that does not fit the line is
 * left out whole and the line says so, because half a key=value reads as a different value.
 */
#include "shmcache/log/line.h"

#include "shmcache/log/escape.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define CUT " ..."

enum { LINE_TAIL = sizeof(CUT "\n") }; /* kept free for line_end(), with its NUL */

static const struct {
	const char *name;
	int priority; /* of syslog, as sd-daemon's prefixes give it */
} levels[] = {
	[LOG_LEVEL_ERROR] = {"error", 3},
	[LOG_LEVEL_WARNING] = {"warning", 4},
	[LOG_LEVEL_INFO] = {"info", 6},
	[LOG_LEVEL_DEBUG] = {"debug", 7},
};

const char *log_level_name(enum log_level level)
{
	return levels[level].name;
}

/* Appends all of it, or nothing from now on. */
__attribute__((format(printf, 2, 3))) static void line_append(struct line *line,
		const char *format, ...)
{
	size_t room = sizeof(line->text) - LINE_TAIL - line->len;
	va_list args;
	int n;

	if (line->is_full)
		return;
	va_start(args, format);
	n = vsnprintf(line->text + line->len, room, format, args);
	va_end(args);
	if (n >= 0 && (size_t)n < room) {
		line->len += (size_t)n;
	} else {
		line->text[line->len] = '\0';
		line->is_full = true;
	}
}

void line_begin(struct line *line, bool prefixed, enum log_level level, const char *event)
{
	line->len = 0;
	line->is_full = false;
	line->text[0] = '\0';
	if (prefixed)
		line_append(line, "<%d>", levels[level].priority);
	line_append(line, "level=%s event=%s", levels[level].name, event);
}

static void add_text(struct line *line, const struct log_field *field)
{
	const char *bytes = field->value.str ? field->value.str : "";
	size_t len = field->len == SIZE_MAX || !field->value.str ? strlen(bytes) : field->len;
	char value[LOG_VALUE_MAX];
	const char *quote;

	/* The quotes of a long value are looked for in the part that is shown. */
	quote = escape_needs_quotes(bytes, len < sizeof(value) ? len : sizeof(value)) ? "\"" : "";
	escape_bytes(value, sizeof(value), bytes, len);
	line_append(line, " %s=%s%s%s", field->key, quote, value, quote);
}

static void add_errno(struct line *line, const struct log_field *field)
{
	int64_t e = field->value.i64;
	const char *name = NULL;

	if (e > -4096 && e < 4096)
		name = strerrorname_np(e < 0 ? (int)-e : (int)e);
	if (name)
		line_append(line, " %s=%s", field->key, name);
	else
		line_append(line, " %s=%" PRId64, field->key, e);
}

void line_add(struct line *line, const struct log_field *field)
{
	if (!field->key)
		return;
	switch (field->type) {
	case LOG_TYPE_STR:
		add_text(line, field);
		break;
	case LOG_TYPE_I64:
		line_append(line, " %s=%" PRId64, field->key, field->value.i64);
		break;
	case LOG_TYPE_U64:
		line_append(line, " %s=%" PRIu64, field->key, field->value.u64);
		break;
	case LOG_TYPE_HEX:
		line_append(line, " %s=0x%" PRIx64, field->key, field->value.u64);
		break;
	case LOG_TYPE_ERRNO:
		add_errno(line, field);
		break;
	}
}

void line_end(struct line *line)
{
	const char *tail = line->is_full ? CUT "\n" : "\n";
	size_t n = strlen(tail);

	memcpy(line->text + line->len, tail, n + 1);
	line->len += n;
}
