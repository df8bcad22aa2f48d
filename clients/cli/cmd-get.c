/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd-get.c: write a value to standard output or to a file.
 *
 * As cat does, it writes the bytes and nothing else, to a terminal as well. They go from
 * shared memory to the descriptor directly; the view is held until the last one is out, so
 * a reader at the other end of a pipe that stands still keeps the value's memory in use.
 *
 * An output file is opened when the value has been found, so a miss leaves it alone.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "clients/cli/command.h"
#include "clients/cli/fetch.h"
#include "clients/cli/key.h"
#include "clients/cli/options.h"
#include "clients/cli/transfer.h"

enum { GET_FETCH = OPTIONS_OWN, GET_WRITE_BACK };

struct get {
	const char *file; /* NULL: standard output */
	bool is_fetch;
	struct shmc_fetch_options fetch;
};

static const struct option get_longs[] = {
	{ "output", required_argument, NULL, 'o' },
	{ "fetch", no_argument, NULL, GET_FETCH },
	{ "write-back", required_argument, NULL, GET_WRITE_BACK },
	{ NULL, 0, NULL, 0 },
};

static int get_write(const struct cli *cli, int fd, const struct shmc_view *view)
{
	struct progress progress;
	int r;

	progress_begin(&progress, "writing", view->size, cli->quiet);
	r = transfer_write(fd, view->data, view->size, &progress);
	progress_end(&progress);
	return r;
}

static enum cli_exit get_to_file(
	const struct cli *cli, const char *file, const struct shmc_view *view)
{
	int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666), r;

	if (fd < 0) {
		cli_say(cli, "cannot open '%s': %s", file, strerror(errno));
		return CLI_ERROR;
	}
	r = get_write(cli, fd, view);
	if (close(fd) && !r)
		r = -errno;
	if (r) {
		cli_say(cli, "cannot write '%s': %s", file, strerror(-r));
		return CLI_ERROR;
	}
	return CLI_OK;
}

static enum cli_exit get_to_stdout(const struct cli *cli, const struct shmc_view *view)
{
	int r = get_write(cli, STDOUT_FILENO, view);

	if (r) {
		cli_say(cli, "cannot write the value: %s", strerror(-r));
		return CLI_ERROR;
	}
	return CLI_OK;
}

static void get_print_json(
	const struct key *key, const char *file, const struct shmc_view *view)
{
	struct json_object *object = json_new();

	json_add_bytes(object, "key", key->bytes, key->size);
	json_add_uint(object, "value_size", view->size);
	if (file)
		json_add_bytes(object, "file", file, strlen(file));
	else
		json_add_bytes(object, "value", view->data, view->size);
	json_print(object);
}

static int get_view(
	struct cli *cli, const struct key *key, const struct get *get, struct shmc_view *view)
{
	unsigned why = SHMC_FETCH_NONE;
	int r;

	if (!get->is_fetch)
		return shmc_get(cli->cache, key->bytes, key->size, view);
	r = shmc_fetch(cli->cache, key->bytes, key->size, &get->fetch, view, &why,
		SHMC_TIMEOUT_DEFAULT);
	if (r == SHMC_MISS)
		fetch_say_miss(cli, key, why);
	return r;
}

static enum cli_exit get_value(struct cli *cli, const struct key *key, const struct get *get)
{
	const char *file = get->file;
	struct shmc_view view;
	enum cli_exit status;
	int r = get_view(cli, key, get, &view);

	/* Why it was not fetched was said. */
	if (r == SHMC_MISS && get->is_fetch)
		return CLI_MISS;
	status = cli_result(cli, r, "get", key->bytes, key->size);
	if (status)
		return status;
	if (file)
		status = get_to_file(cli, file, &view);
	else if (!cli->json)
		status = get_to_stdout(cli, &view);
	if (!status && cli->json)
		get_print_json(key, file, &view);
	shmc_release(cli->cache, &view);
	return status;
}

static enum cli_exit get_run(struct cli *cli, int argc, char **argv)
{
	struct get get = { 0 };
	enum cli_exit status = CLI_OK;
	struct options o;
	struct key key;
	int c;

	options_begin(&o, cli, argc, argv, "o:", get_longs, false);
	while (!status && (c = options_next(&o)) >= 0) {
		if (c == 'o')
			get.file = optarg;
		if (c == GET_WRITE_BACK)
			status = fetch_parse_policy(cli, optarg, &get.fetch);
		if (c != 'o')
			get.is_fetch = true;
	}
	if (status)
		return status;
	if (c == OPTIONS_STOP)
		return o.status;
	if (get.file && !strcmp(get.file, "-"))
		get.file = NULL;
	status = options_operands(&o, 1, 1);
	if (!status)
		status = key_parse(cli, argv[optind], &key);
	if (!status)
		status = cli_attach(cli);
	if (!status)
		status = get_value(cli, &key, &get);
	return status;
}

const struct command command_get = {
	.name = "get",
	.summary = "write a value to standard output or to a file",
	.usage = "KEY [-o FILE] [--fetch] [--write-back POLICY]",
	.help = "  -o, --output FILE    write there; a miss leaves the file as it is\n"
		"      --fetch          have the broker get from another one what is not here\n"
		"      --write-back POLICY  and what becomes of it here: always, all-found,\n"
		"                       contiguous-prefix, second-hit, free-space or off\n"
		"\n"
		"With --json the value is a member \"value\" or, if it is no UTF-8, \"value_hex\".\n"
		"\n"
		"Examples:\n"
		"  shmcache get motd\n"
		"  shmcache get src.tar | tar x\n"
		"  shmcache get -x 00ff17 -o chunk.bin\n"
		"  shmcache get -q token || refetch-token\n",
	.run = get_run,
};
