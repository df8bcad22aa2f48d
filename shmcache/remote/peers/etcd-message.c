/* SPDX-License-Identifier: Apache-2.0 */
/* etcd-message.c: writing and reading the gateway's JSON. */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "ipc/wire.h"
#include "shmcache/remote/peers/etcd-message.h"

/*
 * What etcd sends was written there by whoever has a password: it is measured before it is copied,
 * and what is no member is left out and counted. A number may come as a string (int64 and uint64,
 * by the rule of protocol buffers) or as a number; one that is 0 does not come at all.
 */

/* --- base64 (RFC 4648, section 4) ------------------------------------------------------------- */

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static char *encode(const void *data, size_t size)
{
	const uint8_t *in = data;
	char *text = malloc((size + 2) / 3 * 4 + 1), *out = text;
	uint32_t group;
	size_t i;

	if (!text)
		return NULL;
	for (i = 0; i < size; i += 3) {
		group = (uint32_t)in[i] << 16 | (i + 1 < size ? (uint32_t)in[i + 1] << 8 : 0) |
			(i + 2 < size ? in[i + 2] : 0);
		*out++ = digits[group >> 18];
		*out++ = digits[group >> 12 & 63];
		*out++ = i + 1 < size ? digits[group >> 6 & 63] : '=';
		*out++ = i + 2 < size ? digits[group & 63] : '=';
	}
	*out = '\0';
	return text;
}

/* Into @out of @size with a NUL behind; false: no base64, or too long. */
static bool decode(const char *text, char *out, size_t size)
{
	uint32_t group = 0;
	size_t n = 0, i;
	const char *d;

	for (i = 0; text[i] && text[i] != '='; i++) {
		d = strchr(digits, text[i]);
		if (!d)
			return false;
		group = group << 6 | (uint32_t)(d - digits);
		if (i % 4 == 0)
			continue;
		/* The second digit completes the first byte, and so on. */
		if (n + 1 >= size)
			return false;
		out[n++] = (char)(group >> (6 - i % 4 * 2));
	}
	out[n] = '\0';
	return true;
}

/* --- what is asked ---------------------------------------------------------------------------- */

__attribute__((format(printf, 1, 2)))
static char *text_of(const char *format, ...)
{
	char *text;
	va_list args;
	int n;

	va_start(args, format);
	n = vasprintf(&text, format, args);
	va_end(args);
	return n < 0 ? NULL : text;
}

/* Of an object that was made for it. */
static char *text_of_json(struct json_object *object)
{
	const char *text = object ? json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN)
				  : NULL;
	char *copy = text ? strdup(text) : NULL;

	json_object_put(object);
	return copy;
}

static void add_string(struct json_object *object, const char *name, const char *value)
{
	if (object)
		json_object_object_add(object, name, json_object_new_string(value));
}

char *etcd_say_authenticate(const char *user, const char *password)
{
	struct json_object *object = json_object_new_object();

	add_string(object, "name", user);
	add_string(object, "password", password);
	return text_of_json(object);
}

char *etcd_say_grant(unsigned ttl_s)
{
	return text_of("{\"TTL\":\"%u\"}", ttl_s);
}

char *etcd_say_lease(int64_t lease)
{
	return text_of("{\"ID\":\"%" PRId64 "\"}", lease);
}

char *etcd_say_put(const char *directory, const struct member *member, int64_t lease)
{
	struct json_object *object = json_object_new_object();
	char *key = text_of("%smembers/%s", directory, member->name), *value, *text = NULL;
	char *key64 = NULL, *value64 = NULL, epoch[24];

	snprintf(epoch, sizeof(epoch), "%" PRIu64, member->epoch);
	add_string(object, "endpoint", member->endpoint);
	add_string(object, "epoch", epoch);
	value = text_of_json(object);
	if (key && value) {
		key64 = encode(key, strlen(key));
		value64 = encode(value, strlen(value));
	}
	if (key64 && value64)
		text = text_of("{\"key\":\"%s\",\"value\":\"%s\",\"lease\":\"%" PRId64 "\"}", key64,
			value64, lease);
	free(key);
	free(value);
	free(key64);
	free(value64);
	return text;
}

