/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli.c: attach, and say what became of things.
 *
 * A script sees the exit status, a person the line on stderr. Both come from one result
 * code in one place, so that no command can tell one thing and exit with another. Standard
 * output carries data only: whatever is said about the data goes to stderr, and a pipeline
 * never has to filter it.
 *
 * The statuses separate what a script reacts to differently. A miss (1) is an answer, a
 * wrong command line (2) a bug in the script, no broker (3) something to start or wait for,
 * a refusal (4) something to configure, the rest (5) something to retry or to look at.
 */
#include "clients/cli/cli.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "clients/cli/command.h"
#include "clients/cli/text.h"

static void say_begin(const struct cli *cli)
{
	fputs("shmcache", stderr);
	if (cli->command)
		fprintf(stderr, " %s", cli->command->name);
	fputs(": ", stderr);
}

void cli_say(const struct cli *cli, const char *fmt, ...)
{
	va_list ap;

	say_begin(cli);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
}

enum cli_exit cli_usage(const struct cli *cli, const char *fmt, ...)
{
	va_list ap;

	say_begin(cli);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, " (see 'shmcache %s%s--help')\n", cli->command ? cli->command->name : "",
		cli->command ? " " : "");
	return CLI_USAGE;
}

enum cli_exit cli_exit_of(int result)
{
	switch (result) {
	case 0:
		return CLI_OK;
	case SHMC_MISS:
	case SHMC_EXISTS:
		return CLI_MISS;
	case SHMC_NOSPACE:
	case SHMC_QUOTA:
	case -EACCES:
	case -EFBIG:
	case -EUSERS:
	case SHMC_FAILED:
		return CLI_REFUSED;
	case -EINVAL:
		return CLI_USAGE;
	case -ENOTCONN:
	case -ENOENT:
	case -ECONNREFUSED:
	case -EPROTONOSUPPORT:
		return CLI_ATTACH;
	default:
		return CLI_ERROR;
	}
}

enum cli_exit cli_attach(struct cli *cli)
{
	char why[256] = "";
	struct shmc_attach_options options = {
		.timeout_ms = cli->timeout_ms,
		.why = why,
		.why_size = sizeof(why),
	};
	int r = shmc_attach(&cli->cache, cli->name, &options);
	enum cli_exit status = cli_exit_of(r);

	if (!r)
		return CLI_OK;
	cli_say(cli, "cannot attach to the cache '%s': %s", cli->name,
		why[0] ? why : shmc_strerror(r));
	/* Whatever the system said on the way (a timeout, say): nobody serves us. */
	return status == CLI_ERROR ? CLI_ATTACH : status;
}

enum cli_exit cli_control(
	const struct cli *cli, enum shmc_command command, const struct shmc_control_options *options)
{
	return cli_control_result(cli, shmc_control(cli->name, command, options), options->why);
}

enum cli_exit cli_control_result(const struct cli *cli, int result, const char *why)
{
	/* What failed has been told. */
	if (result && result != SHMC_FAILED)
		cli_say(cli, "%s", why[0] ? why : shmc_strerror(result));
	return cli_exit_of(result);
}

enum cli_exit cli_result(
	const struct cli *cli, int result, const char *doing, const void *key, size_t key_size)
{
	enum cli_exit status = cli_exit_of(result);

	if (status == CLI_OK || (status == CLI_MISS && cli->quiet))
		return status;
	say_begin(cli);
	if (result == SHMC_MISS)
		fputs("no such key", stderr);
	else if (result == SHMC_EXISTS)
		fputs("the key is there already", stderr);
	else
		fprintf(stderr, "cannot %s: %s", doing, shmc_strerror(result));
	if (key) {
		fputs(": ", stderr);
		text_print_escaped(stderr, key, key_size);
	}
	fputc('\n', stderr);
	return status;
}
