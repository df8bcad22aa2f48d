/* SPDX-License-Identifier: Apache-2.0 */
/* key.h: a key from the command line, and entries as text and as JSON. */
#ifndef CLIENTS_CLI_KEY_H
#define CLIENTS_CLI_KEY_H

#include <json-c/json.h>

#include "clients/cli/cli.h"

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

/*
 * JSON. None of these can fail: without memory for a whole document the program ends with
 * CLI_ERROR.
 *
 * json_add_bytes() adds a string or, where the bytes are no UTF-8, hexadecimal under @name
 * with "_hex" appended.
 */
struct json_object *json_new(void);
void json_add_bytes(
	struct json_object *object, const char *name, const void *data, size_t size);
void json_add_uint(struct json_object *object, const char *name, uint64_t value);
void json_add_bool(struct json_object *object, const char *name, bool value);
void json_add_object(struct json_object *object, const char *name, struct json_object *value);
void json_add_string(struct json_object *object, const char *name, const char *value);

/* What is known of an entry, as a new object. */
struct json_object *json_new_entry(const struct shmc_entry *entry);

/* Print @object on a line of its own, or without the newline, and let go of it. */
void json_print(struct json_object *object);
void json_print_bare(struct json_object *object);

#endif
