/* SPDX-License-Identifier: Apache-2.0 */
/*
 * redis, over a Unix socket.
 *
 * No TCP port, no snapshots, no append-only file, no memory limit: nothing that a cache
 * does not need. Requests are written in its protocol as its own clients do: an array of
 * bulk strings.
 */
#include "bench/rival.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

int rival_redis_open(struct rival_server *server)
{
	char socket[PATH_MAX];
	const char *const argv[] = {"redis-server", "--port", "0", "--unixsocket", socket,
		"--save", "", "--appendonly", "no", "--daemonize", "no", "--dir",
		server->scratch.path, "--loglevel", "warning", NULL};

	return rival_server_open(server, argv, "redis.sock", socket);
}

void rival_redis_put(void *context, size_t first, size_t n)
{
	struct load *load = context;
	const struct keys *keys = load->keys;
	size_t i, size, at = load_position(load, first);
	char request[256], answer[5];

	for (i = at; i < at + n; i++) {
		size = (size_t)sprintf(request,
			"*3\r\n$3\r\nSET\r\n$%zu\r\n%.*s\r\n$%d\r\n", keys->size,
			(int)keys->size, keys_at(keys, i), KEYS_VALUE_SIZE);
		keys_value_fill(
			request + size, KEYS_VALUE_SIZE, keys->id[i], load->version);
		memcpy(request + size + KEYS_VALUE_SIZE, "\r\n", 2);
		if (rival_server_ask(load->store, request, size + KEYS_VALUE_SIZE + 2,
			    answer, sizeof(answer)) ||
			memcmp(answer, "+OK\r\n", 5))
			load->n_wrong++;
	}
}

int rival_redis_check(struct rival_server *server, const struct keys *keys,
	size_t position, uint64_t version)
{
	char request[128], head[16], answer[256];
	size_t size, head_size;

	size = (size_t)sprintf(request, "*2\r\n$3\r\nGET\r\n$%zu\r\n%.*s\r\n", keys->size,
		(int)keys->size, keys_at(keys, position));
	head_size = (size_t)sprintf(head, "$%d\r\n", KEYS_VALUE_SIZE);
	if (rival_server_ask(
		    server, request, size, answer, head_size + KEYS_VALUE_SIZE + 2) ||
		memcmp(answer, head, head_size))
		return -EBADMSG;
	return keys_value_check(
		answer + head_size, KEYS_VALUE_SIZE, keys->id[position], version);
}
