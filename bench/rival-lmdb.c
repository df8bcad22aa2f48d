/* SPDX-License-Identifier: Apache-2.0 */
/*
 * LMDB, set up to be as fast as it can be.
 *
 * LMDB is the rival to beat on reads: it too maps its data and hands out pointers, so a
 *get costs no system call and no copy. Everything that it does for durability or for
 *rivals of its own is turned off, since a cache needs none of it:
 *
 *	in /dev/shm		no file system below that could write back
 *	MDB_NOSYNC		a commit is not flushed
 *	MDB_NOMETASYNC		nor the meta page
 *	MDB_WRITEMAP		pages are changed in the map, not in a copy that is
 *written later MDB_NOMEMINIT		new pages are not zeroed MDB_NORDAHEAD
 *no advice to the kernel on a map that is memory already MDB_NOTLS		a read
 *transaction is the caller's, not the thread's
 *
 * MDB_NOLOCK would make a renewed transaction cheaper, but then no other process may
 *write while this one reads, and a cache that nobody can write to is none.
 *
 * A get by reference needs a read transaction around it. Opened once for the whole run it
 *costs nothing, which is LMDB's best case and what the goals are measured against; as the
 *pages of a snapshot are not reused, no long-lived reader could work like this. One that
 *renews the transaction for each get, as our view of each get is independent, is measured
 *beside it.
 *
 * The database is filled in key order with MDB_APPEND: full pages, the shallowest tree.
 */
#include "bench/rival.h"

#include <errno.h>
#include <lmdb.h>
#include <stdlib.h>

#define FILL_BATCH 10000

struct rival_lmdb {
	struct scratch scratch;
	MDB_env *env;
	MDB_dbi dbi;
	MDB_txn *txn; /* of the reader: open between hold and let_go, else reset */
};

/* LMDB's own errors are negative and below all errnos, system errors are positive. */
static int lmdb_error(int r)
{
	return r > 0 ? -r : r ? -EIO : 0;
}

static int database_open(struct rival_lmdb *lmdb)
{
	MDB_txn *txn;
	int r;

	r = mdb_txn_begin(lmdb->env, NULL, 0, &txn);
	if (r)
		return r;
	r = mdb_dbi_open(txn, NULL, 0, &lmdb->dbi);
	if (r) {
		mdb_txn_abort(txn);
		return r;
	}
	return mdb_txn_commit(txn);
}

int rival_lmdb_open(struct rival_lmdb **out, size_t map_size)
{
	struct rival_lmdb *lmdb = calloc(1, sizeof(*lmdb));
	int r;

	if (!lmdb)
		return -ENOMEM;
	r = scratch_make(&lmdb->scratch, "/dev/shm");
	if (!r)
		r = lmdb_error(mdb_env_create(&lmdb->env));
	if (!r)
		r = lmdb_error(mdb_env_set_mapsize(lmdb->env, map_size));
	if (!r)
		r = lmdb_error(mdb_env_open(lmdb->env, lmdb->scratch.path,
			MDB_NOSYNC | MDB_NOMETASYNC | MDB_WRITEMAP | MDB_NOMEMINIT |
				MDB_NORDAHEAD | MDB_NOTLS,
			0600));
	if (!r)
		r = lmdb_error(database_open(lmdb));
	if (!r)
		r = lmdb_error(mdb_txn_begin(lmdb->env, NULL, MDB_RDONLY, &lmdb->txn));
	if (r) {
		rival_lmdb_close(lmdb);
		return r;
	}
	mdb_txn_reset(lmdb->txn);
	*out = lmdb;
	return 0;
}

void rival_lmdb_close(struct rival_lmdb *lmdb)
{
	if (!lmdb)
		return;
	if (lmdb->txn)
		mdb_txn_abort(lmdb->txn);
	if (lmdb->env)
		mdb_env_close(lmdb->env);
	scratch_remove(&lmdb->scratch);
	free(lmdb);
}

static int entry_put(struct rival_lmdb *lmdb, MDB_txn *txn, const char *key,
	size_t key_size, uint64_t id, uint64_t version, unsigned flags)
{
	MDB_val mdb_key = {.mv_size = key_size, .mv_data = (void *)key};
	MDB_val value = {.mv_size = KEYS_VALUE_SIZE};
	int r;

	r = mdb_put(txn, lmdb->dbi, &mdb_key, &value, flags | MDB_RESERVE);
	if (!r)
		keys_value_fill(value.mv_data, KEYS_VALUE_SIZE, id, version);
	return r;
}

int rival_lmdb_fill(struct rival_lmdb *lmdb, const struct keys *keys, const char *prefix)
{
	size_t id, end = 0;
	char key[64];
	MDB_txn *txn;
	int r = 0;

	for (id = 0; !r && id < keys->n;) {
		r = mdb_txn_begin(lmdb->env, NULL, 0, &txn);
		if (r)
			break;
		end = end + FILL_BATCH < keys->n ? end + FILL_BATCH : keys->n;
		for (; !r && id < end; id++) {
			keys_write(key, keys->size, prefix, id);
			r = entry_put(lmdb, txn, key, keys->size, id, 0, MDB_APPEND);
		}
		if (r)
			mdb_txn_abort(txn);
		else
			r = mdb_txn_commit(txn);
	}
	return lmdb_error(r);
}

int rival_lmdb_hold(struct rival_lmdb *lmdb)
{
	return lmdb_error(mdb_txn_renew(lmdb->txn));
}

void rival_lmdb_let_go(struct rival_lmdb *lmdb)
{
	mdb_txn_reset(lmdb->txn);
}

static inline void entry_get(struct load *load, struct rival_lmdb *lmdb, size_t position)
{
	MDB_val key = {load->keys->size, (void *)keys_at(load->keys, position)};
	MDB_val value;

	if (mdb_get(lmdb->txn, lmdb->dbi, &key, &value))
		load->n_wrong++;
	else
		load->sum += keys_word_read(value.mv_data);
}

void rival_lmdb_get(void *context, size_t first, size_t n)
{
	struct load *load = context;
	size_t i, at = load_position(load, first);

	for (i = 0; i < n; i++)
		entry_get(load, load->store, at + i);
}

void rival_lmdb_get_renewed(void *context, size_t first, size_t n)
{
	struct load *load = context;
	struct rival_lmdb *lmdb = load->store;
	size_t i, at = load_position(load, first);

	for (i = 0; i < n; i++) {
		if (mdb_txn_renew(lmdb->txn)) {
			load->n_wrong++;
			continue;
		}
		entry_get(load, lmdb, at + i);
		mdb_txn_reset(lmdb->txn);
	}
}

void rival_lmdb_put(void *context, size_t first, size_t n)
{
	struct load *load = context;
	struct rival_lmdb *lmdb = load->store;
	size_t i, at = load_position(load, first);
	MDB_txn *txn;

	if (mdb_txn_begin(lmdb->env, NULL, 0, &txn)) {
		load->n_wrong++;
		return;
	}
	for (i = at; i < at + n; i++)
		load->n_wrong += !!entry_put(lmdb, txn, keys_at(load->keys, i),
			load->keys->size, load->keys->id[i], load->version, 0);
	load->n_wrong += !!mdb_txn_commit(txn);
}
