/* SPDX-License-Identifier: Apache-2.0 */
/* each.h: what del, exists and prefetch share: the same is asked of any number of keys. */
#ifndef CLIENTS_CLI_EACH_H
#define CLIENTS_CLI_EACH_H

#include "clients/cli/cli.h"
#include "clients/cli/key.h"

/*
 * What is done with each key: 0, SHMC_MISS, or what ends the command; and how the first two are
 * shown. What is behind the functions is of one command each.
 */
struct each {
	const char *doing; /* "delete": of a message */
	int (*fn)(struct cli *cli, struct each *each, const struct key *key);
	void (*print)(const struct cli *cli, const struct each *each, const struct key *key,
		bool hit);
	uint64_t n_told, n_untold; /* of del --cluster, for the key */
	struct shmc_fetch_options fetch; /* of prefetch */
};

/*
 * Attach, and do it for each key of argv[optind ...], which are all checked before. CLI_MISS: one of
 * them at least was not there.
 */
enum cli_exit each_key(struct cli *cli, int argc, char **argv, struct each *each);

/* {"key": KEY, NAME: HIT} */
struct json_object *each_to_json(const struct key *key, const char *name, bool hit);

#endif
