/* SPDX-License-Identifier: Apache-2.0 */
/*
 * key.c: a key from the command line, and entries as text and as JSON.
 *
 * A key is bytes, an argument is a C string: keys with a NUL can only be given in hexadecimal.
 */
#include "clients/cli/key.h"

#include <errno.h>
#include <string.h>

#include "clients/cli/text.h"

static enum cli_exit bytes_parse(
	const struct cli *cli, const char *arg, const char *what, struct key *key)
{
	int r = 0;

	key->size = strlen(arg);
	if (cli->key_hex)
		r = text_hex_parse(arg, key->bytes, sizeof(key->bytes), &key->size);
	else if (key->size > sizeof(key->bytes))
		r = -ERANGE;
	else
		memcpy(key->bytes, arg, key->size);
	if (r == -ERANGE)
		return cli_usage(cli, "the %s is longer than %d bytes", what, SHMC_KEY_SIZE_MAX);
	if (r)
		return cli_usage(cli, "the %s is not hexadecimal: '%s'", what, arg);
	return CLI_OK;
}

enum cli_exit key_parse_prefix(const struct cli *cli, const char *arg, struct key *prefix)
{
	return bytes_parse(cli, arg, "prefix", prefix);
}

enum cli_exit key_parse(const struct cli *cli, const char *arg, struct key *key)
{
	enum cli_exit status = bytes_parse(cli, arg, "key", key);

	if (!status && !key->size)
		return cli_usage(cli, "the key is empty; keys are 1 to %d bytes",
			SHMC_KEY_SIZE_MAX);
	return status;
}

const char *key_tier_name(unsigned tier)
{
	switch (tier) {
	case SHMC_TIER_DRAM:
		return "dram";
	case SHMC_TIER_CXL:
		return "cxl";
	default:
		return "any";
	}
}

struct json_object *json_new_entry(const struct shmc_entry *entry)
{
	struct json_object *object = json_new();

	json_add_bytes(object, "key", entry->key, entry->key_size);
	json_add_uint(object, "value_size", entry->value_size);
	json_add_string(object, "tier", key_tier_name(entry->tier));
	json_add_uint(object, "priority", entry->priority);
	json_add_uint(object, "ttl_ms", entry->ttl_ms);
	json_add_uint(object, "group", entry->group);
	json_add_uint(object, "position", entry->position);
	return object;
}
