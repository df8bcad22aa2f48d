/* SPDX-License-Identifier: Apache-2.0 */
/* keys.h - inside the configuration: the table of keys, and what is derived from a row. */
#ifndef SHMCACHE_CONFIG_KEYS_H
#define SHMCACHE_CONFIG_KEYS_H

#include "shmcache/config/config.h"

enum {
	KEY_VALUE_SIZE = CONFIG_VALUE_SIZE,
	KEY_RANGE_SIZE = 192, /* room for what key_range_print() says */
	KEY_WHY_SIZE = CONFIG_WHY_SIZE,
};

enum key_type {
	KEY_NAME,     /* char[max + 1]: letters, digits, _ and - */
	KEY_PATH,     /* char[max + 1]: absolute, without blanks */
	KEY_ADDRESS,  /* char[max + 1]: a port, address and port, or a path */
	KEY_ENDPOINT, /* char[max + 1]: a port, or address and port */
	KEY_MEMBERS,  /* char[max + 1]: NAME=ADDRESS:PORT, with commas between */
	KEY_URLS,     /* char[max + 1]: http://..., with commas between */
	KEY_BOOL,     /* bool */
	KEY_CHOICE,   /* an enum from 0, by names */
	KEY_COUNT,    /* unsigned */
	KEY_INT,      /* int */
	KEY_SIZE,     /* uint64_t, bytes */
	KEY_DURATION, /* uint64_t, nanoseconds */
	KEY_PERCENT,  /* unsigned, whole percents */
	KEY_CPUS,     /* cpu_set_t */
};

/* One row. The parser, the printer, the example file and the tests of the docs all read it. */
struct key {
	const char *section;
	const char *name;
	enum key_type type;
	size_t offset;		    /* of the field in struct config */
	int64_t min, max;	    /* of the value, or of its length */
	uint64_t multiple;	    /* larger than 0: values are rounded down to it */
	bool power_of_two;
	const char *zero;	    /* what 0, or nothing, stands for; NULL: not allowed */
	const char *const *choices; /* NULL-terminated */
	const char *value;	    /* the default, as one would write it */
	enum config_change change;  /* when another value takes effect in a running broker */
	bool is_cluster;	    /* may be set for all brokers of a cluster: cluster.c */
	const char *help;
};

extern const struct key keys[];
extern const unsigned n_keys;

/* NULL if there is none. */
const struct key *key_find(const char *section, const char *name);
bool key_has_section(const char *section);

/* What was probably meant by a section or by a name in that section; NULL if nothing is near. */
const char *key_nearest_section(const char *section);
const char *key_nearest_name(const char *section, const char *name);

/*
 * Puts a value into its field of c; 0, or -EINVAL with a complaint that says what to do, and c
 * as it was.
 */
int key_parse(const struct key *key, const char *text, struct config *c, char why[KEY_WHY_SIZE]);

/* Inside the parser: NULL if it is an address with a port, or what is wrong with it. */
const char *endpoint_check(const char *text);

/*
 * Lists, checked and copied to @field without the blanks in them. NULL, or what is wrong with it.
 */
const char *members_parse(const char *text, char *field);
const char *urls_parse(const char *text, char *field);

/* The value in the one form in which it is always printed. */
void key_print(const struct key *key, const struct config *c, char text[KEY_VALUE_SIZE]);

/* Whether nothing at all is a value, and not a mistake. */
bool key_may_be_empty(const struct key *key);

/* What a value may be: "1 to 16", "on or off", "1MiB to 64TiB, or 0: ...". */
void key_range_print(const struct key *key, char text[KEY_RANGE_SIZE]);

#endif
