/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A private directory that is gone when the program is.
 *
 * Sockets, configuration files, logs and databases of a test live in one, so that tests
 * can run side by side and leave nothing behind. The removal does not follow symbolic
 * links.
 */
#include "tests/support/scratch.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int entry_remove(
	const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	remove(path);
	return 0;
}

static void scratch_undo(struct cleanup *cleanup)
{
	struct scratch *scratch = (struct scratch *)cleanup; /* its first member */

	if (scratch->path[0])
		nftw(scratch->path, entry_remove, 16, FTW_DEPTH | FTW_PHYS);
	scratch->path[0] = '\0';
}

int scratch_make(struct scratch *scratch, const char *parent)
{
	int n;

	if (!parent)
		parent = getenv("TMPDIR");
	if (!parent || !parent[0])
		parent = "/tmp";
	n = snprintf(scratch->path, sizeof(scratch->path), "%s/shmcache-XXXXXX", parent);
	if (n < 0 || (size_t)n >= sizeof(scratch->path))
		return -ENAMETOOLONG;
	if (!mkdtemp(scratch->path))
		return -errno;
	cleanup_add(&scratch->cleanup, scratch_undo);
	return 0;
}

void scratch_remove(struct scratch *scratch)
{
	cleanup_drop(&scratch->cleanup);
	scratch_undo(&scratch->cleanup);
}

char *scratch_file(const struct scratch *scratch, const char *file, char *path)
{
	snprintf(path, PATH_MAX, "%s/%s", scratch->path, file);
	return path;
}
