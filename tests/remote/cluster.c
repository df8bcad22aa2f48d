/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Brokers on hosts of the test's own.
 *
 * A broker is started by a thread that is on its host, and stays there. Clients reach it from
 * anywhere: a socket in the file system and shared memory are no matter of the network. So one test
 * program is the client of all brokers, and what lies between them is only theirs.
 *
 * What a broker knows of its peers is read in its log: that is what an operator sees, too.
 */
#include "tests/remote/cluster.h"

#include <dirent.h>
#include <errno.h>
#include <libgen.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/support/value.h"

uint64_t cluster_now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void usage(const char *program)
{
	fprintf(stderr, "usage: %s [--security none|tls|bound]\n", program);
	exit(1);
}

void cluster_init(struct cluster *c, unsigned n_hosts, int argc, char **argv)
{
	char why[128];

	memset(c, 0, sizeof(*c));
	if (argc > 1 && (argc != 3 || strcmp(argv[1], "--security") || secure_parse(argv[2], &c->mode)))
		usage(argv[0]);
	if (net_open(&c->net, n_hosts, why, sizeof(why))) {
		fprintf(stderr, "no network of our own: %s\n", why);
		exit(EXIT_SKIP);
	}
	if (cleanup_guard() || (c->mode && secure_make(&c->files, n_hosts)))
		exit(1);
}

/* --- links ------------------------------------------------------------------------------------ */

static unsigned count_lines(struct cluster *c, unsigned i, unsigned j, const char *event)
{
	char path[PATH_MAX], line[2048], peer[16];
	unsigned n = 0;
	FILE *file;

	snprintf(peer, sizeof(peer), "peer=n%u", j);
	file = fopen(scratch_file(&c->broker[i].run.scratch, "broker.log", path), "re");
	while (file && fgets(line, sizeof(line), file))
		n += strstr(line, event) && strstr(line, peer);
	if (file)
		fclose(file);
	return n;
}

unsigned cluster_n_ups(struct cluster *c, unsigned i, unsigned j)
{
	return count_lines(c, i, j, "peer-up ");
}

unsigned cluster_n_downs(struct cluster *c, unsigned i, unsigned j)
{
	return count_lines(c, i, j, "peer-down ");
}

struct waited {
	struct cluster *c;
	unsigned i, j, n;
};

static bool is_up(void *context)
{
	struct waited *w = context;

	return cluster_n_ups(w->c, w->i, w->j) >= w->n;
}

static bool is_down(void *context)
{
	struct waited *w = context;

	return cluster_n_downs(w->c, w->i, w->j) >= w->n;
}

void cluster_wait_up(struct cluster *c, unsigned i, unsigned j, unsigned n)
{
	if (!system_wait(is_up, &(struct waited){c, i, j, n}))
		fail_msg("broker %u has no link to %u", i, j);
}

void cluster_wait_down(struct cluster *c, unsigned i, unsigned j, unsigned n)
{
	if (!system_wait(is_down, &(struct waited){c, i, j, n}))
		fail_msg("broker %u does not know that %u is lost", i, j);
}

/* --- starting --------------------------------------------------------------------------------- */

static unsigned count_threads(pid_t pid)
{
	char path[64];
	unsigned n = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	dir = opendir(path);
	assert_non_null(dir);
	for (struct dirent *e; (e = readdir(dir));)
		n += e->d_name[0] != '.';
	closedir(dir);
	return n;
}

/* A session as each begins: with one lane, that of this thread. */
static void attach(struct cluster *c, unsigned i)
{
	/*
	 * A lane, too, that a thread opens by its first get may take as long as a busy machine
	 * likes.
	 */
	const struct shmc_attach_options patient = {.timeout_ms = 60000};

	shmc_detach(c->cache[i]);
	c->cache[i] = NULL;
	assert_int_equal(shmc_attach(&c->cache[i], c->broker[i].run.name, &patient), 0);
	assert_int_equal(shmc_ping(c->cache[i], 60000), 0);
}

