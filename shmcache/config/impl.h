/* SPDX-License-Identifier: Apache-2.0 */
/* impl.h - inside the configuration: what its sources share. */
#ifndef SHMCACHE_CONFIG_IMPL_H
#define SHMCACHE_CONFIG_IMPL_H

#include "shmcache/config/config.h"
#include "shmcache/config/keys.h"

/* One assignment as it was read: nothing in it is trusted. */
struct assignment {
	const char *section, *name, *value;
	unsigned set_at; /* as in struct config */
};

/* A set of keys, by their place in the table. */
struct key_set {
	bool has[CONFIG_KEYS_MAX];
};

/*
 * Adds a complaint about a place: file is the name of the file, and not looked at if set_at says
 * that an option is meant. Complaints are kept in the order of set_at.
 */
__attribute__((format(printf, 4, 5))) void errors_add(struct config_errors *errs,
		const char *file, unsigned set_at, const char *format, ...);

/* The same about an assignment, which is quoted: "[dram] size = 1KiB: ...". */
__attribute__((format(printf, 4, 5))) void errors_add_assignment(struct config_errors *errs,
		const char *file, const struct assignment *a, const char *format, ...);

/*
 * Carries an assignment out. -EINVAL after a complaint; a known key whose value is bad is put
 * into *bad, so that nothing is concluded from what it is instead.
 */
int assignment_apply(const struct assignment *a, struct config *c, struct key_set *bad,
		struct config_errors *errs);

/* As config_check(), but silent about keys in bad. */
int check_contradictions(const struct config *c, const struct key_set *bad,
		struct config_errors *errs);

/* Whether the name is one of a rule: uid.N, user.NAME, gid.N, group.NAME. */
bool rule_is_name(const char *name);

/* Carries out a rule of [access]. -EINVAL after a complaint. */
int rule_apply(const struct assignment *a, struct config *c, struct config_errors *errs);

/* Whether both have the same rules. */
bool rules_equal(const struct config *a, const struct config *b);

/* The name of a rule as it was given: "uid.1000", "user.alice". */
void rule_print_name(const struct config_rule *rule, char text[KEY_VALUE_SIZE]);

#endif
