/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fetch.c: what get and prefetch share: write-back policies by name, and why nothing was fetched.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clients/cli/fetch.h"
#include "clients/cli/text.h"

enum cli_exit fetch_parse_policy(
	const struct cli *cli, const char *name, struct shmc_fetch_options *options)
{
	static const char *const names[] = { "always", "all-found", "contiguous-prefix",
		"second-hit", "free-space", "off" };
	unsigned i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(name, names[i]))
			continue;
		options->write_back = (uint8_t)(SHMC_WRITE_BACK_ALWAYS + i);
		return CLI_OK;
	}
	cli_say(cli, "--write-back takes always, all-found, contiguous-prefix, second-hit, "
		     "free-space or off, not '%s'", name);
	return CLI_USAGE;
}

/* The name is what counters call it; what follows is for who has not read the manual. */
static const char *explain(unsigned why)
{
	switch (why) {
	case SHMC_FETCH_NOBODY:
		return "no other broker has it";
	case SHMC_FETCH_UNREACHABLE:
		return "one that may have it could not be asked";
	case SHMC_FETCH_TIMEOUT:
		return "no answer in the time that there was";
	case SHMC_FETCH_CORRUPT:
		return "what came was not what was stored";
	case SHMC_FETCH_CANCELLED:
		return "it was put, deleted or flushed here meanwhile";
	case SHMC_FETCH_NOSPACE:
		return "there is no room for it here";
	case SHMC_FETCH_OFF:
		return "this broker has no others to ask, see [remote] in its configuration";
	case SHMC_FETCH_BUSY:
		return "as much is on its way as may be";
	case SHMC_FETCH_DECLINED:
		return "its write-back policy keeps no such value";
	default:
		return "no reason was told";
	}
}

void fetch_say_miss(const struct cli *cli, const struct key *key, unsigned why)
{
	char *text = NULL;
	size_t size;
	FILE *out;

	if (cli->quiet)
		return;
	out = open_memstream(&text, &size);
	if (out) {
		text_print_escaped(out, key->bytes, key->size);
		fclose(out);
	}
	cli_say(cli, "not fetched: %s (%s): %s", shmc_fetch_miss_name(why), explain(why),
		text ? text : "");
	free(text);
}