static void start_one(struct cluster *c, unsigned i, const char *dram_size, const char *config,
	const char *members)
{
	char text[SECURE_CONFIG_SIZE + 4096], known[SECURE_CONFIG_SIZE], name[16];
	char address[NET_ADDRESS_SIZE];

	snprintf(name, sizeof(name), "n%u", i);
	secure_config(known, c->mode, &c->files, name);
	snprintf(text, sizeof(text),
		"[broker]\npoll = sleep\n[remote]\nname = %s\nlisten = %s:%u\n%s = %s\n%s%s",
		name, net_address(i, address), CLUSTER_PORT, c->etcd ? "etcd" : "members",
		c->etcd ? c->etcd : members, known, config);
	assert_int_equal(net_enter(&c->net, i), 0);
	system_start(&c->broker[i], dram_size, false, text);
	assert_int_equal(net_leave(&c->net), 0);
	attach(c, i);
}

void cluster_start(struct cluster *c, unsigned n, const char *dram_size, const char *config,
	const char *more)
{
	char members[512] = "", address[NET_ADDRESS_SIZE];
	size_t size = 0;
	unsigned i, j;

	c->n = n;
	for (i = 0; i < n; i++)
		size += (size_t)snprintf(members + size, sizeof(members) - size, "%sn%u=%s:%u",
			i ? ", " : "", i, net_address(i, address), CLUSTER_PORT);
	if (more)
		snprintf(members + size, sizeof(members) - size, ", %s", more);
	for (i = 0; i < n; i++)
		start_one(c, i, dram_size, config, members);
	for (i = 0; i < n; i++)
		for (j = 0; j < n; j++)
			if (i != j)
				cluster_wait_up(c, i, j, 1);
	/* What a broker has for etcd comes and goes in its first moments. */
	if (c->etcd)
		sleep(2);
	for (i = 0; i < n; i++) {
		c->n_fds[i] = system_fd_count_at_rest(c->broker[i].run.proc.pid);
		c->n_threads[i] = count_threads(c->broker[i].run.proc.pid);
	}
}

void cluster_kill(struct cluster *c, unsigned i)
{
	system_kill(&c->broker[i]);
}

void cluster_again(struct cluster *c, unsigned i)
{
	unsigned j, mine[CLUSTER_MAX], theirs[CLUSTER_MAX];

	for (j = 0; j < c->n; j++) {
		mine[j] = cluster_n_ups(c, i, j);
		theirs[j] = cluster_n_ups(c, j, i);
	}
	assert_int_equal(net_enter(&c->net, i), 0);
	system_again(&c->broker[i]);
	assert_int_equal(net_leave(&c->net), 0);
	attach(c, i);
	for (j = 0; j < c->n; j++) {
		if (j == i)
			continue;
		cluster_wait_up(c, i, j, mine[j] + 1);
		cluster_wait_up(c, j, i, theirs[j] + 1);
	}
}

/* --- what is left ----------------------------------------------------------------------------- */

void cluster_inspect(struct cluster *c, unsigned i, const char *view, const char *argument,
	struct system_output *o)
{
	const char *const args[] = {
		view, argument ? argument : c->broker[i].run.name, argument ? c->broker[i].run.name : NULL,
		NULL};
	char program[PATH_MAX], *dir;

	broker_run_program(program);
	dir = dirname(dirname(program));
	memmove(program, dir, strlen(dir) + 1);
	strncat(program, "/clients/inspect/shmcache-inspect", sizeof(program) - strlen(program) - 1);
	system_run_program(o, program, args);
}

static void inspect(struct cluster *c, unsigned i)
{
	static struct system_output o;

	cluster_inspect(c, i, "--check", NULL, &o);
	if (o.status)
		fail_msg("broker %u: %s", i, o.text);
}

struct at_rest {
	struct cluster *c;
	unsigned i;
};

static bool has_its_threads(void *context)
{
	struct at_rest *a = context;

	return count_threads(a->c->broker[a->i].run.proc.pid) == a->c->n_threads[a->i];
}

