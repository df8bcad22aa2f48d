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
#include "clients/cli/fetch.h"
#include "clients/cli/key.h"
#include "clients/cli/options.h"
#include "clients/cli/text.h"

/* What is done with each key; what is behind the functions is of one command each. */
struct each {
	const char *doing; /* "delete": of a message */
	int (*fn)(struct cli *cli, struct each *each, const struct key *key);
	void (*print)(const struct cli *cli, const struct each *each, const struct key *key,
		bool hit);
	uint64_t n_told, n_untold; /* of del --cluster, for the key */
	struct shmc_fetch_options fetch; /* of prefetch */
};

/*
 * Each key of argv[optind ...] by @fn and, where that says 0 or SHMC_MISS, @print. The
 * arguments are all checked before anything is done.
 */
static enum cli_exit each_key(struct cli *cli, int argc, char **argv, struct each *each)
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
		r = each->fn(cli, each, &key);
		if (r && r != SHMC_MISS)
			return cli_result(cli, r, each->doing, key.bytes, key.size);
		each->print(cli, each, &key, !r);
		if (r)
			worst = CLI_MISS;
	}
	return status ? status : worst;
}

static struct json_object *to_json(const struct key *key, const char *name, bool hit)
{
	struct json_object *object = json_new();

	json_add_bytes(object, "key", key->bytes, key->size);
	json_add_bool(object, name, hit);
	return object;
}

static int del_key(struct cli *cli, struct each *each, const struct key *key)
{
	(void)each;
	return shmc_delete(cli->cache, key->bytes, key->size, SHMC_TIMEOUT_DEFAULT);
}

static void del_print(
	const struct cli *cli, const struct each *each, const struct key *key, bool hit)
{
	(void)each;
	if (cli->json)
		json_print(to_json(key, "deleted", hit));
	else if (!hit)
		cli_result(cli, SHMC_MISS, "delete", key->bytes, key->size);
}

static int del_cluster_key(struct cli *cli, struct each *each, const struct key *key)
{
	return shmc_delete_cluster(cli->cache, key->bytes, key->size, &each->n_told,
		&each->n_untold, SHMC_TIMEOUT_DEFAULT);
}

/* Who could not be told may go on to serve it: that is said, and is no failure of the rest. */
static void del_cluster_print(
	const struct cli *cli, const struct each *each, const struct key *key, bool hit)
{
	struct json_object *object;

	if (each->n_untold)
		cli_say(cli, "%" PRIu64 " of %" PRIu64 " other brokers could not be told",
			each->n_untold, each->n_told + each->n_untold);
	if (!cli->json) {
		del_print(cli, each, key, hit);
		return;
	}
	object = to_json(key, "deleted", hit);
	json_add_uint(object, "told", each->n_told);
	json_add_uint(object, "untold", each->n_untold);
	json_print(object);
}

static const struct option del_longs[] = {
	{ "cluster", no_argument, NULL, OPTIONS_OWN },
	{ NULL, 0, NULL, 0 },
};

static enum cli_exit del_run(struct cli *cli, int argc, char **argv)
{
	struct each each = { .doing = "delete", .fn = del_key, .print = del_print };
	enum cli_exit status;
	struct options o;
	int c;

	options_begin(&o, cli, argc, argv, "", del_longs, false);
	while ((c = options_next(&o)) >= 0) {
		each.fn = del_cluster_key;
		each.print = del_cluster_print;
	}
	if (c == OPTIONS_STOP)
		return o.status;
	status = options_operands(&o, 1, -1);
	return status ? status : each_key(cli, argc, argv, &each);
}

const struct command command_del = {
	.name = "del",
	.summary = "delete entries",
	.usage = "KEY... [--cluster]",
	.help = "      --cluster        at all brokers that this one knows, too\n"
		"\n"
		"Exits with 1 if any of them was not there; the others are deleted all the same.\n"
		"Whoever is reading a value keeps it until they are done. How many other brokers\n"
		"were told, and how many could not be and may go on to serve it, stands in the\n"
		"members \"told\" and \"untold\" with --json.\n"
		"\n"
		"Examples:\n"
		"  shmcache del motd src.tar\n"
		"  shmcache keys tmp/ --hex | xargs shmcache del -x\n"
		"  shmcache --json del --cluster motd | jq .untold\n",
	.run = del_run,
};

/* Waits, since the broker gives up what a process that is gone has asked for. */
static int prefetch_key(struct cli *cli, struct each *each, const struct key *key)
{
	struct shmc_request request = { .operation = SHMC_OP_PREFETCH, .key = key->bytes,
		.key_size = key->size, .fetch = each->fetch };
	int r = shmc_execute(cli->cache, &request, 1, SHMC_TIMEOUT_DEFAULT);

	if (!r)
		r = request.result;
	if (r == SHMC_MISS)
		fetch_say_miss(cli, key, request.why);
	return r;
}

static void prefetch_print(
	const struct cli *cli, const struct each *each, const struct key *key, bool hit)
{
	(void)each;
	if (cli->json)
		json_print(to_json(key, "here", hit));
}

static const struct option prefetch_longs[] = {
	{ "write-back", required_argument, NULL, OPTIONS_OWN },
	{ NULL, 0, NULL, 0 },
};

static enum cli_exit prefetch_run(struct cli *cli, int argc, char **argv)
{
	struct each each = { .doing = "prefetch", .fn = prefetch_key, .print = prefetch_print };
	enum cli_exit status = CLI_OK;
	struct options o;
	int c;

	options_begin(&o, cli, argc, argv, "", prefetch_longs, false);
	while (!status && (c = options_next(&o)) >= 0)
		status = fetch_parse_policy(cli, optarg, &each.fetch);
	if (status)
		return status;
	if (c == OPTIONS_STOP)
		return o.status;
	status = options_operands(&o, 1, -1);
	return status ? status : each_key(cli, argc, argv, &each);
}

const struct command command_prefetch = {
	.name = "prefetch",
	.summary = "have the broker get entries from other brokers",
	.usage = "KEY... [--write-back POLICY]",
	.help = "      --write-back POLICY  which of them are kept: always, all-found,\n"
		"                       contiguous-prefix, second-hit, free-space or off\n"
		"\n"
		"Exits with 1 if any of them is not here then.\n"
		"\n"
		"Examples:\n"
		"  shmcache prefetch chunk/1 chunk/2 && use-them\n",
	.run = prefetch_run,
};

static int exists_key(struct cli *cli, struct each *each, const struct key *key)
{
	(void)each;
	return shmc_exists(cli->cache, key->bytes, key->size);
}

static void exists_print(
	const struct cli *cli, const struct each *each, const struct key *key, bool hit)
{
	(void)each;
	if (cli->json) {
		json_print(to_json(key, "exists", hit));
	} else if (!cli->quiet) {
		fputs(hit ? "yes " : "no  ", stdout);
		text_print_escaped(stdout, key->bytes, key->size);
		putchar('\n');
	}
}

static enum cli_exit exists_run(struct cli *cli, int argc, char **argv)
{
	struct each each = { .doing = "look up", .fn = exists_key, .print = exists_print };
	enum cli_exit status;

	if (!options_only_operands(cli, argc, argv, 1, -1, &status))
		return status;
	return each_key(cli, argc, argv, &each);
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
