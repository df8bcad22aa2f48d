/* SPDX-License-Identifier: Apache-2.0 */
/* access.c - who gets which role, and rules that can't be meant. */
#include "tests/shmcache/config/support.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { BROKER = 500, USER = 1000, GROUP = 100 };

static void most_specific_rule_wins(void **state)
{
	static struct config c;

	(void)state;
	load_good(&c, "[access]\nowner = stager\nother = reader\nuid.1000 = writer\n"
		"gid.100 = none\nuid.1001 = none\n");
	assert_int_equal(config_role(&c, 1000, 100, BROKER), CONFIG_ROLE_WRITER);
	assert_int_equal(config_role(&c, 1001, 1, BROKER), CONFIG_ROLE_NONE);
	assert_int_equal(config_role(&c, 1002, 100, BROKER), CONFIG_ROLE_NONE);
	assert_int_equal(config_role(&c, 1002, 101, BROKER), CONFIG_ROLE_READER);
	assert_int_equal(config_role(&c, 100, 1000, BROKER), CONFIG_ROLE_READER);
	assert_int_equal(config_role(&c, BROKER, 100, BROKER), CONFIG_ROLE_STAGER);
	assert_int_equal(config_role(&c, 0, 100, BROKER), CONFIG_ROLE_STAGER);
}

static void uid_rule_beats_even_the_owner(void **state)
{
	static struct config c;

	(void)state;
	load_good(&c, "[access]\nuid.500 = reader\nuid.0 = none\n");
	assert_int_equal(config_role(&c, BROKER, 1, BROKER), CONFIG_ROLE_READER);
	assert_int_equal(config_role(&c, 0, 0, BROKER), CONFIG_ROLE_NONE);
	assert_int_equal(config_role(&c, 501, 1, 501), CONFIG_ROLE_WRITER);
}

static void by_default_only_the_owner_gets_in(void **state)
{
	struct config c;

	(void)state;
	config_init(&c);
	assert_int_equal(config_role(&c, BROKER, GROUP, BROKER), CONFIG_ROLE_WRITER);
	assert_int_equal(config_role(&c, 0, 0, BROKER), CONFIG_ROLE_WRITER);
	assert_int_equal(config_role(&c, USER, GROUP, BROKER), CONFIG_ROLE_NONE);
}

static void names_are_looked_up(void **state)
{
	static struct config c;

	(void)state;
	load_good(&c, "[access]\nuser.root = reader\ngroup.root = stager\n");
	assert_int_equal(config_role(&c, 0, 5, BROKER), CONFIG_ROLE_READER);
	assert_int_equal(config_role(&c, USER, 0, BROKER), CONFIG_ROLE_STAGER);
	assert_int_equal(c.access.rules[0].set_at, 2);
	assert_int_equal(c.access.rules[1].set_at, 3);
}

static void rules_that_match_nobody_are_told(void **state)
{
	(void)state;
	load_bad("[access]\nuser.no-such-user = reader\ngroup.no-such-group = reader\n"
		"uid. = reader\nuid.4294967295 = reader\ngid.-1 = reader\nuser. = reader\n"
		"uid.1 = king\nuid.root = reader\nuuid.1 = reader\n",
		"f.conf:2: [access] user.no-such-user = reader: this machine knows no user of "
		"that name; use uid.N with the number, or leave the rule out\n"
		"f.conf:3: [access] group.no-such-group = reader: this machine knows no group of "
		"that name; use gid.N with the number, or leave the rule out\n"
		"f.conf:4: [access] uid. = reader: there is no such id; write uid.N with N from 0 "
		"to 4294967294\n"
		"f.conf:5: [access] uid.4294967295 = reader: there is no such id; write uid.N "
		"with N from 0 to 4294967294\n"
		"f.conf:6: [access] gid.-1 = reader: there is no such id; write gid.N with N "
		"from 0 to 4294967294\n"
		"f.conf:7: [access] user. = reader: this machine knows no user of that name; use "
		"uid.N with the number, or leave the rule out\n"
		"f.conf:8: [access] uid.1 = king: is no role; allowed: none, reader, stager or "
		"writer\n"
		"f.conf:9: [access] uid.root = reader: there is no such id; write uid.N with N "
		"from 0 to 4294967294\n"
		"f.conf:10: [access] uuid.1 = reader: unknown key; remove it, or see "
		"shmcached.conf(5) for what [access] may hold\n");
}

static void two_rules_for_one_id_are_told(void **state)
{
	(void)state;
	load_bad("[access]\nuser.root = reader\nuid.0 = writer\nuid.7 = none\nuid.07 = none\n"
		"gid.7 = none\ngid.7 = none\n",
		"f.conf:3: [access] uid.0 = writer: user.root on line 2 is the same user; remove "
		"one of them\n"
		"f.conf:5: [access] uid.07 = none: uid.7 on line 4 is the same user; remove one "
		"of them\n"
		"f.conf:7: [access] gid.7 = none: gid.7 on line 6 is the same group; remove one "
		"of them\n");
}

static void rules_are_bounded(void **state)
{
	static struct config_errors errs;
	static struct config c;
	char text[4096] = "[access]\n";

	(void)state;
	for (int i = 0; i < CONFIG_RULES_MAX; i++)
		sprintf(text + strlen(text), "uid.%d = reader\n", i);
	load_good(&c, text);
	assert_int_equal(config_role(&c, CONFIG_RULES_MAX - 1, 1, BROKER), CONFIG_ROLE_READER);
	assert_int_equal(config_set(&c, "access.uid.3", "writer", &errs), 0);
	assert_int_equal(config_role(&c, 3, 1, BROKER), CONFIG_ROLE_WRITER);
	strcat(text, "uid.900 = writer\n");
	load_bad(text, "f.conf:66: [access] uid.900 = writer: there are more than 64 rules; use "
		"groups to need fewer\n");
}

static void options_set_and_replace_rules(void **state)
{
	static struct config_errors errs;
	static struct config c;

	(void)state;
	load_good(&c, "[access]\nuid.1000 = reader\n");
	assert_int_equal(config_set(&c, "access.uid.1000", "writer", &errs), 0);
	assert_int_equal(config_set(&c, "access.gid.100", "stager", &errs), 0);
	assert_int_equal(config_set(&c, "access.gid.100", "reader", &errs), 0);
	assert_int_equal(c.access.n_rules, 2);
	assert_int_equal(config_role(&c, 1000, 1, BROKER), CONFIG_ROLE_WRITER);
	assert_int_equal(config_role(&c, 1001, 100, BROKER), CONFIG_ROLE_READER);
	assert_int_equal(c.access.rules[1].set_at, CONFIG_SET_BY_OPTION + 3);
	assert_int_equal(config_set(&c, "access.uid.x", "writer", &errs), -EINVAL);
	expect_errors(&errs, "option -o: [access] uid.x = writer: there is no such id; write uid.N "
		"with N from 0 to 4294967294\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(most_specific_rule_wins),
		cmocka_unit_test(uid_rule_beats_even_the_owner),
		cmocka_unit_test(by_default_only_the_owner_gets_in),
		cmocka_unit_test(names_are_looked_up),
		cmocka_unit_test(rules_that_match_nobody_are_told),
		cmocka_unit_test(two_rules_for_one_id_are_told),
		cmocka_unit_test(rules_are_bounded),
		cmocka_unit_test(options_set_and_replace_rules),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