/* "key" and "range_end" of all that begins with @directory, which ends with a slash. */
static char *range_of(const char *directory)
{
	char *first = encode(directory, strlen(directory)), *end = strdup(directory), *last = NULL;
	char *text = NULL;

	/* The end is not in the range: the prefix with its last byte one higher. */
	if (end) {
		end[strlen(end) - 1]++;
		last = encode(end, strlen(end));
	}
	if (first && last)
		text = text_of("\"key\":\"%s\",\"range_end\":\"%s\"", first, last);
	free(first);
	free(last);
	free(end);
	return text;
}

char *etcd_say_range(const char *directory, unsigned limit)
{
	char *range = range_of(directory), *text = NULL;

	if (range)
		text = text_of("{%s,\"limit\":\"%u\"}", range, limit);
	free(range);
	return text;
}

char *etcd_say_watch(const char *directory, int64_t from_revision)
{
	char *range = range_of(directory), *text = NULL;

	if (range)
		text = text_of("{\"create_request\":{%s,\"start_revision\":\"%" PRId64
			       "\",\"progress_notify\":true}}",
			range, from_revision);
	free(range);
	return text;
}

/* --- what is answered ------------------------------------------------------------------------- */

static struct json_object *member_of(struct json_object *object, const char *name)
{
	struct json_object *value = NULL;

	if (json_object_is_type(object, json_type_object))
		(void)json_object_object_get_ex(object, name, &value);
	return value;
}

/* NULL where there is no such string. */
static const char *string_of(struct json_object *object, const char *name)
{
	struct json_object *value = member_of(object, name);

	return json_object_is_type(value, json_type_string) ? json_object_get_string(value) : NULL;
}

static bool has_all_digits(const char *text)
{
	return *text && text[strspn(text, "0123456789")] == '\0';
}

static uint64_t number_of(struct json_object *object, const char *name)
{
	struct json_object *value = member_of(object, name);
	const char *text;

	if (json_object_is_type(value, json_type_int))
		return json_object_get_uint64(value);
	text = string_of(object, name);
	return text && has_all_digits(text) ? strtoull(text, NULL, 10) : 0;
}

static bool is_true(struct json_object *object, const char *name)
{
	return json_object_get_boolean(member_of(object, name));
}

static void copy(char *out, size_t size, const char *text)
{
	snprintf(out, size, "%s", text ? text : "");
}

/* A key that there is not is to be told of, whatever was written. */
static bool is_name(const char *name, enum etcd_entry_kind kind)
{
	if (kind == ETCD_MEMBER)
		return wire_name_is_valid(name);
	return *name && strlen(name) <= CONFIG_NAME_MAX && !strchr(name, '/');
}

/* What it is of, by the folder that it is in; the name is the key's last part. */
static bool hear_key(struct json_object *kv, const char *directory, struct etcd_entry *e)
{
	static const char *const folders[] = {[ETCD_MEMBER] = "members/",
		[ETCD_SETTING] = "settings/"};
	const char *text = string_of(kv, "key"), *name;
	size_t n = strlen(directory);
	char key[512];
	unsigned i;

	if (!text || !decode(text, key, sizeof(key)) || strncmp(key, directory, n))
		return false;
	for (i = 0; i < 2; i++) {
		name = key + n + strlen(folders[i]);
		if (strncmp(key + n, folders[i], strlen(folders[i])) || !is_name(name, i))
			continue;
		e->kind = i;
		copy(e->member.name, sizeof(e->member.name), name);
		copy(e->setting.name, sizeof(e->setting.name), name);
		return true;
	}
	return false;
}

static bool hear_member(struct json_object *kv, struct member *member)
{
	const char *text = string_of(kv, "value"), *endpoint;
	struct json_object *object;
	char value[1024];
	bool is_right;

	if (!text || !decode(text, value, sizeof(value)))
		return false;
	object = json_tokener_parse(value);
	endpoint = string_of(object, "endpoint");
	is_right = endpoint && strlen(endpoint) < sizeof(member->endpoint);
	if (is_right) {
		copy(member->endpoint, sizeof(member->endpoint), endpoint);
		member->epoch = number_of(object, "epoch");
		is_right = membership_is_right(member);
	}
	json_object_put(object);
	return is_right;
}

