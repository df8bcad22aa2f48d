/* SPDX-License-Identifier: Apache-2.0 */
/* A private directory that is gone when the program is. */
#ifndef SUPPORT_SCRATCH_H
#define SUPPORT_SCRATCH_H

#include <limits.h>
#include <stddef.h>

#include "tests/support/cleanup.h"

struct scratch {
	struct cleanup cleanup;
	char path[PATH_MAX / 2];
};

/* Make an empty directory of mode 0700 below @parent (NULL: $TMPDIR, or else /tmp). It is
 * removed, with all in it, by scratch_remove() or at exit. 0 or a negative errno. */
int scratch_make(struct scratch *scratch, const char *parent);
void scratch_remove(struct scratch *scratch);

/* The path of @file in it, into @path of PATH_MAX bytes; returns @path. */
char *scratch_file(const struct scratch *scratch, const char *file, char *path);

#endif
