/* SPDX-License-Identifier: Apache-2.0 */
/* Unit of cluster.c: what a cluster may say of a broker's configuration. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "shmcache/config/keys.h"
#include "tests/shmcache/config/support.h"

static const struct {
	const char *name, *value;
} values[] = {
	{"locate", "directory"}, {"write_back", "second-hit"}, {"lanes", "5"}, {"window", "3MiB"},
	{"timeout", "7s"}, {"absent_for", "0"}, {"data_tls", "on"},
};

static void each_key_reaches_its_field(void **state)
{
	char why[CONFIG_WHY_SIZE], text[CONFIG_VALUE_SIZE];
	static struct config c;
	unsigned i;

	(void)state;
	load_good(&c, "[remote]\ndata_tls = off\n");
	for (i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		assert_string_equal(config_cluster_key(i), values[i].name);
		assert_int_equal(config_cluster_set(&c, values[i].name, values[i].value, why), 0);
		config_cluster_print(&c, values[i].name, text);
		assert_string_equal(text, values[i].value);
	}
	assert_null(config_cluster_key(i));
	assert_int_equal(c.remote.locate, CONFIG_LOCATE_DIRECTORY);
	assert_int_equal(c.remote.write_back, CONFIG_WRITE_BACK_SECOND_HIT);
	assert_int_equal(c.remote.lanes, 5);
	assert_int_equal(c.remote.window_size, 3 << 20);
	assert_int_equal(c.remote.timeout_ns, UINT64_C(7000000000));
	assert_int_equal(c.remote.absent_for_ns, 0);
	assert_true(c.remote.data_tls);
}

/* Every other key there is, of whatever section, stays as it was. */
static void no_other_key_can_be_set(void **state)
{
	char why[CONFIG_WHY_SIZE], text[CONFIG_VALUE_SIZE];
	static struct config c, was;
	const struct key *there;
	unsigned i;

	(void)state;
	load_good(&c, "");
	was = c;
	for (i = 0; i < n_keys; i++) {
		/* [session] lanes is none, and [remote] lanes is. */
		there = key_find("remote", keys[i].name);
		if (there && there->is_cluster)
			continue;
		assert_int_equal(config_cluster_set(&c, keys[i].name, "1", why), -ENOENT);
		config_cluster_print(&c, keys[i].name, text);
		assert_string_equal(text, "");
	}
	assert_int_equal(config_cluster_set(&c, "security", "none", why), -ENOENT);
	assert_non_null(strstr(why, "each broker's own"));
	assert_int_equal(config_cluster_set(&c, "", "", why), -ENOENT);
	assert_int_equal(config_cluster_set(&c, "remote.lanes", "3", why), -ENOENT);
	assert_string_equal(why, "there is no such key");
	assert_true(config_equal(&c, &was));
}

static void nonsense_changes_nothing(void **state)
{
	static const char *const wrong[] = {"", " ", "-1", "4294967297", "99999999999999999999999",
		"\x1b[2J", "\xff\xfe", "on\noff", "directory;ask", "5 6", "0x5", "(too long)"};
	char why[CONFIG_WHY_SIZE], many[4096];
	static struct config c, was;
	unsigned i, j;

	(void)state;
	load_good(&c, "");
	was = c;
	memset(many, '9', sizeof(many) - 1);
	many[sizeof(many) - 1] = '\0';
	for (i = 0; config_cluster_key(i); i++) {
		for (j = 0; j < sizeof(wrong) / sizeof(wrong[0]); j++) {
			why[0] = '\0';
			if (config_cluster_set(&c, config_cluster_key(i), wrong[j], why) != -EINVAL)
				fail_msg("%s = %s is taken", config_cluster_key(i), wrong[j]);
			assert_true(why[0]);
		}
		assert_int_equal(config_cluster_set(&c, config_cluster_key(i), many, why), -EINVAL);
	}
	assert_true(config_equal(&c, &was));
}

/* Whoever writes the settings takes no encryption away; he may add it. */
static void security_is_not_weakened(void **state)
{
	char why[CONFIG_WHY_SIZE];
	static struct config c;

	(void)state;
	load_good(&c, "");
	assert_int_equal(config_cluster_set(&c, "data_tls", "off", why), -EPERM);
	assert_true(c.remote.data_tls);
	assert_int_equal(config_cluster_set(&c, "data_tls", "on", why), 0);
	load_good(&c, "[remote]\ndata_tls = off\n");
	assert_int_equal(config_cluster_set(&c, "data_tls", "off", why), 0);
	assert_false(c.remote.data_tls);
	assert_int_equal(config_cluster_set(&c, "data_tls", "on", why), 0);
	assert_true(c.remote.data_tls);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_key_reaches_its_field),
		cmocka_unit_test(no_other_key_can_be_set),
		cmocka_unit_test(nonsense_changes_nothing),
		cmocka_unit_test(security_is_not_weakened),
	};

	return cmocka_run_group_tests_name("cluster", tests, NULL, NULL);
}
