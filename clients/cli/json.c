/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json.c: building and printing JSON.
 *
 * A key is bytes, and JSON has none: keys that are no UTF-8 are printed in hexadecimal, under
 * another member name ("key_hex"), because one member with two encodings makes every reader guess.
 *
 * json-c tells of a lack of memory by NULL and goes on. A document with a member missing would be
 * believed, so a failure to build one ends the program.
 */
#include "clients/cli/json.h"

#include <stdio.h>
#include <stdlib.h>

#include "clients/cli/text.h"

static _Noreturn void json_no_memory(void)
{
	fputs("shmcache: out of memory\n", stderr);
	_Exit(JSON_NO_MEMORY);
}

struct json_object *json_new(void)
{
	struct json_object *object = json_object_new_object();

	if (!object)
		json_no_memory();
	return object;
}

struct json_object *json_new_array(void)
{
	struct json_object *array = json_object_new_array();

	if (!array)
		json_no_memory();
	return array;
}

struct json_object *json_new_string(const char *value)
{
	struct json_object *string = json_object_new_string(value);

	if (!string)
		json_no_memory();
	return string;
}

void json_append(struct json_object *array, struct json_object *value)
{
	if (!value || json_object_array_add(array, value))
		json_no_memory();
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
