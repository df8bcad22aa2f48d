/* SPDX-License-Identifier: Apache-2.0 */
/* findings.h: what --check has to say, a line each. */
#ifndef CLIENTS_INSPECT_FINDINGS_H
#define CLIENTS_INSPECT_FINDINGS_H

#include <stdbool.h>
#include <stddef.h>

#define FINDINGS_MAX 1000 /* more of them would tell nothing new */

struct finding {
	const char *code; /* a word for scripts, static */
	char text[232];
};

struct findings {
	struct finding *list;
	size_t n, n_max;
	bool is_cut; /* there were more than FINDINGS_MAX, or no memory for them */
};

/*
 * Add one. Of the same damage the text is the same at each look: it has what identifies the place,
 * and no time. One that is there already is not added again.
 */
__attribute__((format(printf, 3, 4)))
void findings_add(struct findings *f, const char *code, const char *fmt, ...);

/* Keep of @f only what is in @other too. */
void findings_keep_common(struct findings *f, const struct findings *other);

void findings_deinit(struct findings *f);

#endif
