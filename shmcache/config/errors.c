/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Complaints. Each is a whole sentence that stands alone, because it may end up in a log, in a
 * mail, or under a unit that failed to start: where, what was given, what is wrong, what to do.
 * All that is wrong with a file is told at once, in the order of its lines, and no more of it
 * than a person would read. What was given is shown escaped, since it may be anything.
 */
#include "shmcache/config/impl.h"

#include "shmcache/log/escape.h"

#include <stdarg.h>
#include <string.h>

enum {
	SHOWN_MAX = 96,	      /* of a name or a value, escaped */
	SHOWN_FILE_MAX = 256, /* of a file's name */
};

/* A free place for a complaint, behind those of earlier places; NULL if there is none. */
static struct config_error *make_room(struct config_errors *errs, unsigned set_at)
{
	unsigned i = errs->n;

	if (i == CONFIG_ERRORS_MAX) {
		errs->n_more++;
		return NULL;
	}
	errs->n++;
	for (; i > 0 && errs->at[i - 1].line > set_at; i--)
		errs->at[i] = errs->at[i - 1];
	errs->at[i].line = set_at;
	return &errs->at[i];
}

static void print_place(char *text, size_t size, const char *file, unsigned set_at)
{
	char shown[SHOWN_FILE_MAX];

	if (set_at >= CONFIG_SET_BY_OPTION) {
		snprintf(text, size, "option -o");
		return;
	}
	escape_bytes(shown, sizeof(shown), file, strlen(file));
	if (set_at)
		snprintf(text, size, "%s:%u", shown, set_at);
	else
		snprintf(text, size, "%s", *shown ? shown : "without a file");
}

__attribute__((format(printf, 5, 0))) static void add(struct config_errors *errs,
		const char *file, unsigned set_at, const char *what, const char *format,
		va_list args)
{
	struct config_error *e = make_room(errs, set_at);
	size_t len;

	if (!e)
		return;
	print_place(e->text, sizeof(e->text), file, set_at);
	len = strlen(e->text);
	snprintf(e->text + len, sizeof(e->text) - len, ": %s", what);
	len = strlen(e->text);
	vsnprintf(e->text + len, sizeof(e->text) - len, format, args);
}

void errors_add(struct config_errors *errs, const char *file, unsigned set_at,
		const char *format, ...)
{
	va_list args;

	va_start(args, format);
	add(errs, file, set_at, "", format, args);
	va_end(args);
}

void errors_add_assignment(struct config_errors *errs, const char *file,
		const struct assignment *a, const char *format, ...)
{
	char section[SHOWN_MAX], name[SHOWN_MAX], value[SHOWN_MAX];
	char what[3 * SHOWN_MAX + 16];
	const char *close = *a->section ? "] " : "";
	va_list args;

	escape_bytes(section, sizeof(section), a->section, strlen(a->section));
	escape_bytes(name, sizeof(name), a->name, strlen(a->name));
	escape_bytes(value, sizeof(value), a->value, strlen(a->value));
	snprintf(what, sizeof(what), "%s%s%s%s = %s: ", *close ? "[" : "", section, close, name,
		value);
	va_start(args, format);
	add(errs, file, a->set_at, what, format, args);
	va_end(args);
}

void config_errors_print(const struct config_errors *errs, FILE *out)
{
	for (unsigned i = 0; i < errs->n; i++)
		fprintf(out, "%s\n", errs->at[i].text);
	if (errs->n_more)
		fprintf(out, "and %u more; mend these first\n", errs->n_more);
}
