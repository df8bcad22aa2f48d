/* SPDX-License-Identifier: Apache-2.0 */
/* etcd-nodes.c: see etcd-nodes.h. */
#include "tests/shmcache/remote/peers/etcd-nodes.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "tests/support/cleanup.h"

struct etcd_server server;
struct node node[N_NODES];
unsigned settle_ms = 60000, entries_max;
bool has_failed;

void server_start(const char *data)
{
	assert_int_equal(etcd_server_start(&server, data), 0);
}

long ask(const char *path, const char *body, const char *token)
{
	return etcd_server_ask(&server, path, body, token);
}

/* --- nodes ------------------------------------------------------------------------------------ */

static void on_view(void *context, const struct member *members, unsigned n)
{
	struct node *at = context;

	assert_in_range(n, 0, 8);
	memcpy(at->view, members, n * sizeof(*members));
	at->n = n;
	at->n_views++;
}

static void on_settings(void *context, const struct etcd_setting *settings, unsigned n)
{
	struct node *at = context;

	assert_in_range(n, 0, 8);
	memcpy(at->setting, settings, n * sizeof(*settings));
	at->n_settings = n;
	at->n_told++;
}

static void on_note(void *context, enum etcd_note note, const char *text)
{
	struct node *at = context;

	at->noted[note]++;
	if (note == ETCD_REFUSED)
		snprintf(at->refused, sizeof(at->refused), "%s", text);
}

void node_start_as(unsigned i, const char *user, const char *password, const char *endpoints)
{
	struct etcd_options options = {.endpoints = endpoints, .prefix = "/shmcache",
		.cluster = "test", .user = user, .password = password, .epoch = 100 + i,
		.ttl_s = TTL_S, .settle_ms = settle_ms, .entries_max = entries_max,
		.view = on_view, .settings = on_settings, .note = on_note, .context = &node[i]};
	char name[8], endpoint[32], why[128];

	memset(&node[i], 0, sizeof(node[i]));
	snprintf(name, sizeof(name), "n%u", i);
	snprintf(endpoint, sizeof(endpoint), "127.0.0.1:%u", 7000 + i);
	options.self = name;
	options.endpoint = endpoint;
	assert_int_equal(etcd_open(&node[i].e, &options, why, sizeof(why)), 0);
}

void node_start(unsigned i)
{
	node_start_as(i, NULL, NULL, server.url);
}

void node_stop(unsigned i)
{
	etcd_close(node[i].e);
	node[i].e = NULL;
}

void work(int ms)
{
	struct pollfd fds[N_NODES];
	unsigned i;

	for (i = 0; i < N_NODES; i++)
		fds[i] = (struct pollfd){.fd = node[i].e ? etcd_fd(node[i].e) : -1, .events = POLLIN};
	(void)poll(fds, N_NODES, ms);
	for (i = 0; i < N_NODES; i++)
		if (fds[i].revents)
			etcd_run(node[i].e);
}

bool sees(unsigned i, unsigned other)
{
	char name[8];
	unsigned j;

	snprintf(name, sizeof(name), "n%u", other);
	for (j = 0; j < node[i].n; j++)
		if (!strcmp(node[i].view[j].name, name))
			return node[i].view[j].epoch == 100 + other;
	return false;
}

bool agree(void)
{
	unsigned i, j;

	for (i = 0; i < N_NODES; i++)
		for (j = 0; node[i].e && j < N_NODES; j++)
			if (sees(i, j) != (node[j].e != NULL))
				return false;
	return true;
}

void work_for(unsigned ms)
{
	uint64_t until_ms = post_now_ms() + ms;

	while (post_now_ms() < until_ms)
		work(50);
}

struct etcd_stats stats_of(unsigned i)
{
	struct etcd_stats stats;

	etcd_stats(node[i].e, &stats);
	return stats;
}

void server_dies(void)
{
	unsigned i;

	etcd_server_kill(&server);
	for (i = 0; i < N_NODES; i++)
		WORK_UNTIL(!node[i].e || !stats_of(i).is_connected);
}

int stop_all(void **state)
{
	unsigned i;

	(void)state;
	for (i = 0; i < N_NODES; i++)
		node_stop(i);
	/* A test that failed may have left it dead. */
	if (!proc_running(&server.proc))
		server_start("data");
	return 0;
}

int nodes_skip(void)
{
	if (etcd_is_installed())
		return 0;
	puts("SKIP: there is no etcd; it is in Debian's package etcd-server");
	return 77;
}

int nodes_setup(void **state)
{
	(void)state;
	cleanup_guard();
	return etcd_server_init(&server, "127.0.0.1", NULL) || etcd_server_start(&server, "data");
}

int nodes_teardown(void **state)
{
	(void)state;
	etcd_server_end(&server);
	return 0;
}
