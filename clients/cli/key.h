/* SPDX-License-Identifier: Apache-2.0 */
/* key.h: a key from the command line, and entries as text and as JSON. */
#ifndef CLIENTS_CLI_KEY_H
#define CLIENTS_CLI_KEY_H

#include "clients/cli/cli.h"
#include "clients/cli/json.h"

/* Owns its bytes; may live on the stack. */
struct key {
	size_t size;
	unsigned char bytes[SHMC_KEY_SIZE_MAX];
};

/*
 * Read @arg as it stands or, with --key-hex, as hexadecimal. CLI_OK, or CLI_USAGE after
 * saying what is wrong with it. A prefix may be empty, a key may not.
 */
enum cli_exit key_parse(const struct cli *cli, const char *arg, struct key *key);
enum cli_exit key_parse_prefix(const struct cli *cli, const char *arg, struct key *prefix);

/* "dram", "cxl", "any". Static. */
const char *key_tier_name(unsigned tier);

/* What is known of an entry, as a new object. */
struct json_object *json_new_entry(const struct shmc_entry *entry);

#endif
