/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd-keys.c: list the keys that are there, all or by prefix, whole or in pages.
 *
 * Output flows as it is found: a cache may have millions of keys, and `| head` should not wait for
 * them. A page ends by the visitor saying so, and the library's cursor then stands behind the last
 * entry that was printed.
 */
#include <inttypes.h>
#include <stdio.h>

#include "clients/cli/command.h"
#include "clients/cli/key.h"
#include "clients/cli/options.h"
#include "clients/cli/text.h"
#include "clients/cli/units.h"

enum { OPT_LIMIT = OPTIONS_OWN, OPT_CURSOR, OPT_HEX };

static const struct option keys_longs[] = {
	{ "long", no_argument, NULL, 'l' },
	{ "limit", required_argument, NULL, OPT_LIMIT },
	{ "cursor", required_argument, NULL, OPT_CURSOR },
	{ "hex", no_argument, NULL, OPT_HEX },
	{ NULL, 0, NULL, 0 },
};

struct keys {
	struct cli *cli;
	struct key prefix;
	bool is_long, hex;
	uint64_t limit; /* 0: none */
	uint64_t cursor;
	uint64_t n_printed;
};

/* What keys_visit() ends a page with. */
enum { PAGE_FULL = 1000 };

static void keys_print_key(const struct keys *keys, const struct shmc_entry *entry)
{
	if (keys->hex)
		text_print_hex(stdout, entry->key, entry->key_size);
	else
		text_print_escaped(stdout, entry->key, entry->key_size);
	putchar('\n');
}

static void keys_print(struct keys *keys, const struct shmc_entry *entry)
{
	char size[UNITS_TEXT_SIZE], ttl[UNITS_TEXT_SIZE];

	if (keys->cli->json) {
		fputs(keys->n_printed ? ",\n" : "\n", stdout);
		json_print_bare(json_new_entry(entry));
		return;
	}
	if (keys->is_long)
		printf("%10s  %-4s  %8s  ", units_size_format(size, entry->value_size),
			key_tier_name(entry->tier),
			entry->ttl_ms ? units_duration_format(ttl, entry->ttl_ms) : "-");
	keys_print_key(keys, entry);
}

static int keys_visit(void *context, const struct shmc_entry *entry)
{
	struct keys *keys = context;

	keys_print(keys, entry);
	keys->n_printed++;
	if (ferror(stdout))
		return PAGE_FULL; /* nobody listens; main() tells why */
	return keys->n_printed == keys->limit ? PAGE_FULL : 0;
}

static enum cli_exit keys_page(struct keys *keys)
{
	int r;

	if (keys->cli->json)
		fputs("{\"keys\":[", stdout);
	do {
		r = shmc_scan(keys->cli->cache, &keys->cursor, keys->prefix.bytes,
			keys->prefix.size, 0, keys_visit, keys);
	} while (!r && keys->cursor);
	if (r && r != PAGE_FULL)
		return cli_result(keys->cli, r, "list the keys", NULL, 0);
	/* A cursor is 64 bits wide, and many a JSON reader rounds such a number. */
	if (keys->cli->json)
		printf("%s],\"cursor\":\"%" PRIu64 "\"}\n", keys->n_printed ? "\n" : "",
			keys->cursor);
	else if (r == PAGE_FULL && !ferror(stdout) && !keys->cli->quiet)
		cli_say(keys->cli, "there may be more: --cursor %" PRIu64, keys->cursor);
	return CLI_OK;
}

static enum cli_exit keys_option(struct keys *keys, int option)
{
	switch (option) {
	case 'l':
		keys->is_long = true;
		return CLI_OK;
	case OPT_HEX:
		keys->hex = true;
		return CLI_OK;
	case OPT_CURSOR:
		return options_number(keys->cli, "--cursor", UINT64_MAX, &keys->cursor);
	default:
		return options_number(keys->cli, "--limit", UINT32_MAX, &keys->limit);
	}
}

static enum cli_exit keys_run(struct cli *cli, int argc, char **argv)
{
	struct keys keys = { .cli = cli };
	enum cli_exit status = CLI_OK;
	struct options o;
	int c;

	options_begin(&o, cli, argc, argv, "l", keys_longs, false);
	while (!status && (c = options_next(&o)) >= 0)
		status = keys_option(&keys, c);
	if (c == OPTIONS_STOP)
		return o.status;
	if (!status)
		status = options_operands(&o, 0, 1);
	if (!status && optind < argc)
		status = key_parse_prefix(cli, argv[optind], &keys.prefix);
	if (!status)
		status = cli_attach(cli);
	return status ? status : keys_page(&keys);
}

const struct command command_keys = {
	.name = "keys",
	.summary = "list keys, all or by prefix, whole or in pages",
	.usage = "[PREFIX] [-l] [--hex] [--limit N [--cursor C]]",
	.help = "  -l, --long           value size, tier and time to live before each key\n"
		"      --hex            print keys in hexadecimal, as -x takes them\n"
		"      --limit N        a page of N keys at most\n"
		"      --cursor C       go on behind an earlier page\n"
		"\n"
		"One key a line; a backslash is doubled, and bytes that are no printable text\n"
		"become \\n, \\t, \\r or \\xNN. Where to go on is said on standard error or, with\n"
		"--json, in the member \"cursor\", which is \"0\" behind the last page. An entry that\n"
		"is there from the first page to the last is listed at least once.\n"
		"\n"
		"Examples:\n"
		"  shmcache keys model/ -l\n"
		"  shmcache keys --limit 100\n"
		"  shmcache keys --json | jq -r '.keys[].key'\n",
	.run = keys_run,
};
