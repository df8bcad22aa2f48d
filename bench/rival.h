/* SPDX-License-Identifier: Apache-2.0 */
/* The stores that shmcache is compared with. */
#ifndef BENCH_RIVAL_H
#define BENCH_RIVAL_H

#include <stddef.h>

#include "bench/load.h"
#include "bench/timing.h"
#include "tests/support/proc.h"
#include "tests/support/scratch.h"

/* --- LMDB: in this process
 * --------------------------------------------------------------------- */

struct rival_lmdb;

/* Open an empty database of up to @map_size bytes in a private directory in /dev/shm. 0,
 * -ENOSYS where the program was built without LMDB, or another negative errno. */
int rival_lmdb_open(struct rival_lmdb **lmdb, size_t map_size);
void rival_lmdb_close(struct rival_lmdb *lmdb);

/* Store all keys in version 0, in their order, which makes the densest tree there is. */
int rival_lmdb_fill(struct rival_lmdb *lmdb, const struct keys *keys, const char *prefix);

/*
 * These are measured; the context is a struct load. Gets by reference within one read
 * transaction that stays open, from rival_lmdb_hold() to rival_lmdb_let_go(); with a
 * transaction renewed for each get; and puts of which each call is one transaction.
 */
int rival_lmdb_hold(struct rival_lmdb *lmdb);
void rival_lmdb_let_go(struct rival_lmdb *lmdb);
timing_fn rival_lmdb_get, rival_lmdb_get_renewed, rival_lmdb_put;

/* --- memcached and redis: processes behind a Unix socket
 * --------------------------------------- */

struct rival_server {
	struct proc proc;
	struct scratch scratch;
	int fd;
};

/* Start one with a connection to it. 0, -ENOENT where it is not installed, or another
 * negative errno. @server must stay where it is. */
int rival_memcached_open(struct rival_server *server);
int rival_redis_open(struct rival_server *server);
void rival_server_close(struct rival_server *server);

/* Measured: a set and its answer, one at a time. The context is a struct load. */
timing_fn rival_memcached_put, rival_redis_put;

/* Read a key back and compare. 0, or -EBADMSG. */
int rival_memcached_check(struct rival_server *server, const struct keys *keys,
	size_t position, uint64_t version);
int rival_redis_check(struct rival_server *server, const struct keys *keys,
	size_t position, uint64_t version);

/* For these two: start a program that listens at @name in the server's directory, whose
 * path is written to @socket, which @argv may name; and send and receive whole messages. */
int rival_server_open(struct rival_server *server, const char *const *argv,
	const char *name, char socket[PATH_MAX]);
int rival_server_ask(struct rival_server *server, const void *request,
	size_t request_size, void *answer, size_t answer_size);

#endif
