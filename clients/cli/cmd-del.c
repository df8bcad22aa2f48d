/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd-del.c: del and exists, which ask the same of any number of keys.
 *
 * A key that is not there does not keep the others from being dealt with; the exit status
 * tells of it at the end. A failure does, since the next key would fail the same way.
 */
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

static enum cli_exit del_run(struct cli *cli, int argc, char **argv)
{
	return each_key_run(cli, argc, argv, "delete", del_key, del_print);
}

const struct command command_del = {
	.name = "del",
	.summary = "delete entries",
	.usage = "KEY...",
	.help = "Exits with 1 if any of them was not there; the others are deleted all the same.\n"
		"Whoever is reading a value keeps it until they are done.\n"
		"\n"
		"Examples:\n"
		"  shmcache del motd src.tar\n"
		"  shmcache keys tmp/ --hex | xargs shmcache del -x\n",
	.run = del_run,
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
