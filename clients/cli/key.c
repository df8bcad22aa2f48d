/* SPDX-License-Identifier: Apache-2.0 */
/*
 * key.c: a key from the command line, and entries as text and as JSON.
 *
 * A key is bytes, an argument is a C string, and JSON has neither: keys with a NUL can only
 * be given in hexadecimal, and keys that are no UTF-8 only be printed so. In JSON they get
 * another member name ("key_hex"), because one member with two encodings makes every reader
 * guess.
 *
 * json-c tells of a lack of memory by NULL and goes on. A document with a member missing
 * would be believed, so a failure to build one ends the program.
 */
#include "clients/cli/key.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
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

static _Noreturn void json_no_memory(void)
{
	fputs("shmcache: out of memory\n", stderr);
	_Exit(CLI_ERROR);
}

struct json_object *json_new(void)
{
	struct json_object *object = json_object_new_object();

	if (!object)
		json_no_memory();
	return object;
}

void json_add_object(struct json_object *object, const char *name, struct json_object *value)
{
	if (!value || json_object_object_add(object, name, value))
		json_no_memory();
}

void json_add_uint(struct json_object *object, const char *name, uint64_t value)
{
	json_add_object(object, name, json_object_new_uint64(value));
}

void json_add_bool(struct json_object *object, const char *name, bool value)
{
	json_add_object(object, name, json_object_new_boolean(value));
}

void json_add_string(struct json_object *object, const char *name, const char *value)
{
	json_add_object(object, name, json_object_new_string(value));
}

static void json_add_hex(struct json_object *object, const char *name, const void *data,
	size_t size)
{
	char *hex = malloc(2 * size + 1), name_hex[64];

	if (!hex)
		json_no_memory();
	snprintf(name_hex, sizeof(name_hex), "%s_hex", name);
	text_hex_format(data, size, hex);
	json_add_string(object, name_hex, hex);
	free(hex);
}

void json_add_bytes(struct json_object *object, const char *name, const void *data, size_t size)
{
	/* json-c counts a string's bytes in an int; a value has 2^30 at most */
	if (text_is_utf8(data, size))
		json_add_object(object, name, json_object_new_string_len(data, (int)size));
	else
		json_add_hex(object, name, data, size);
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

void json_print_bare(struct json_object *object)
{
	const char *text = json_object_to_json_string_ext(object,
		JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);

	if (!text)
		json_no_memory();
	fputs(text, stdout);
	json_object_put(object);
}

void json_print(struct json_object *object)
{
	json_print_bare(object);
	putchar('\n');
}
