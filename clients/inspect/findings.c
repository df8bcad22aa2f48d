/* SPDX-License-Identifier: Apache-2.0 */
/* findings.c: what --check has to say, a line each. */
#include "clients/inspect/findings.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_in(const struct findings *f, const struct finding *finding)
{
	size_t i;

	for (i = 0; i < f->n; i++)
		if (!strcmp(f->list[i].code, finding->code) &&
			!strcmp(f->list[i].text, finding->text))
			return true;
	return false;
}

void findings_add(struct findings *f, const char *code, const char *fmt, ...)
{
	size_t n = f->n_max ? f->n_max * 2 : 16;
	struct finding finding = {.code = code}, *more;
	va_list ap;

	/* Damage can be everywhere: what is not kept is to cost nothing. */
	if (f->is_cut)
		return;
	va_start(ap, fmt);
	vsnprintf(finding.text, sizeof(finding.text), fmt, ap);
	va_end(ap);
	if (is_in(f, &finding))
		return;
	if (f->n == FINDINGS_MAX) {
		f->is_cut = true;
		return;
	}
	if (f->n == f->n_max) {
		more = realloc(f->list, n * sizeof(*more));
		if (!more) {
			f->is_cut = true;
			return;
		}
		f->list = more;
		f->n_max = n;
	}
	f->list[f->n++] = finding;
}

void findings_keep_common(struct findings *f, const struct findings *other)
{
	size_t i, n = 0;

	for (i = 0; i < f->n; i++)
		if (is_in(other, &f->list[i]))
			f->list[n++] = f->list[i];
	f->n = n;
}

void findings_deinit(struct findings *f)
{
	free(f->list);
	*f = (struct findings){0};
}