/* So many a broker may have, and need not have all the time. */
#define ETCD_CONNECTIONS 2

static bool has_its_descriptors(void *context)
{
	struct at_rest *a = context;
	unsigned n = system_fd_count_at_rest(a->c->broker[a->i].run.proc.pid);
	unsigned slack = a->c->etcd ? ETCD_CONNECTIONS : 0;

	return n + slack >= a->c->n_fds[a->i] && n <= a->c->n_fds[a->i] + slack;
}

void cluster_check(struct cluster *c)
{
	const struct whole_expect expect = {.n_sessions = 1};
	char why[256];
	unsigned i;

	for (i = 0; i < c->n; i++) {
		struct at_rest a = {c, i};

		/* Lanes that threads of ours had are no leak of the broker's. */
		attach(c, i);
		if (whole_wait(c->cache[i], &expect, 60000, why, sizeof(why)))
			fail_msg("broker %u is not whole: %s", i, why);
		if (!system_wait(has_its_threads, &a))
			fail_msg("broker %u has other threads than it began with", i);
		if (!system_wait(has_its_descriptors, &a))
			fail_msg("broker %u has %u descriptors, and had %u", i,
				system_fd_count_at_rest(c->broker[i].run.proc.pid), c->n_fds[i]);
		inspect(c, i);
		system_assert_alive(&c->broker[i]);
	}
}

void cluster_stop(struct cluster *c)
{
	unsigned i;

	if (c->n)
		cluster_check(c);
	for (i = 0; i < c->n; i++) {
		shmc_detach(c->cache[i]);
		c->cache[i] = NULL;
	}
	for (i = 0; i < c->n; i++)
		system_stop(&c->broker[i]);
	c->n = 0;
}

/* --- values ----------------------------------------------------------------------------------- */

void cluster_put(struct cluster *c, unsigned i, uint64_t key, uint64_t version, size_t size)
{
	struct shmc_reservation block;
	char text[VALUE_KEY_MAX];
	size_t key_size = value_key('v', key, text);

	int r = shmc_reserve(c->cache[i], text, key_size, size, NULL, &block, 60000);

	if (r)
		fail_msg("reserve at broker %u: %s", i, shmc_strerror(r));
	value_make(block.data, size, key, version);
	r = shmc_commit(c->cache[i], &block, 60000);
	if (r)
		fail_msg("commit at broker %u: %s", i, shmc_strerror(r));
}

static uint64_t look_at(struct shmc *cache, struct shmc_view *view, uint64_t key)
{
	uint64_t version;

	if (!value_is(view->data, view->size, key, &version))
		fail_msg("key %llu has bytes that nobody put", (unsigned long long)key);
	shmc_release(cache, view);
	return version;
}

uint64_t cluster_get(struct cluster *c, unsigned i, uint64_t key)
{
	char text[VALUE_KEY_MAX];
	size_t key_size = value_key('v', key, text);
	struct shmc_view view;
	int r = shmc_get(c->cache[i], text, key_size, &view);

	if (r == SHMC_MISS)
		return 0;
	assert_int_equal(r, 0);
	return look_at(c->cache[i], &view, key);
}

uint64_t cluster_fetch(struct cluster *c, unsigned i, uint64_t key, unsigned deadline_ms, unsigned *why)
{
	const struct shmc_fetch_options options = {.deadline_ms = deadline_ms};
	char text[VALUE_KEY_MAX];
	size_t key_size = value_key('v', key, text);
	struct shmc_view view;
	int r = shmc_fetch(c->cache[i], text, key_size, &options, &view, why, 60000);

	if (r == SHMC_MISS)
		return 0;
	assert_int_equal(r, 0);
	return look_at(c->cache[i], &view, key);
}

bool cluster_delete(struct cluster *c, unsigned i, uint64_t key)
{
	char text[VALUE_KEY_MAX];
	int r = shmc_delete(c->cache[i], text, value_key('v', key, text), 60000);

	assert_true(r == 0 || r == SHMC_MISS);
	return r == 0;
}
