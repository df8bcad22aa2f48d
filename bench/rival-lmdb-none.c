/* SPDX-License-Identifier: Apache-2.0 */
/* LMDB's place where the program was built without it: every row against it is left out.
 */
#include "bench/rival.h"

#include <errno.h>

int rival_lmdb_open(struct rival_lmdb **lmdb, size_t map_size)
{
	(void)lmdb;
	(void)map_size;
	return -ENOSYS;
}

void rival_lmdb_close(struct rival_lmdb *lmdb)
{
	(void)lmdb;
}

int rival_lmdb_fill(struct rival_lmdb *lmdb, const struct keys *keys, const char *prefix)
{
	(void)lmdb;
	(void)keys;
	(void)prefix;
	return -ENOSYS;
}

int rival_lmdb_hold(struct rival_lmdb *lmdb)
{
	(void)lmdb;
	return -ENOSYS;
}

void rival_lmdb_let_go(struct rival_lmdb *lmdb)
{
	(void)lmdb;
}

static void nothing(void *context, size_t n)
{
	((struct load *)context)->n_wrong += n;
}

void rival_lmdb_get(void *context, size_t first, size_t n)
{
	(void)first;
	nothing(context, n);
}

void rival_lmdb_get_renewed(void *context, size_t first, size_t n)
{
	(void)first;
	nothing(context, n);
}

void rival_lmdb_put(void *context, size_t first, size_t n)
{
	(void)first;
	nothing(context, n);
}
