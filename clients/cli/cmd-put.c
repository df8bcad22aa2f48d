/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd-put.c: store a value from a file, standard input, or the command line.
 *
 * A large file is read straight into the block that will hold it: reserve, read(), commit.
 * The file's bytes are then touched once, by the kernel's copy out of its page cache. That
 * needs the role writer and a size known beforehand. Small values, pipes, and sessions with
 * less of a role are read into memory first and put from there.
 *
 * A file that shrinks or grows while it is read is a torn value, and nothing is stored.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clients/cli/command.h"
#include "clients/cli/key.h"
#include "clients/cli/options.h"
#include "clients/cli/transfer.h"

/* Below it, a round trip more costs more than a copy. */
#define IN_PLACE_SIZE ((uint64_t)64 << 10)

enum { OPT_TTL = OPTIONS_OWN, OPT_IF_ABSENT, OPT_TIER, OPT_PRIORITY, OPT_GROUP, OPT_POSITION,
	OPT_VALUE };

static const struct option put_longs[] = {
	{ "ttl", required_argument, NULL, OPT_TTL },
	{ "if-absent", no_argument, NULL, OPT_IF_ABSENT },
	{ "tier", required_argument, NULL, OPT_TIER },
	{ "priority", required_argument, NULL, OPT_PRIORITY },
	{ "group", required_argument, NULL, OPT_GROUP },
	{ "position", required_argument, NULL, OPT_POSITION },
	{ "value", required_argument, NULL, OPT_VALUE },
	{ NULL, 0, NULL, 0 },
};

struct put {
	struct cli *cli;
	struct key key;
	struct shmc_put_options options;
	const char *file;  /* NULL: none */
	const char *value; /* NULL: none */
	uint64_t size;	   /* of what was stored */
	bool told;	   /* the failure has been said already */
};

static enum cli_exit put_tier(struct put *put)
{
	if (!strcmp(optarg, "dram"))
		put->options.tier = SHMC_TIER_DRAM;
	else if (!strcmp(optarg, "cxl"))
		put->options.tier = SHMC_TIER_CXL;
	else if (!strcmp(optarg, "any"))
		put->options.tier = SHMC_TIER_ANY;
	else
		return cli_usage(put->cli, "--tier: '%s' is none of dram, cxl, any", optarg);
	return CLI_OK;
}

static enum cli_exit put_option(struct put *put, int option)
{
	enum cli_exit status = CLI_OK;
	uint64_t number = 0;

	switch (option) {
	case OPT_TTL:
		status = options_duration(put->cli, "--ttl", &put->options.ttl_ms);
		break;
	case OPT_IF_ABSENT:
		put->options.flags |= SHMC_IF_ABSENT;
		break;
	case OPT_TIER:
		status = put_tier(put);
		break;
	case OPT_PRIORITY:
		status = options_number(put->cli, "--priority", UINT8_MAX, &number);
		put->options.priority = (uint8_t)number;
		break;
	case OPT_GROUP:
		status = options_number(put->cli, "--group", UINT64_MAX, &put->options.group);
		break;
	case OPT_POSITION:
		status = options_number(put->cli, "--position", UINT32_MAX, &number);
		put->options.position = (uint32_t)number;
		break;
	case OPT_VALUE:
		put->value = optarg;
		break;
	}
	return status;
}

static enum cli_exit put_operands(struct put *put, const struct options *o)
{
	enum cli_exit status = options_operands(o, 1, 2);

	if (status)
		return status;
	if (optind + 1 < o->argc)
		put->file = o->argv[optind + 1];
	if (put->value && put->file)
		return cli_usage(put->cli, "--value and a file are two values");
	return key_parse(put->cli, o->argv[optind], &put->key);
}

static int put_bytes(struct put *put, const void *data, size_t size)
{
	put->size = size;
	if (!size) {
		cli_say(put->cli, "the value is empty; values are 1 byte to 1 GiB");
		put->told = true;
		return -EINVAL;
	}
	return shmc_put(put->cli->cache, put->key.bytes, put->key.size, data, size, &put->options,
		SHMC_TIMEOUT_DEFAULT);
}

static int put_stream(struct put *put, int fd)
{
	struct progress progress;
	void *data;
	size_t size;
	int r;

	progress_begin(&progress, "reading", 0, put->cli->quiet);
	r = transfer_slurp(fd, SHMC_VALUE_SIZE_MAX, &data, &size, &progress);
	progress_end(&progress);
	if (r)
		return r;
	r = put_bytes(put, data, size);
	free(data);
	return r;
}

/* Whether the file ends where it was said to: 0, -EBUSY, or what read() says. */
static int at_end(int fd)
{
	char more;
	ssize_t n = read(fd, &more, 1);

	return n < 0 ? -errno : n ? -EBUSY : 0;
}

