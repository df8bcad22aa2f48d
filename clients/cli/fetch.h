/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fetch.h: what get and prefetch share: write-back policies by name, and why nothing was fetched.
 */
#ifndef CLI_FETCH_H
#define CLI_FETCH_H

#include "clients/cli/cli.h"
#include "clients/cli/key.h"

/* The argument of --write-back; else says which there are. */
enum cli_exit fetch_parse_policy(
	const struct cli *cli, const char *name, struct shmc_fetch_options *options);

/* Say why @key was not brought, enum shmc_fetch_miss; not with --quiet. */
void fetch_say_miss(const struct cli *cli, const struct key *key, unsigned why);

#endif
