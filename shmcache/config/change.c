/* SPDX-License-Identifier: Apache-2.0 */
/*
 * change.c: what a running broker takes over of another configuration.
 *
 * Which keys these are stands in the table, with everything else about a key. Values are compared,
 * and carried back, in the form in which they are printed: each type has one, it reads back as the
 * same value, and it is what the operator is told.
 */
#include "shmcache/config/impl.h"

#include <assert.h>
#include <string.h>

static void print_rules(const struct config *c, char *text, size_t size)
{
	char name[KEY_VALUE_SIZE];
	size_t len = 0;

	text[0] = '\0';
	for (unsigned i = 0; i < c->access.n_rules && len < size; i++) {
		rule_print_name(&c->access.rules[i], name);
		len += (size_t)snprintf(text + len, size - len, "%s%s=%s", len ? " " : "", name,
			config_role_name(c->access.rules[i].role));
	}
}

static void take_key(const struct key *key, const struct config *running, struct config *wanted,
		config_tell_fn *tell, void *context)
{
	char was[KEY_VALUE_SIZE], value[KEY_VALUE_SIZE], name[64], why[KEY_WHY_SIZE];
	int r = 0;

	key_print(key, running, was);
	key_print(key, wanted, value);
	if (!strcmp(was, value))
		return;
	snprintf(name, sizeof(name), "%s.%s", key->section, key->name);
	tell(context, key->change, name, was, value);
	if (key->change == CONFIG_CHANGE_NEXT_START)
		r = key_parse(key, was, wanted, why);
	assert(r == 0); /* what was printed reads back */
	(void)r;
}

void config_take_over(const struct config *running, struct config *wanted, config_tell_fn *tell,
		void *context)
{
	char was[CONFIG_RULES_MAX * 48], value[CONFIG_RULES_MAX * 48];

	for (const struct key *k = keys; k < keys + n_keys; k++)
		take_key(k, running, wanted, tell, context);
	if (rules_equal(running, wanted))
		return;
	print_rules(running, was, sizeof(was));
	print_rules(wanted, value, sizeof(value));
	tell(context, CONFIG_CHANGE_NEXT_SESSION, "access.*", was, value);
}