/* A value that can't be read is one nevertheless: whoever takes it has to say so. */
static void hear_setting(struct json_object *kv, struct etcd_setting *setting)
{
	const char *text = string_of(kv, "value");
	size_t n;

	if (text && !decode(text, setting->value, sizeof(setting->value)))
		copy(setting->value, sizeof(setting->value), ETCD_VALUE_LONG);
	/* What a shell or an editor left behind it. */
	for (n = strlen(setting->value); n && strchr(" \t\r\n", setting->value[n - 1]); n--)
		setting->value[n - 1] = '\0';
}

static void hear_entry(struct etcd_answer *a, struct json_object *kv, bool is_gone,
	const char *directory)
{
	struct etcd_entry *e = &a->entry[a->n];
	bool is_right;

	*e = (struct etcd_entry){.is_gone = is_gone};
	is_right = hear_key(kv, directory, e);
	if (is_right && !is_gone && e->kind == ETCD_SETTING)
		hear_setting(kv, &e->setting);
	else if (is_right && !is_gone)
		is_right = hear_member(kv, &e->member);
	if (is_right)
		a->n++;
	else
		a->n_wrong++;
}

/* Of "kvs" or "events". 0 or -ENOMEM. */
static int hear_entries(struct etcd_answer *a, struct json_object *list, bool are_events,
	const char *directory)
{
	size_t n, i;

	if (!json_object_is_type(list, json_type_array))
		return 0;
	n = json_object_array_length(list);
	a->entry = calloc(n ? n : 1, sizeof(*a->entry));
	if (!a->entry)
		return -ENOMEM;
	for (i = 0; i < n; i++) {
		struct json_object *item = json_object_array_get_idx(list, i), *kv = item;
		const char *type = are_events ? string_of(item, "type") : NULL;
		int64_t revision;

		if (are_events)
			kv = member_of(item, "kv");
		hear_entry(a, kv, type && !strcmp(type, "DELETE"), directory);
		revision = (int64_t)number_of(kv, "mod_revision");
		if (are_events && revision > a->watch_revision)
			a->watch_revision = revision;
	}
	return 0;
}

/* A refusal is a string in an answer, and an object in a stream. */
static void hear_error(struct etcd_answer *a, struct json_object *object)
{
	struct json_object *error = member_of(object, "error");
	const char *text = string_of(object, "error");

	if (!text && error)
		text = string_of(error, "message");
	if (error && !text)
		text = "an error of no name";
	copy(a->error, sizeof(a->error), text);
}

int etcd_hear(const char *text, const char *directory, struct etcd_answer *a)
{
	struct json_object *object = json_tokener_parse(text), *body, *header;
	int r;

	memset(a, 0, sizeof(*a));
	if (!json_object_is_type(object, json_type_object)) {
		json_object_put(object);
		return -EBADMSG;
	}
	hear_error(a, object);
	/* Streams, of which keep-alive is one, wrap what they have in a "result". */
	body = member_of(object, "result");
	if (!body)
		body = object;
	header = member_of(body, "header");
	a->revision = (int64_t)number_of(header, "revision");
	a->cluster = number_of(header, "cluster_id");
	copy(a->token, sizeof(a->token), string_of(body, "token"));
	a->lease = (int64_t)number_of(body, "ID");
	a->ttl = (int64_t)number_of(body, "TTL");
	a->has_more = is_true(body, "more");
	a->is_created = is_true(body, "created");
	a->is_canceled = is_true(body, "canceled");
	/* A watch that is refused is made and ended in one answer, which is no error. */
	if (a->is_canceled && !a->error[0])
		copy(a->error, sizeof(a->error), string_of(body, "cancel_reason"));
	a->compact_revision = (int64_t)number_of(body, "compact_revision");
	r = hear_entries(a, member_of(body, "kvs"), false, directory);
	if (!r && !a->entry)
		r = hear_entries(a, member_of(body, "events"), true, directory);
	json_object_put(object);
	return r;
}

void etcd_answer_free(struct etcd_answer *a)
{
	free(a->entry);
	a->entry = NULL;
	a->n = 0;
}
