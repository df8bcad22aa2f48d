/* SPDX-License-Identifier: Apache-2.0 */
/*
 * options.c: getopt_long with the common options mixed in.
 *
 * People write `shmcache --json keys` and `shmcache keys --json`, and both should do what
 * they say. So each command's option table is joined with the common one, and the loop over
 * it is written once. getopt's own messages name argv[0], which is the command here and not
 * the program; hence they are switched off and said by us.
 *
 * A number with a wrong unit is an error and never a guess: `--ttl 60` might mean seconds
 * to one and milliseconds to another reader of the same script.
 */
#include "clients/cli/options.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "clients/cli/command.h"
#include "clients/cli/units.h"

#define COMMON_SHORTS "n:xjqh"

enum { COMMON_TIMEOUT = 0x200, COMMON_VERSION };

static const struct option common_longs[] = {
	{ "name", required_argument, NULL, 'n' },
	{ "key-hex", no_argument, NULL, 'x' },
	{ "json", no_argument, NULL, 'j' },
	{ "quiet", no_argument, NULL, 'q' },
	{ "timeout", required_argument, NULL, COMMON_TIMEOUT },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, COMMON_VERSION },
};

#define N_COMMON (sizeof(common_longs) / sizeof(common_longs[0]))

void options_begin(struct options *o, struct cli *cli, int argc, char **argv, const char *shorts,
	const struct option *longs, bool in_order)
{
	size_t n = 0;

	*o = (struct options){ .cli = cli, .argc = argc, .argv = argv, .in_order = in_order };
	/* '+' ends at the first operand, ':' tells a missing argument from an unknown option */
	snprintf(o->shorts, sizeof(o->shorts), "%s:%s%s", in_order ? "+" : "", COMMON_SHORTS,
		shorts);
	memcpy(o->longs, common_longs, sizeof(common_longs));
	while (longs && longs[n].name && N_COMMON + n < OPTIONS_MAX - 1) {
		o->longs[N_COMMON + n] = longs[n];
		n++;
	}
	opterr = 0;
	optind = 0; /* glibc: forget where the last argv ended */
}

static int options_stop(struct options *o, enum cli_exit status)
{
	o->status = status;
	return OPTIONS_STOP;
}

/*
 * getopt has just met an option that it does not know (optopt is its letter, or 0 for a long one),
 * or one whose argument is missing or too much (optopt is its val).
 */
static int options_wrong(struct options *o, bool missing)
{
	if (!optopt)
		return options_stop(o, cli_usage(o->cli, "%s is no option of this command",
			o->argv[optind - 1]));
	for (size_t i = 0; o->longs[i].name; i++)
		if (o->longs[i].val == optopt)
			return options_stop(o, cli_usage(o->cli, "--%s %s an argument",
				o->longs[i].name, missing ? "needs" : "does not take"));
	return options_stop(o, cli_usage(o->cli, "-%c is no option of this command", optopt));
}

static int options_timeout(struct options *o)
{
	uint64_t ms;

	if (!strcmp(optarg, "never")) {
		o->cli->timeout_ms = SHMC_TIMEOUT_NEVER;
		return 0;
	}
	if (options_duration(o->cli, "--timeout", &ms))
		return options_stop(o, CLI_USAGE);
	if (!ms || ms > INT_MAX)
		return options_stop(o, cli_usage(o->cli, "--timeout is out of range: %s", optarg));
	o->cli->timeout_ms = (int)ms;
	return 0;
}

static int options_help(struct options *o)
{
	if (o->cli->command)
		command_print_help(o->cli->command);
	else
		command_print_list();
	return options_stop(o, CLI_OK);
}

int options_next(struct options *o)
{
	for (;;) {
		int c = getopt_long(o->argc, o->argv, o->shorts, o->longs, NULL);

		switch (c) {
		case 'n':
			o->cli->name = optarg;
			break;
		case 'x':
			o->cli->key_hex = true;
			break;
		case 'j':
			o->cli->json = true;
			break;
		case 'q':
			o->cli->quiet = true;
			break;
		case COMMON_TIMEOUT:
			if (options_timeout(o))
				return OPTIONS_STOP;
			break;
		case 'h':
			return options_help(o);
		case COMMON_VERSION:
			puts("shmcache " SHMCACHE_VERSION);
			return options_stop(o, CLI_OK);
		case '?':
		case ':':
			return options_wrong(o, c == ':');
		default:
			return c;
		}
	}
}

enum cli_exit options_operands(const struct options *o, int min, int max)
{
	int n = o->argc - optind;

	if (n < min)
		return cli_usage(o->cli, "%s is missing: usage: %s %s",
			n ? "an argument" : "the argument", o->cli->command->name,
			o->cli->command->usage);
	if (max >= 0 && n > max)
		return cli_usage(o->cli, "'%s' is one argument too many", o->argv[optind + max]);
	return CLI_OK;
}

bool options_only_operands(
	struct cli *cli, int argc, char **argv, int min, int max, enum cli_exit *status)
{
	struct options o;

	options_begin(&o, cli, argc, argv, "", NULL, false);
	if (options_next(&o) == OPTIONS_STOP) {
		*status = o.status;
		return false;
	}
	*status = options_operands(&o, min, max);
	return !*status;
}

enum cli_exit options_duration(const struct cli *cli, const char *option, uint64_t *ms)
{
	int r = units_duration_parse(optarg, ms);

	if (r)
		return cli_usage(cli, "%s: '%s' is %s; times are written 500ms, 5s, 10m, 2h, 1d",
			option, optarg, r == -ERANGE ? "too long" : "no time");
	return CLI_OK;
}

enum cli_exit options_size(const struct cli *cli, const char *option, uint64_t *size)
{
	int r = units_size_parse(optarg, size);

	if (r)
		return cli_usage(cli, "%s: '%s' is %s; sizes are written 4096, 4KiB, 8MiB, 1GiB",
			option, optarg, r == -ERANGE ? "too large" : "no size");
	return CLI_OK;
}

enum cli_exit options_number(
	const struct cli *cli, const char *option, uint64_t max, uint64_t *number)
{
	if (units_number_parse(optarg, max, number))
		return cli_usage(cli, "%s: '%s' is no number from 0 to %llu", option, optarg,
			(unsigned long long)max);
	return CLI_OK;
}
