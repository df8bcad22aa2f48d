/* SPDX-License-Identifier: Apache-2.0 */
/* Two brokers on two hosts, in network namespaces that a bridge joins. */
#include "bench/remote-pair.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench/keys.h"
#include "bench/machine.h"
#include "bench/must.h"

#define PATIENCE_MS 30000

void remote_pair_net(struct remote_pair *pair, const struct report *rep)
{
	char why[128];

	if (net_open(&pair->net, 2, why, sizeof(why)))
		report_fatal(rep, "no network of our own: %s", why);
	pair->cpu[0] = pair->cpu[1] = PROC_CPU_ANY;
	if (cleanup_guard())
		report_fatal(rep, "no thread for signals");
	if (secure_make(&pair->files, 2))
		report_fatal(rep, "no certificates");
}

void remote_pair_part_cpus(struct remote_pair *pair, const struct report *rep)
{
	machine_choose(rep, pair->cpu);
	if (pair->cpu[0] == pair->cpu[1])
		report_fatal(rep, "there is one CPU, and two hosts");
	machine_pin(rep, pair->cpu[1]);
}

static void start_one(struct remote_pair *pair, const struct report *rep, unsigned i,
	const char *dram_size, enum secure_mode mode, const char *config)
{
	char text[SECURE_CONFIG_SIZE + 2048], known[SECURE_CONFIG_SIZE], name[8];
	char own[NET_ADDRESS_SIZE], a[NET_ADDRESS_SIZE], b[NET_ADDRESS_SIZE];
	struct broker_run_options options = {
		.dram_size = dram_size, .config = text, .cpu = pair->cpu[i]};

	snprintf(name, sizeof(name), "n%u", i);
	secure_config(known, mode, &pair->files, name);
	snprintf(text, sizeof(text),
		"[remote]\nname = %s\nlisten = %s:7100\nmembers = n0=%s:7100, n1=%s:7100\n%s%s", name,
		net_address(i, own), net_address(0, a), net_address(1, b), known, config);
	if (net_enter(&pair->net, i) ||
		broker_run_start(&pair->broker[i], &options, &pair->cache[i], NULL) ||
		net_leave(&pair->net))
		report_fatal(rep, "no broker, no benchmark");
}

/* Until a value that 0 has is fetched at 1: the links stand. */
static void wait_until_linked(struct remote_pair *pair, const struct report *rep)
{
	struct timespec pause = {.tv_nsec = 20000000};
	struct shmc_view view;
	int i;

	bench_must(rep, shmc_put(pair->cache[0], "linked", 6, "x", 1, NULL, PATIENCE_MS), "put");
	for (i = 0; i < PATIENCE_MS / 20; i++) {
		if (!shmc_fetch(pair->cache[1], "linked", 6, NULL, &view, NULL, 1000)) {
			shmc_release(pair->cache[1], &view);
			return;
		}
		nanosleep(&pause, NULL);
	}
	report_fatal(rep, "the brokers don't find each other");
}

void remote_pair_start(struct remote_pair *pair, const struct report *rep, const char *dram_size,
	enum secure_mode mode, const char *config)
{
	start_one(pair, rep, 0, dram_size, mode, config);
	start_one(pair, rep, 1, dram_size, mode, config);
	wait_until_linked(pair, rep);
}

void remote_pair_stop(struct remote_pair *pair, const struct report *rep)
{
	int i, status;

	for (i = 0; i < 2; i++) {
		shmc_detach(pair->cache[i]);
		status = broker_run_stop(&pair->broker[i]);
		if (status)
			report_fatal(rep, "a broker ended with status %#x", status);
	}
}

void remote_pair_fill(struct remote_pair *pair, const struct report *rep, const char *prefix,
	size_t n, size_t size)
{
	struct shmc_reservation block;
	char key[REMOTE_KEY_SIZE + 1];
	size_t i;

	for (i = 0; i < n; i++) {
		keys_write(key, REMOTE_KEY_SIZE, prefix, i);
		bench_must(rep, shmc_reserve(pair->cache[0], key, REMOTE_KEY_SIZE, size, NULL, &block,
					PATIENCE_MS), "reserve");
		keys_value_fill(block.data, size, i, 0);
		bench_must(rep, shmc_commit(pair->cache[0], &block, PATIENCE_MS), "commit");
	}
}

size_t remote_pair_check(struct remote_pair *pair, const struct report *rep, const char *prefix,
	size_t n)
{
	char key[REMOTE_KEY_SIZE + 1];
	struct shmc_view view;
	size_t i, n_there = 0;

	for (i = 0; i < n; i++) {
		keys_write(key, REMOTE_KEY_SIZE, prefix, i);
		if (shmc_get(pair->cache[1], key, REMOTE_KEY_SIZE, &view))
			continue;
		n_there++;
		if (keys_value_check(view.data, view.size, i, 0))
			report_fatal(rep, "value %zu of %s is not what was put", i, prefix);
		shmc_release(pair->cache[1], &view);
	}
	remote_pair_forget(pair, prefix, n);
	return n_there;
}

void remote_pair_forget(struct remote_pair *pair, const char *prefix, size_t n)
{
	char key[REMOTE_KEY_SIZE + 1];
	size_t i;

	for (i = 0; i < n; i++) {
		keys_write(key, REMOTE_KEY_SIZE, prefix, i);
		shmc_delete(pair->cache[1], key, REMOTE_KEY_SIZE, PATIENCE_MS);
	}
}
