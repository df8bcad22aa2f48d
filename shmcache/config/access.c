/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who may do what. A rule names one user or one group; the broker knows a client by what the
 * kernel says of it (SO_PEERCRED): its effective uid and gid, nothing that it says of itself.
 *
 * Names are looked up once, when the file is read. A name that means nobody is an error and not
 * a rule that never matches, because the rule that was meant is then missing. Two names for one
 * id are an error as well: which of them wins would depend on their order, and elsewhere in the
 * file the order of keys means nothing.
 */
#include "shmcache/config/impl.h"

#include "shmcache/config/units.h"

#include <ctype.h>
#include <errno.h>
#include <grp.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>

/* (uid_t)-1 means "no change" to the kernel and is nobody's. */
#define ID_MAX (UINT32_MAX - 1)

static const struct form {
	const char *prefix;
	bool is_group, is_name;
} forms[] = {
	{"uid.", false, false},
	{"user.", false, true},
	{"gid.", true, false},
	{"group.", true, true},
};

static const struct form *form_find(const char *name)
{
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++)
		if (!strncmp(name, forms[i].prefix, strlen(forms[i].prefix)))
			return &forms[i];
	return NULL;
}

bool rule_is_name(const char *name)
{
	return form_find(name) != NULL;
}

static int lookup_user(const char *name, char *buf, size_t size, uint32_t *r_id)
{
	struct passwd pw, *found = NULL;
	int r = getpwnam_r(name, &pw, buf, size, &found);

	if (!found)
		return r == ERANGE ? -ERANGE : -ENOENT;
	*r_id = pw.pw_uid;
	return 0;
}

static int lookup_group(const char *name, char *buf, size_t size, uint32_t *r_id)
{
	struct group gr, *found = NULL;
	int r = getgrnam_r(name, &gr, buf, size, &found);

	if (!found)
		return r == ERANGE ? -ERANGE : -ENOENT;
	*r_id = gr.gr_gid;
	return 0;
}

/* A group may have thousands of members, which nobody asked for but the buffer has to hold. */
static int lookup(bool is_group, const char *name, uint32_t *r_id)
{
	int r = -ERANGE;

	for (size_t size = 4096; r == -ERANGE && size <= (4u << 20); size *= 4) {
		char *buf = malloc(size);

		if (!buf)
			return -ENOMEM;
		r = is_group ? lookup_group(name, buf, size, r_id)
			     : lookup_user(name, buf, size, r_id);
		free(buf);
	}
	return r;
}

static bool is_plain_name(const char *name)
{
	size_t len = strlen(name);

	for (size_t i = 0; i < len; i++)
		if (!isgraph((unsigned char)name[i]) || strchr("=:;#[]\"\\", name[i]))
			return false;
	return len > 0 && len < sizeof(((struct config_rule *)0)->name);
}

static int resolve(const struct form *form, const char *who, struct config_rule *rule,
		char why[KEY_WHY_SIZE])
{
	char what[UNITS_WHY_SIZE];
	uint64_t id = 0;

	if (!form->is_name) {
		if (units_number_parse(who, &id, what) < 0 || id > ID_MAX) {
			snprintf(why, KEY_WHY_SIZE, "there is no such id; write %sN with N from "
				"0 to %" PRIu32, form->prefix, ID_MAX);
			return -EINVAL;
		}
		rule->id = (uint32_t)id;
		return 0;
	}
	if (!is_plain_name(who) || lookup(form->is_group, who, &rule->id) < 0) {
		snprintf(why, KEY_WHY_SIZE, "this machine knows no %s of that name; use %s.N with "
			"the number, or leave the rule out", form->is_group ? "group" : "user",
			form->is_group ? "gid" : "uid");
		return -EINVAL;
	}
	strcpy(rule->name, who);
	return 0;
}

static int parse_role(const char *text, enum config_role *r_role)
{
	for (enum config_role role = CONFIG_ROLE_NONE; role <= CONFIG_ROLE_WRITER; role++) {
		if (!strcmp(text, config_role_name(role))) {
			*r_role = role;
			return 0;
		}
	}
	return -EINVAL;
}

/* The place of the rule for that id; n_rules if there is none. */
static unsigned find_rule(const struct config *c, bool is_group, uint32_t id)
{
	unsigned i = 0;

	while (i < c->access.n_rules &&
			(c->access.rules[i].is_group != is_group || c->access.rules[i].id != id))
		i++;
	return i;
}

/* An option replaces what the file or an earlier option said; a file never replaces anything. */
static int put_rule(const struct assignment *a, const struct config_rule *rule,
		struct config *c, struct config_errors *errs)
{
	unsigned i = find_rule(c, rule->is_group, rule->id);
	char name[KEY_VALUE_SIZE];

	if (i < c->access.n_rules && a->set_at < CONFIG_SET_BY_OPTION) {
		rule_print_name(&c->access.rules[i], name);
		errors_add_assignment(errs, c->file, a,
			"%s on line %u is the same %s; remove one of them", name,
			c->access.rules[i].set_at, rule->is_group ? "group" : "user");
		return -EINVAL;
	}
	if (i == CONFIG_RULES_MAX) {
		errors_add_assignment(errs, c->file, a,
			"there are more than %d rules; use groups to need fewer", CONFIG_RULES_MAX);
		return -EINVAL;
	}
	c->access.rules[i] = *rule;
	if (i == c->access.n_rules)
		c->access.n_rules++;
	return 0;
}

int rule_apply(const struct assignment *a, struct config *c, struct config_errors *errs)
{
	const struct form *form = form_find(a->name);
	struct config_rule rule = {.is_group = form->is_group, .set_at = a->set_at};
	char why[KEY_WHY_SIZE];

	if (parse_role(a->value, &rule.role) < 0) {
		errors_add_assignment(errs, c->file, a,
			"is no role; allowed: none, reader, stager or writer");
		return -EINVAL;
	}
	if (resolve(form, a->name + strlen(form->prefix), &rule, why) < 0) {
		errors_add_assignment(errs, c->file, a, "%s", why);
		return -EINVAL;
	}
	return put_rule(a, &rule, c, errs);
}

void rule_print_name(const struct config_rule *rule, char text[KEY_VALUE_SIZE])
{
	if (rule->name[0])
		snprintf(text, KEY_VALUE_SIZE, "%s.%s", rule->is_group ? "group" : "user",
			rule->name);
	else
		snprintf(text, KEY_VALUE_SIZE, "%s.%" PRIu32, rule->is_group ? "gid" : "uid",
			rule->id);
}

enum config_role config_role(const struct config *c, uid_t uid, gid_t gid, uid_t broker_uid)
{
	unsigned i = find_rule(c, false, uid);

	if (i < c->access.n_rules)
		return c->access.rules[i].role;
	if (uid == broker_uid || uid == 0)
		return c->access.owner;
	i = find_rule(c, true, gid);
	return i < c->access.n_rules ? c->access.rules[i].role : c->access.other;
}

const char *config_role_name(enum config_role role)
{
	static const char *const names[] = {
		[CONFIG_ROLE_NONE] = "none",
		[CONFIG_ROLE_READER] = "reader",
		[CONFIG_ROLE_STAGER] = "stager",
		[CONFIG_ROLE_WRITER] = "writer",
	};

	return names[role];
}
