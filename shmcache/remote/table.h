/* SPDX-License-Identifier: Apache-2.0 */
/* table.h: other brokers as lines of a table: of the operator's, and of the page. */
#ifndef SHMCACHE_REMOTE_TABLE_H
#define SHMCACHE_REMOTE_TABLE_H

#include <stdio.h>

#include "ipc/wire.h"
#include "shmcache/remote/remote.h"

/* @n lines of @n holders, as of @now_ms, store_now_ms(). No byte of them stays as it was. */
void remote_table_lines(
	struct wire_peer *lines, const struct remote_health *health, unsigned n, uint64_t now_ms);

/* Write them as ,"peers":[...]. Any bytes in their strings are text. */
void remote_table_write_json(FILE *out, const struct wire_peer *lines, unsigned n);

#endif
