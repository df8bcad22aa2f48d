/* SPDX-License-Identifier: Apache-2.0 */
/* json.h: building and printing JSON. */
#ifndef CLIENTS_CLI_JSON_H
#define CLIENTS_CLI_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <json-c/json.h>

#define JSON_NO_MEMORY 5 /* what the program exits with then: CLI_ERROR */

/*
 * None of these can fail: without memory for a whole document the program ends.
 *
 * json_add_bytes() adds a string or, where the bytes are no UTF-8, hexadecimal under @name
 * with "_hex" appended.
 */
struct json_object *json_new(void);
struct json_object *json_new_array(void);
struct json_object *json_new_string(const char *value);
void json_append(struct json_object *array, struct json_object *value);
void json_add_bytes(
	struct json_object *object, const char *name, const void *data, size_t size);
void json_add_uint(struct json_object *object, const char *name, uint64_t value);
void json_add_bool(struct json_object *object, const char *name, bool value);
void json_add_object(struct json_object *object, const char *name, struct json_object *value);
void json_add_string(struct json_object *object, const char *name, const char *value);

/* Print @object on a line of its own, or without the newline, and let go of it. */
void json_print(struct json_object *object);
void json_print_bare(struct json_object *object);

#endif
