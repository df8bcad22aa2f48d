/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The struct itself: how it gets its defaults, and how one assignment changes it, whether a line
 * of the file or an option of the command line makes it.
 *
 * It remembers where each key was set. Three things need that: a key that stands twice in a file
 * is told with both lines (an editor's slip, and which of the two is meant is not ours to
 * guess); a contradiction is told at its later key; and whoever reloads can tell a value that
 * somebody chose from one that merely is.
 */
#include "shmcache/config/impl.h"

#include "shmcache/log/escape.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

void config_init(struct config *c)
{
	char why[KEY_WHY_SIZE];

	memset(c, 0, sizeof(*c));
	for (const struct key *k = keys; k < keys + n_keys; k++) {
		int r = key_parse(k, k->value, c, why);

		assert(r == 0); /* a row whose default is no value of its own */
		(void)r;
	}
}

/* Says where an unknown name belongs, or what it was probably meant to be. */
static void complain_unknown(const struct assignment *a, const char *file,
		struct config_errors *errs)
{
	const char *nearest = key_nearest_section(a->section);

	if (!key_has_section(a->section)) {
		errors_add_assignment(errs, file, a, "unknown section; %s%s%s",
			nearest ? "did you mean [" : "see shmcached.conf(5)",
			nearest ? nearest : "", nearest ? "]?" : "");
		return;
	}
	nearest = key_nearest_name(a->section, a->name);
	if (nearest) {
		errors_add_assignment(errs, file, a, "unknown key; did you mean %s?", nearest);
		return;
	}
	for (const struct key *k = keys; k < keys + n_keys; k++) {
		if (!strcmp(k->name, a->name)) {
			errors_add_assignment(errs, file, a,
				"unknown key here; %s belongs into [%s]", k->name, k->section);
			return;
		}
	}
	errors_add_assignment(errs, file, a,
		"unknown key; remove it, or see shmcached.conf(5) for what [%s] may hold",
		a->section);
}

int assignment_apply(const struct assignment *a, struct config *c, struct key_set *bad,
		struct config_errors *errs)
{
	const struct key *key = key_find(a->section, a->name);
	char why[KEY_WHY_SIZE];
	unsigned *set_at;

	if (!key && !strcmp(a->section, "access") && rule_is_name(a->name))
		return rule_apply(a, c, errs);
	if (!key) {
		complain_unknown(a, c->file, errs);
		return -EINVAL;
	}
	set_at = &c->set_at[key - keys];
	if (*set_at && a->set_at < CONFIG_SET_BY_OPTION) {
		errors_add_assignment(errs, c->file, a,
			"was set on line %u already; remove one of the two", *set_at);
		return -EINVAL;
	}
	*set_at = a->set_at;
	if (key_parse(key, a->value, c, why) < 0) {
		errors_add_assignment(errs, c->file, a, "%s", why);
		bad->has[key - keys] = true;
		return -EINVAL;
	}
	return 0;
}

int config_set(struct config *c, const char *key, const char *value, struct config_errors *errs)
{
	struct assignment a = {"", "", value, CONFIG_SET_BY_OPTION + ++c->n_options};
	const char *dot = strchr(key, '.');
	char section[32], shown[64];

	if (!dot || (size_t)(dot - key) >= sizeof(section)) {
		escape_bytes(shown, sizeof(shown), key, strlen(key));
		errors_add(errs, c->file, a.set_at,
			"%s is no key; write SECTION.KEY=VALUE, as in dram.size=1GiB", shown);
		return -EINVAL;
	}
	memcpy(section, key, (size_t)(dot - key));
	section[dot - key] = '\0';
	a.section = section;
	a.name = dot + 1;
	if (strlen(key) + strlen(value) > CONFIG_LINE_MAX - 4) {
		errors_add_assignment(errs, c->file, &a,
			"is longer than the line of a file may be; %d bytes are the limit",
			CONFIG_LINE_MAX);
		return -EINVAL;
	}
	return assignment_apply(&a, c, &(struct key_set){0}, errs);
}

bool rules_equal(const struct config *a, const struct config *b)
{
	char a_name[KEY_VALUE_SIZE], b_name[KEY_VALUE_SIZE];

	if (a->access.n_rules != b->access.n_rules)
		return false;
	for (unsigned i = 0; i < a->access.n_rules; i++) {
		rule_print_name(&a->access.rules[i], a_name);
		rule_print_name(&b->access.rules[i], b_name);
		if (strcmp(a_name, b_name) || a->access.rules[i].id != b->access.rules[i].id ||
				a->access.rules[i].role != b->access.rules[i].role)
			return false;
	}
	return true;
}

bool config_equal(const struct config *a, const struct config *b)
{
	char a_text[KEY_VALUE_SIZE], b_text[KEY_VALUE_SIZE];

	for (const struct key *k = keys; k < keys + n_keys; k++) {
		key_print(k, a, a_text);
		key_print(k, b, b_text);
		if (strcmp(a_text, b_text))
			return false;
	}
	return rules_equal(a, b);
}

unsigned config_set_at(const struct config *c, const char *key)
{
	size_t n;

	for (const struct key *k = keys; k < keys + n_keys; k++) {
		n = strlen(k->section);
		if (!strncmp(k->section, key, n) && key[n] == '.' && !strcmp(k->name, key + n + 1))
			return c->set_at[k - keys];
	}
	return 0;
}

void config_socket_path(const struct config *c, char path[CONFIG_PATH_MAX + 1])
{
	if (c->cache.socket[0])
		strcpy(path, c->cache.socket);
	else
		snprintf(path, CONFIG_PATH_MAX + 1, "/dev/shm/%s.sock", c->cache.name);
}
