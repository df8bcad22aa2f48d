/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memcached, over a Unix socket.
 *
 * One worker thread, since one connection is served by one, and more memory than the keys
 * need, so that it never evicts. The text protocol's set is one message each way; the
 * binary one is no smaller and on its way out. "-u" is demanded of root and ignored
 * otherwise.
 */
#include "bench/rival.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

int rival_memcached_open(struct rival_server *server)
{
	char socket[PATH_MAX];
	const char *const argv[] = {
		"memcached", "-s", socket, "-m", "512", "-t", "1", "-u", "root", NULL};

	return rival_server_open(server, argv, "memcached.sock", socket);
}

void rival_memcached_put(void *context, size_t first, size_t n)
{
	struct load *load = context;
	const struct keys *keys = load->keys;
	size_t i, size, at = load_position(load, first);
	char request[256], answer[8];

	for (i = at; i < at + n; i++) {
		size = (size_t)sprintf(request, "set %.*s 0 0 %d\r\n", (int)keys->size,
			keys_at(keys, i), KEYS_VALUE_SIZE);
		keys_value_fill(
			request + size, KEYS_VALUE_SIZE, keys->id[i], load->version);
		memcpy(request + size + KEYS_VALUE_SIZE, "\r\n", 2);
		if (rival_server_ask(load->store, request, size + KEYS_VALUE_SIZE + 2,
			    answer, sizeof(answer)) ||
			memcmp(answer, "STORED\r\n", 8))
			load->n_wrong++;
	}
}

int rival_memcached_check(struct rival_server *server, const struct keys *keys,
	size_t position, uint64_t version)
{
	char request[128], head[128], answer[256];
	size_t size, head_size;

	size = (size_t)sprintf(
		request, "get %.*s\r\n", (int)keys->size, keys_at(keys, position));
	head_size = (size_t)sprintf(head, "VALUE %.*s 0 %d\r\n", (int)keys->size,
		keys_at(keys, position), KEYS_VALUE_SIZE);
	if (rival_server_ask(server, request, size, answer,
		    head_size + KEYS_VALUE_SIZE + strlen("\r\nEND\r\n")) ||
		memcmp(answer, head, head_size))
		return -EBADMSG;
	return keys_value_check(
		answer + head_size, KEYS_VALUE_SIZE, keys->id[position], version);
}
