/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd-usage.c: what the cache's memory is used for.
 *
 * A person gets rounded sizes, JSON whole bytes under the names of struct shmc_usage.
 */
#include <inttypes.h>
#include <stdio.h>

#include "clients/cli/command.h"
#include "clients/cli/key.h"
#include "clients/cli/options.h"
#include "clients/cli/units.h"

static void tier_print(const char *name, const struct shmc_tier_usage *tier)
{
	char used[UNITS_TEXT_SIZE], size[UNITS_TEXT_SIZE], largest[UNITS_TEXT_SIZE];

	if (!tier->size) {
		printf("%-9s none\n", name);
		return;
	}
	printf("%-9s %s of %s (%.1f %%), %" PRIu64 " entries, largest free block %s, %" PRIu64
	       " hits\n", name,
		units_size_format(used, tier->used), units_size_format(size, tier->size),
		100.0 * (double)tier->used / (double)tier->size, tier->n_entries,
		units_size_format(largest, tier->largest_free), tier->n_hits);
}

static void size_print(const char *name, uint64_t size, const char *what)
{
	char text[UNITS_TEXT_SIZE];

	printf("%-9s %-10s %s\n", name, units_size_format(text, size), what);
}

static void usage_print(const struct cli *cli, const struct shmc_usage *usage)
{
	char up[UNITS_TEXT_SIZE];

	printf("cache     %s, broker %d, up %s, start %" PRIu64 " on this memory, %" PRIu64
	       " session%s\n",
		cli->name, usage->broker_pid, units_duration_format(up, usage->uptime_ms),
		usage->epoch, usage->n_sessions, usage->n_sessions == 1 ? "" : "s");
	printf("entries   %" PRIu64 "\n", usage->n_entries);
	tier_print("dram", &usage->dram);
	tier_print("cxl", &usage->cxl);
	size_print("index", usage->index_size, "memory behind the shared index");
	size_print("books", usage->books_size, "memory of the broker's own");
	size_print("pinned", usage->pinned_size, "kept from eviction");
	size_print("reserved", usage->reserved_size, "being filled");
	size_print("limbo", usage->limbo_size, "deleted, still read or not yet collected");
}

static struct json_object *tier_json(const struct shmc_tier_usage *tier)
{
	struct json_object *object = json_new();

	json_add_uint(object, "size", tier->size);
	json_add_uint(object, "used", tier->used);
	json_add_uint(object, "largest_free", tier->largest_free);
	json_add_uint(object, "n_entries", tier->n_entries);
	json_add_uint(object, "n_hits", tier->n_hits);
	return object;
}

static void usage_print_json(const struct cli *cli, const struct shmc_usage *usage)
{
	struct json_object *object = json_new();

	json_add_string(object, "name", cli->name);
	json_add_object(object, "dram", tier_json(&usage->dram));
	json_add_object(object, "cxl", tier_json(&usage->cxl));
	json_add_uint(object, "n_entries", usage->n_entries);
	json_add_uint(object, "index_size", usage->index_size);
	json_add_uint(object, "books_size", usage->books_size);
	json_add_uint(object, "pinned_size", usage->pinned_size);
	json_add_uint(object, "reserved_size", usage->reserved_size);
	json_add_uint(object, "limbo_size", usage->limbo_size);
	json_add_uint(object, "n_sessions", usage->n_sessions);
	json_add_uint(object, "uptime_ms", usage->uptime_ms);
	json_add_uint(object, "epoch", usage->epoch);
	json_add_uint(object, "broker_pid", (uint64_t)usage->broker_pid);
	json_print(object);
}

static enum cli_exit usage_run(struct cli *cli, int argc, char **argv)
{
	struct shmc_usage usage;
	enum cli_exit status;
	int r;

	if (!options_only_operands(cli, argc, argv, 0, 0, &status))
		return status;
	status = cli_attach(cli);
	if (status)
		return status;
	r = shmc_usage(cli->cache, &usage);
	if (r)
		return cli_result(cli, r, "read the usage", NULL, 0);
	if (cli->json)
		usage_print_json(cli, &usage);
	else
		usage_print(cli, &usage);
	return CLI_OK;
}

const struct command command_usage = {
	.name = "usage",
	.summary = "show what the cache's memory is used for",
	.usage = "",
	.help = "Examples:\n"
		"  shmcache usage\n"
		"  shmcache usage --json | jq .dram.used\n",
	.run = usage_run,
};