static int put_in_place(struct put *put, int fd, uint64_t size)
{
	struct shmc *cache = put->cli->cache;
	struct shmc_reservation block;
	struct progress progress;
	int r;

	r = shmc_reserve(cache, put->key.bytes, put->key.size, size, &put->options, &block,
		SHMC_TIMEOUT_DEFAULT);
	if (r)
		return r;
	put->size = size;
	progress_begin(&progress, "storing", size, put->cli->quiet);
	r = transfer_read(fd, block.data, size, &progress);
	if (!r)
		r = at_end(fd);
	progress_end(&progress);
	if (!r)
		return shmc_commit(cache, &block, SHMC_TIMEOUT_DEFAULT);
	if (r == -EBUSY || r == -ENODATA) {
		cli_say(put->cli, "'%s' changed while it was read, nothing is stored", put->file);
		put->told = true;
	}
	(void)shmc_abort(cache, &block, SHMC_TIMEOUT_DEFAULT);
	return r;
}

/* How much of a regular file is ahead; 0 where that is not known (a pipe, most of /proc). */
static uint64_t fd_size_ahead(int fd)
{
	struct stat st;
	off_t at;

	if (fstat(fd, &st) || !S_ISREG(st.st_mode))
		return 0;
	at = lseek(fd, 0, SEEK_CUR);
	return at < 0 || at >= st.st_size ? 0 : (uint64_t)(st.st_size - at);
}

static int put_fd(struct put *put, int fd)
{
	uint64_t size = fd_size_ahead(fd);

	if (size > SHMC_VALUE_SIZE_MAX)
		return -EFBIG;
	if (size >= IN_PLACE_SIZE && shmc_role(put->cli->cache) == SHMC_ROLE_WRITER)
		return put_in_place(put, fd, size);
	return put_stream(put, fd);
}

static int put_file(struct put *put)
{
	bool is_stdin = !put->file || !strcmp(put->file, "-");
	int fd = STDIN_FILENO, r;

	if (is_stdin) {
		put->file = "standard input";
	} else {
		fd = open(put->file, O_RDONLY | O_CLOEXEC);
		if (fd < 0) {
			cli_say(put->cli, "cannot open '%s': %s", put->file, strerror(errno));
			put->told = true;
			return -EIO;
		}
	}
	r = put_fd(put, fd);
	if (!is_stdin)
		close(fd);
	return r;
}

static void put_print_json(const struct put *put)
{
	struct json_object *object = json_new();

	json_add_bytes(object, "key", put->key.bytes, put->key.size);
	json_add_uint(object, "value_size", put->size);
	json_print(object);
}

static enum cli_exit put_run(struct cli *cli, int argc, char **argv)
{
	struct put put = { .cli = cli };
	enum cli_exit status = CLI_OK;
	struct options o;
	int c, r;

	options_begin(&o, cli, argc, argv, "", put_longs, false);
	while (!status && (c = options_next(&o)) >= 0)
		status = put_option(&put, c);
	if (c == OPTIONS_STOP)
		return o.status;
	if (!status)
		status = put_operands(&put, &o);
	if (!status)
		status = cli_attach(cli);
	if (status)
		return status;
	r = put.value ? put_bytes(&put, put.value, strlen(put.value)) : put_file(&put);
	if (put.told)
		return cli_exit_of(r);
	status = cli_result(cli, r, "put", put.key.bytes, put.key.size);
	if (!status && cli->json)
		put_print_json(&put);
	return status;
}

const struct command command_put = {
	.name = "put",
	.summary = "store a value from a file, standard input, or the command line",
	.usage = "KEY [FILE|-] [--ttl TIME] [--if-absent] [--value TEXT] [HINT...]",
	.help = "      --value TEXT     the value itself, instead of a file\n"
		"      --ttl TIME       expire after this time (0: never, the default)\n"
		"      --if-absent      leave an entry that is there alone, and exit with 1\n"
		"      --tier TIER      dram, cxl or any: where it should go\n"
		"      --priority N     0 (normal) to 255; the higher, the later evicted\n"
		"      --group N        the chain of chunks that it belongs to\n"
		"      --position N     its place in that chain, 0 is the head\n"
		"\n"
		"Without FILE, or with '-', the value is read from standard input to its end.\n"
		"It is stored whole or not at all.\n"
		"\n"
		"Examples:\n"
		"  shmcache put motd /etc/motd --ttl 1h\n"
		"  tar c src | shmcache put src.tar\n"
		"  shmcache put lock --value \"$$\" --if-absent || echo 'somebody was first'\n"
		"  shmcache put -x 00ff17 chunk.bin --group 0x5eed --position 3\n",
	.run = put_run,
};
