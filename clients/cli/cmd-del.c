/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd-del.c: del, exists and prefetch, which ask the same of any number of keys.
 *
 * A key that is not there does not keep the others from being dealt with; the exit status
 * tells of it at the end. A failure does, since the next key would fail the same way.
 */
#include <inttypes.h>
#include <stdio.h>

#include "clients/cli/command.h"
#include "clients/cli/key.h"
#include "clients/cli/options.h"
#include "clients/cli/text.h"

typedef int key_fn(struct cli *cli, const struct key *key);
typedef void key_print_fn(const struct cli *cli, const struct key *key, bool hit);

/*
 * Each key of argv[optind ...] by @fn and, where that says 0 or SHMC_MISS, @print. The
 * arguments are all checked before anything is done.
 */
static enum cli_exit each_key(
	struct cli *cli, int argc, char **argv, const char *doing, key_fn *fn, key_print_fn *print)
{
	enum cli_exit status = CLI_OK, worst = CLI_OK;
	struct key key;

	for (int i = optind; i < argc && !status; i++)
		status = key_parse(cli, argv[i], &key);
	if (!status)
		status = cli_attach(cli);
	for (int i = optind; i < argc && !status; i++) {
		int r;

		(void)key_parse(cli, argv[i], &key);
		r = fn(cli, &key);
		if (r && r != SHMC_MISS)
			return cli_result(cli, r, doing, key.bytes, key.size);
		print(cli, &key, !r);
		if (r)
			worst = CLI_MISS;
	}
	return status ? status : worst;
}

static enum cli_exit each_key_run(struct cli *cli, int argc, char **argv, const char *doing,
	key_fn *fn, key_print_fn *print)
{
	enum cli_exit status;

	if (!options_only_operands(cli, argc, argv, 1, -1, &status))
		return status;
	return each_key(cli, argc, argv, doing, fn, print);
}

static void print_json(const struct key *key, const char *name, bool hit)
{
	struct json_object *object = json_new();

	json_add_bytes(object, "key", key->bytes, key->size);
	json_add_bool(object, name, hit);
	json_print(object);
}

static int del_key(struct cli *cli, const struct key *key)
{
	return shmc_delete(cli->cache, key->bytes, key->size, SHMC_TIMEOUT_DEFAULT);
}

static void del_print(const struct cli *cli, const struct key *key, bool hit)
{
	if (cli->json)
		print_json(key, "deleted", hit);
	else if (!hit)
		cli_result(cli, SHMC_MISS, "delete", key->bytes, key->size);
}

/* Who could not be told may go on to serve it: that is said, and is no failure of the rest. */
static int del_cluster_key(struct cli *cli, const struct key *key)
{
	uint64_t n_told = 0, n_failed = 0;
	int r = shmc_delete_cluster(cli->cache, key->bytes, key->size, &n_told, &n_failed,
		SHMC_TIMEOUT_DEFAULT);

	if (r >= 0 && n_failed)
		cli_say(cli, "%" PRIu64 " of %" PRIu64 " other brokers could not be told", n_failed,
			n_told + n_failed);
	return r;
}

static const struct option del_longs[] = {
	{ "cluster", no_argument, NULL, OPTIONS_OWN },
	{ NULL, 0, NULL, 0 },
};

static enum cli_exit del_run(struct cli *cli, int argc, char **argv)
{
	bool is_cluster = false;
	enum cli_exit status;
	struct options o;
	int c;

	options_begin(&o, cli, argc, argv, "", del_longs, false);
	while ((c = options_next(&o)) >= 0)
		is_cluster = true;
	if (c == OPTIONS_STOP)
		return o.status;
	status = options_operands(&o, 1, -1);
	return status ? status : each_key(cli, argc, argv, "delete",
					   is_cluster ? del_cluster_key : del_key, del_print);
}

const struct command command_del = {
	.name = "del",
	.summary = "delete entries",
	.usage = "KEY... [--cluster]",
	.help = "      --cluster        at all brokers that this one knows, too\n"
		"\n"
		"Exits with 1 if any of them was not there; the others are deleted all the same.\n"
		"Whoever is reading a value keeps it until they are done.\n"
		"\n"
		"Examples:\n"
		"  shmcache del motd src.tar\n"
		"  shmcache keys tmp/ --hex | xargs shmcache del -x\n",
	.run = del_run,
};

/* Waits, since the broker gives up what a process that is gone has asked for. */
static int prefetch_key(struct cli *cli, const struct key *key)
{
	struct shmc_request request = { .operation = SHMC_OP_PREFETCH, .key = key->bytes,
		.key_size = key->size };
	int r = shmc_execute(cli->cache, &request, 1, SHMC_TIMEOUT_DEFAULT);

	if (!r)
		r = request.result;
	if (r == SHMC_MISS && !cli->quiet)
		cli_say(cli, "not fetched: %s", shmc_fetch_miss_name(request.why));
	return r;
}

static void prefetch_print(const struct cli *cli, const struct key *key, bool hit)
{
	if (cli->json)
		print_json(key, "here", hit);
}

static enum cli_exit prefetch_run(struct cli *cli, int argc, char **argv)
{
	return each_key_run(cli, argc, argv, "prefetch", prefetch_key, prefetch_print);
}

const struct command command_prefetch = {
	.name = "prefetch",
	.summary = "have the broker get entries from other brokers",
	.usage = "KEY...",
	.help = "Exits with 1 if any of them is not here then.\n"
		"\n"
		"Examples:\n"
		"  shmcache prefetch chunk/1 chunk/2 && use-them\n",
	.run = prefetch_run,
};

static int exists_key(struct cli *cli, const struct key *key)
{
	return shmc_exists(cli->cache, key->bytes, key->size);
}

static void exists_print(const struct cli *cli, const struct key *key, bool hit)
{
	if (cli->json) {
		print_json(key, "exists", hit);
	} else if (!cli->quiet) {
		fputs(hit ? "yes " : "no  ", stdout);
		text_print_escaped(stdout, key->bytes, key->size);
		putchar('\n');
	}
}

static enum cli_exit exists_run(struct cli *cli, int argc, char **argv)
{
	return each_key_run(cli, argc, argv, "look up", exists_key, exists_print);
}

const struct command command_exists = {
	.name = "exists",
	.summary = "tell whether entries are there",
	.usage = "KEY...",
	.help = "Prints a line for each, unless --quiet. Exits with 1 if any is not there. Does not\n"
		"count as a use of the entry.\n"
		"\n"
		"Examples:\n"
		"  shmcache exists motd src.tar\n"
		"  shmcache exists -q motd && echo cached\n",
	.run = exists_run,
};
