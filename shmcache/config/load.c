/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file. libinih knows the grammar, but it is made for friendly input: it cuts a line that is
 * too long, ends one at a NUL, drops what follows a section's bracket, takes an indented line
 * for a second value of the key before, and reports one bad line per file. All of that would
 * make a broker run with something else than what its operator wrote.
 *
 * So libinih reads through line_next() below, which hands it one line at a time: what libinih
 * would misread becomes a complaint and, to libinih, a blank line. That also gives each
 * assignment its line number, which libinih as Debian builds it does not tell: between two calls
 * of line_next() there is exactly one line. A line that went in as an assignment and did not
 * come out at on_assignment() had no `=`, so that is found without a second grammar here.
 *
 *	file --> line_next() --> libinih --> on_assignment() --> assignment_apply() --> config
 *	              |                             |                    |
 *	              +-----------------------------+--------------------+--> complaints
 */
#include "shmcache/config/impl.h"

#include "shmcache/log/escape.h"

#include <ctype.h>
#include <errno.h>
#include <ini.h>
#include <stdarg.h>
#include <string.h>

struct loader {
	struct config *c;
	struct config_errors *errs;
	struct key_set bad;
	FILE *stream;
	unsigned line;
	size_t n_bytes;
	bool is_failed;	  /* something was complained about */
	bool is_pending;  /* the last line has not come out as an assignment */
	bool has_section; /* a header was seen */
	bool is_skipping; /* but an unknown one: what it holds is not complained about again */
	char section[CONFIG_NAME_MAX];
	char text[CONFIG_LINE_MAX + 2]; /* the line, without its newline; one byte too many fits */
	size_t len;
};

__attribute__((format(printf, 2, 3))) static void complain(struct loader *l,
		const char *format, ...)
{
	char what[CONFIG_ERROR_SIZE];
	va_list args;

	va_start(args, format);
	vsnprintf(what, sizeof(what), format, args);
	va_end(args);
	errors_add(l->errs, l->c->file, l->line, "%s", what);
	l->is_failed = true;
}

/*
 * Reads one line, without the blanks before it and the newline behind it; of a line that is too
 * long only so much that this can be seen. False at the end of the file.
 */
static bool read_line(struct loader *l)
{
	size_t n_read = 0;
	int ch;

	l->len = 0;
	while ((ch = getc(l->stream)) != EOF) {
		n_read++;
		if (++l->n_bytes > CONFIG_FILE_SIZE_MAX || ch == '\n')
			break;
		if (l->len == 0 && isspace(ch))
			continue;
		if (l->len < sizeof(l->text) - 1)
			l->text[l->len++] = (char)ch;
	}
	l->text[l->len] = '\0';
	return n_read > 0;
}

static bool is_comment_or_empty(const char *text)
{
	text += strspn(text, " \t\r\v\f");
	return *text == '\0' || *text == ';' || *text == '#';
}

/* Some editors begin a file with three bytes that nobody sees. */
static void drop_byte_order_mark(struct loader *l)
{
	if (l->line != 1 || strncmp(l->text, "\xef\xbb\xbf", 3))
		return;
	memmove(l->text, l->text + 3, l->len - 2);
	l->len -= 3;
}

/* Takes a header note of; false if libinih should not see it. */
static bool enter_section(struct loader *l)
{
	const char *end = strchr(l->text, ']'), *nearest;
	char shown[64];

	l->has_section = true;
	l->is_skipping = true;
	if (!end || !is_comment_or_empty(end + 1)) {
		complain(l, "this is no section; write [NAME] and nothing behind it");
		return false;
	}
	escape_bytes(shown, sizeof(shown), l->text + 1, (size_t)(end - l->text) - 1);
	if (!key_has_section(shown)) {
		nearest = key_nearest_section(shown);
		complain(l, "[%s]: unknown section; %s%s%s", shown,
			nearest ? "did you mean [" : "remove it, or see shmcached.conf(5)",
			nearest ? nearest : "", nearest ? "]?" : "");
		return false;
	}
	strcpy(l->section, shown);
	l->is_skipping = false;
	return true;
}

/* Whether libinih, with room for max bytes, should see the line. Complains if it can't. */
static bool is_fit(struct loader *l, size_t max)
{
	if (l->text[0] == ';' || l->text[0] == '#')
		return false;
	if (strlen(l->text) != l->len) {
		complain(l, "this line has a NUL byte; is this a text file?");
		return false;
	}
	if (l->len > max) {
		complain(l, "this line is longer than %zu bytes; shorten it", max);
		return false;
	}
	if (l->text[0] == '[')
		return enter_section(l);
	return l->text[0] != '\0' && !l->is_skipping;
}

static void complain_pending(struct loader *l)
{
	char shown[64];

	if (!l->is_pending)
		return;
	l->is_pending = false;
	escape_bytes(shown, sizeof(shown), l->text, l->len);
	complain(l, "%s: this has no value; write KEY = VALUE", shown);
}

/* libinih's reader. room is what it has for a line, its newline and a NUL. */
static char *line_next(char *to, int room, void *arg)
{
	struct loader *l = arg;
	size_t max = room < CONFIG_LINE_MAX + 2 ? (size_t)room - 2 : CONFIG_LINE_MAX;

	complain_pending(l);
	if (!read_line(l))
		return NULL;
	l->line++;
	if (l->n_bytes > CONFIG_FILE_SIZE_MAX) {
		complain(l, "the file is larger than %d bytes, which no configuration is",
			CONFIG_FILE_SIZE_MAX);
		return NULL;
	}
	drop_byte_order_mark(l);
	if (!is_fit(l, max)) {
		strcpy(to, "\n");
		return to;
	}
	l->is_pending = l->text[0] != '[';
	memcpy(to, l->text, l->len);
	strcpy(to + l->len, "\n");
	return to;
}

/* libinih's handler. Its own idea of the section is cut at 50 bytes; ours is not. */
static int on_assignment(void *arg, const char *section, const char *name, const char *value)
{
	struct loader *l = arg;
	struct assignment a = {l->section, name, value, l->line};

	(void)section;
	l->is_pending = false;
	if (!l->has_section) {
		errors_add_assignment(l->errs, l->c->file, &a,
			"stands before any section; put it under one, such as [cache]");
		l->is_failed = true;
	} else if (assignment_apply(&a, l->c, &l->bad, l->errs) < 0) {
		l->is_failed = true;
	}
	return 1;
}

int config_load_stream(struct config *c, FILE *stream, const char *name,
		struct config_errors *errs)
{
	struct loader l = {.c = c, .errs = errs, .stream = stream};

	snprintf(c->file, sizeof(c->file), "%s", name);
	errno = 0;
	if (ini_parse_stream(line_next, &l, on_assignment, &l) == -2) {
		errors_add(errs, c->file, 0, "there is no memory to read it");
		return -ENOMEM;
	}
	if (ferror(stream)) {
		int r = errno ? -errno : -EIO;

		errors_add(errs, c->file, 0, "can't be read: %s", strerror(-r));
		return r;
	}
	if (check_contradictions(c, &l.bad, errs) < 0)
		l.is_failed = true;
	return l.is_failed ? -EINVAL : 0;
}

int config_load(struct config *c, const char *path, struct config_errors *errs)
{
	FILE *stream = fopen(path, "re");
	int r;

	if (!stream) {
		r = -errno;
		errors_add(errs, path, 0, "can't be opened: %s; give another file with -c",
			strerror(-r));
		return r;
	}
	r = config_load_stream(c, stream, path, errs);
	fclose(stream);
	return r;
}
