/* SPDX-License-Identifier: Apache-2.0 */
/* keys.c - every key reaches its own field, has the promised default, and keeps its limits. */
#include "tests/shmcache/config/support.h"

#include "shmcache/config/keys.h"
#include "shmcache/config/units.h"

#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void defaults_are_as_promised(void **state)
{
	struct config c;

	(void)state;
	config_init(&c);
	assert_string_equal(c.cache.name, "shmcache");
	assert_true(c.cache.persist);
	assert_string_equal(c.cache.socket, "");
	assert_int_equal(c.dram.size, 0);
	assert_int_equal(c.dram.node, -1);
	assert_int_equal(c.dram.huge_pages, CONFIG_HUGE_PAGES_OFF);
	assert_int_equal(c.dram.reserve_threads, 0);
	assert_int_equal(c.cxl.backend, CONFIG_BACKEND_AUTO);
	assert_int_equal(c.cxl.size, 0);
	assert_string_equal(c.cxl.device, "");
	assert_int_equal(c.cxl.node, -1);
	assert_int_equal(c.cxl.threshold, 0);
	assert_string_equal(c.cxl.policy, "");
	assert_int_equal(c.cxl.demote_at_percent, 95);
	assert_int_equal(c.cxl.demote_to_percent, 0);
	assert_int_equal(c.cxl.promote_after, 2);
	assert_int_equal(c.cxl.promote_rate, 256 << 20);
	assert_int_equal(c.index.size_max, 0);
	assert_string_equal(c.eviction.policy, "");
	assert_int_equal(c.eviction.batch, 64);
	assert_int_equal(c.broker.workers, 1);
	assert_int_equal(c.broker.poll, CONFIG_POLL_ADAPTIVE);
	assert_int_equal(c.broker.spin_ns, 50000);
	assert_int_equal(c.broker.round, 32);
	assert_int_equal(CPU_COUNT(&c.broker.cpus), 0);
	assert_int_equal(c.session.n_max, 256);
	assert_int_equal(c.session.lanes, 64);
	assert_int_equal(c.session.queue, 256);
	assert_int_equal(c.session.holds, 1024);
	assert_int_equal(c.session.staging_size, 1 << 20);
	assert_int_equal(c.session.reservations, 64);
	assert_int_equal(c.session.reserved_percent, 25);
	assert_int_equal(c.session.pinned_percent, 25);
	assert_int_equal(c.session.held_percent, 50);
	assert_int_equal(c.session.pin_time_max_ns, UINT64_C(3600000000000));
	assert_int_equal(c.session.hello_timeout_ns, UINT64_C(5000000000));
	assert_int_equal(c.session.handshakes, 64);
	assert_int_equal(c.access.owner, CONFIG_ROLE_WRITER);
	assert_int_equal(c.access.other, CONFIG_ROLE_NONE);
	assert_int_equal(c.access.n_rules, 0);
	assert_string_equal(c.remote.listen, "");
	assert_string_equal(c.remote.advertise, "");
	assert_string_equal(c.remote.name, "");
	assert_string_equal(c.remote.cluster, "shmcache");
	assert_string_equal(c.remote.members, "");
	assert_string_equal(c.remote.etcd, "");
	assert_string_equal(c.remote.etcd_prefix, "/shmcache");
	assert_string_equal(c.remote.etcd_user, "");
	assert_string_equal(c.remote.etcd_password_file, "");
	assert_string_equal(c.remote.etcd_ca, "");
	assert_string_equal(c.remote.etcd_certificate, "");
	assert_string_equal(c.remote.etcd_key, "");
	assert_int_equal(c.remote.locate, CONFIG_LOCATE_AUTO);
	assert_int_equal(c.remote.write_back, CONFIG_WRITE_BACK_ALWAYS);
	assert_int_equal(c.remote.lanes, 2);
	assert_int_equal(c.remote.window_size, 16 << 20);
	assert_int_equal(c.remote.timeout_ns, UINT64_C(5000000000));
	assert_int_equal(c.remote.absent_for_ns, 100000000);
	assert_int_equal(c.remote.fetches, 64);
	assert_int_equal(c.remote.deliver_percent, 25);
	assert_int_equal(c.remote.security, CONFIG_SECURITY_TLS);
	assert_false(c.remote.insecure_network);
	assert_string_equal(c.remote.ca, "");
	assert_string_equal(c.remote.certificate, "");
	assert_string_equal(c.remote.key, "");
	assert_true(c.remote.data_tls);
	assert_string_equal(c.remote.congestion, "");
	assert_false(config_has_remote(&c));
	assert_string_equal(c.metrics.listen, "");
	assert_int_equal(c.log.level, LOG_LEVEL_INFO);
	assert_int_equal(c.log.target, LOG_TARGET_STDERR);
	for (unsigned i = 0; i < n_keys; i++)
		assert_int_equal(c.set_at[i], 0);
}

/* No two of one type alike, so that a key in another's field shows. */
static const char all_set[] =
	"[cache]\nname = kv0\npersist = off\nsocket = /run/kv0.sock\n"
	"[dram]\nsize = 8GiB\nnode = 3\nhuge_pages = advise\nreserve_threads = 5\n"
	"[cxl]\nbackend = numa\nsize = 3GiB\ndevice = /dev/dax1.0\nnode = 2\n"
	"size_threshold = 64KiB\npolicy = clock\ndemote_at = 80%\ndemote_to = 70%\n"
	"promote_after = 3\npromote_rate = 5MiB\n"
	"[index]\nsize_max = 1GiB\n"
	"[eviction]\npolicy = s3-fifo\nbatch = 33\n"
	"[broker]\nworkers = 4\npoll = busy\nspin = 7us\nround = 12\nrestart_grace = 3s\ncpus = 0-3,8\n"
	"[session]\nmax = 100\nlanes = 11\nqueue = 32\nholds = 128\nstaging = 2MiB\n"
	"reservations = 9\nreserved_max = 10%\npinned_max = 20%\nheld_max = 30%\npin_time_max = 2m\n"
	"hello_timeout = 250ms\nhandshakes = 17\n"
	"[access]\nowner = stager\nother = reader\n"
	"[remote]\nlisten = 10.0.0.1:7400\nadvertise = [fd00::1]:7401\nname = b1\ncluster = c1\n"
	"members = b1=10.0.0.1:7400, b2=[fd00::2]:7402\netcd_prefix = /there\n"
	"etcd_user = me\netcd_password_file = /secret\n"
	"etcd_ca = /x\netcd_certificate = /y\netcd_key = /z\n"
	"locate = ask\nwrite_back = second-hit\nlanes = 6\nwindow = 9MiB\ntimeout = 4s\n"
	"absent_for = 77ms\nfetches = 44\ndeliver_max = 31%\nsecurity = none\n"
	"insecure_network = on\nca = /a\ncertificate = /b\nkey = /c\ndata_tls = off\n"
	"congestion = reno\n"
	"[metrics]\nlisten = [::1]:9113\n"
	"[log]\nlevel = debug\ntarget = journal\n";

static void every_key_reaches_its_field(void **state)
{
	static struct config_errors errs;
	static struct config c;

	(void)state;
	load_good(&c, all_set);
	/* It contradicts members: by itself, and known to be its own field by that. */
	assert_string_equal(c.remote.etcd, "");
	assert_int_equal(config_set(&c, "remote.etcd", "http://10.0.0.9:2379", &errs), 0);
	assert_string_equal(c.remote.etcd, "http://10.0.0.9:2379");
	assert_string_equal(c.cache.name, "kv0");
	assert_false(c.cache.persist);
	assert_string_equal(c.cache.socket, "/run/kv0.sock");
	assert_int_equal(c.dram.size, UINT64_C(8) << 30);
	assert_int_equal(c.dram.node, 3);
	assert_int_equal(c.dram.huge_pages, CONFIG_HUGE_PAGES_ADVISE);
	assert_int_equal(c.dram.reserve_threads, 5);
	assert_int_equal(c.cxl.backend, CONFIG_BACKEND_NUMA);
	assert_int_equal(c.cxl.size, UINT64_C(3) << 30);
	assert_string_equal(c.cxl.device, "/dev/dax1.0");
	assert_int_equal(c.cxl.node, 2);
	assert_int_equal(c.cxl.threshold, 64 << 10);
	assert_string_equal(c.cxl.policy, "clock");
	assert_int_equal(c.cxl.demote_at_percent, 80);
	assert_int_equal(c.cxl.demote_to_percent, 70);
	assert_int_equal(c.cxl.promote_after, 3);
	assert_int_equal(c.cxl.promote_rate, 5 << 20);
	assert_int_equal(c.index.size_max, 1 << 30);
	assert_string_equal(c.eviction.policy, "s3-fifo");
	assert_int_equal(c.eviction.batch, 33);
	assert_int_equal(c.broker.workers, 4);
	assert_int_equal(c.broker.poll, CONFIG_POLL_BUSY);
	assert_int_equal(c.broker.spin_ns, 7000);
	assert_int_equal(c.broker.round, 12);
	assert_int_equal(c.broker.restart_grace_ns, UINT64_C(3000000000));
	assert_int_equal(CPU_COUNT(&c.broker.cpus), 5);
	for (int cpu = 0; cpu < 10; cpu++)
		assert_int_equal(!!CPU_ISSET(cpu, &c.broker.cpus), cpu < 4 || cpu == 8);
	assert_int_equal(c.session.n_max, 100);
	assert_int_equal(c.session.lanes, 11);
	assert_int_equal(c.session.queue, 32);
	assert_int_equal(c.session.holds, 128);
	assert_int_equal(c.session.staging_size, 2 << 20);
	assert_int_equal(c.session.reservations, 9);
	assert_int_equal(c.session.reserved_percent, 10);
	assert_int_equal(c.session.pinned_percent, 20);
	assert_int_equal(c.session.held_percent, 30);
	assert_int_equal(c.session.pin_time_max_ns, UINT64_C(120000000000));
	assert_int_equal(c.session.hello_timeout_ns, 250000000);
	assert_int_equal(c.session.handshakes, 17);
	assert_int_equal(c.access.owner, CONFIG_ROLE_STAGER);
	assert_int_equal(c.access.other, CONFIG_ROLE_READER);
	assert_string_equal(c.remote.listen, "10.0.0.1:7400");
	assert_string_equal(c.remote.advertise, "[fd00::1]:7401");
	assert_string_equal(c.remote.name, "b1");
	assert_string_equal(c.remote.cluster, "c1");
	assert_string_equal(c.remote.members, "b1=10.0.0.1:7400,b2=[fd00::2]:7402");
	assert_string_equal(c.remote.etcd_prefix, "/there");
	assert_string_equal(c.remote.etcd_user, "me");
	assert_string_equal(c.remote.etcd_password_file, "/secret");
	assert_string_equal(c.remote.etcd_ca, "/x");
	assert_string_equal(c.remote.etcd_certificate, "/y");
	assert_string_equal(c.remote.etcd_key, "/z");
	assert_int_equal(c.remote.locate, CONFIG_LOCATE_ASK);
	assert_int_equal(c.remote.write_back, CONFIG_WRITE_BACK_SECOND_HIT);
	assert_int_equal(c.remote.lanes, 6);
	assert_int_equal(c.remote.window_size, 9 << 20);
	assert_int_equal(c.remote.timeout_ns, UINT64_C(4000000000));
	assert_int_equal(c.remote.absent_for_ns, 77000000);
	assert_int_equal(c.remote.fetches, 44);
	assert_int_equal(c.remote.deliver_percent, 31);
	assert_int_equal(c.remote.security, CONFIG_SECURITY_NONE);
	assert_true(c.remote.insecure_network);
	assert_string_equal(c.remote.ca, "/a");
	assert_string_equal(c.remote.certificate, "/b");
	assert_string_equal(c.remote.key, "/c");
	assert_false(c.remote.data_tls);
	assert_string_equal(c.remote.congestion, "reno");
	assert_true(config_has_remote(&c));
	assert_string_equal(c.metrics.listen, "[::1]:9113");
	assert_int_equal(c.log.level, LOG_LEVEL_DEBUG);
	assert_int_equal(c.log.target, LOG_TARGET_JOURNAL);
	for (unsigned i = 0; i < n_keys; i++)
		if (!c.set_at[i])
			fail_msg("%s.%s is not part of this test", keys[i].section, keys[i].name);
}

static void it_is_known_where_each_key_was_set(void **state)
{
	static struct config_errors errs;
	static struct config c;

	(void)state;
	load_good(&c, "\n[dram]\n\nsize = 1MiB\n[session]\nstaging = 64KiB\n");
	assert_int_equal(config_set_at(&c, "dram.size"), 4);
	assert_int_equal(config_set_at(&c, "session.staging"), 6);
	assert_int_equal(config_set_at(&c, "dram.node"), 0);
	assert_int_equal(config_set_at(&c, "dram.nonsense"), 0);
	assert_int_equal(config_set_at(&c, "dram"), 0);
	assert_int_equal(config_set_at(&c, ""), 0);
	assert_int_equal(config_set(&c, "dram.size", "2MiB", &errs), 0);
	assert_int_equal(config_set(&c, "dram.node", "0", &errs), 0);
	assert_int_equal(config_set_at(&c, "dram.size"), CONFIG_SET_BY_OPTION + 1);
	assert_int_equal(config_set_at(&c, "dram.node"), CONFIG_SET_BY_OPTION + 2);
	assert_int_equal(c.dram.size, 2 << 20);
}

static void sizes_are_rounded_down_to_pages(void **state)
{
	static struct config c;

	(void)state;
	load_good(&c, "[dram]\nsize = 1048577\n[session]\nstaging = 69631B\n"
		"[index]\nsize_max = 2097151\n");
	assert_int_equal(c.dram.size, 1048576);
	assert_int_equal(c.session.staging_size, 65536);
	assert_int_equal(c.index.size_max, 2093056);
}

static void bools_have_three_spellings(void **state)
{
	static const char *const words[][2] = {{"on", "off"}, {"yes", "no"}, {"true", "false"}};
	static struct config_errors errs;
	struct config c;

	(void)state;
	config_init(&c);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(config_set(&c, "cache.persist", words[i][1], &errs), 0);
		assert_false(c.cache.persist);
		assert_int_equal(config_set(&c, "cache.persist", words[i][0], &errs), 0);
		assert_true(c.cache.persist);
	}
}

static void cpus_are_printed_in_their_shortest_form(void **state)
{
	static const char *const lists[][2] = {
		{"0", "0"}, {"1,0", "0-1"}, {"8,0-3", "0-3,8"}, {"3-3", "3"}, {"0-2,2-5", "0-5"},
		{"1023", "1023"}, {"0-1023", "0-1023"}, {"0,2,4", "0,2,4"},
	};
	static const char *const bad[] = {
		",", "1,", ",1", "1,,2", "a", "1-", "-1", "3-1", "1024", "0-1024", "1 2", "0-3-5",
		"99999999999999999999", "1, 2",
	};
	const struct key *key = key_find("broker", "cpus");
	char text[KEY_VALUE_SIZE], why[KEY_WHY_SIZE];
	struct config c;

	(void)state;
	config_init(&c);
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		assert_int_equal(key_parse(key, lists[i][0], &c, why), 0);
		key_print(key, &c, text);
		assert_string_equal(text, lists[i][1]);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (key_parse(key, bad[i], &c, why) != -EINVAL)
			fail_msg("%s: accepted", bad[i]);
		key_print(key, &c, text);
		assert_string_equal(text, "0,2,4");
	}
}

static bool is_number(const struct key *k)
{
	return k->type == KEY_COUNT || k->type == KEY_INT || k->type == KEY_SIZE ||
		k->type == KEY_DURATION || k->type == KEY_PERCENT;
}

/* A number as the key would have it written. */
static void write_number(const struct key *k, int64_t number, char text[64])
{
	const char *unit = k->type == KEY_SIZE ? "B" : k->type == KEY_DURATION ? "ns" :
		k->type == KEY_PERCENT ? "%" : "";

	snprintf(text, 64, "%" PRId64 "%s", number, unit);
}

static void try_number(const struct key *k, int64_t number, const char *complaint)
{
	char text[64], before[KEY_VALUE_SIZE], after[KEY_VALUE_SIZE], why[KEY_WHY_SIZE] = "";
	struct config c;
	int r;

	config_init(&c);
	key_print(k, &c, before);
	write_number(k, number, text);
	r = key_parse(k, text, &c, why);
	if ((r < 0) != (complaint != NULL))
		fail_msg("%s.%s = %s: %d %s", k->section, k->name, text, r, why);
	if (!complaint)
		return;
	if (!strstr(why, complaint))
		fail_msg("%s.%s = %s: %s", k->section, k->name, text, why);
	key_print(k, &c, after);
	assert_string_equal(before, after);
}

static void every_number_keeps_its_limits(void **state)
{
	unsigned n_seen = 0;

	(void)state;
	for (const struct key *k = keys; k < keys + n_keys; k++) {
		if (!is_number(k))
			continue;
		n_seen++;
		try_number(k, k->min, NULL);
		try_number(k, k->max, NULL);
		try_number(k, k->max + 1, k->type == KEY_INT ? "out of range" : "is too large");
		if (k->type == KEY_INT)
			try_number(k, k->min - 1, "out of range");
		else if (k->min > 1)
			try_number(k, k->min - 1, "is too small");
		if (k->type != KEY_INT)
			try_number(k, -1, "is negative");
		if (k->min > 0)
			try_number(k, 0, k->zero ? NULL : "is too small");
		if (k->power_of_two)
			try_number(k, k->min + 1, "is not a power of two");
	}
	assert_int_equal(n_seen, 34);
}

static void every_choice_can_be_chosen(void **state)
{
	char text[KEY_VALUE_SIZE], why[KEY_WHY_SIZE];
	struct config c;

	(void)state;
	config_init(&c);
	for (const struct key *k = keys; k < keys + n_keys; k++) {
		for (unsigned i = 0; k->type == KEY_CHOICE && k->choices[i]; i++) {
			assert_int_equal(key_parse(k, k->choices[i], &c, why), 0);
			key_print(k, &c, text);
			assert_string_equal(text, k->choices[i]);
		}
	}
	for (enum config_role role = CONFIG_ROLE_NONE; role <= CONFIG_ROLE_WRITER; role++)
		assert_string_equal(config_role_name(role),
			key_find("access", "other")->choices[role]);
	for (enum log_level level = LOG_LEVEL_ERROR; level <= LOG_LEVEL_DEBUG; level++)
		assert_string_equal(log_level_name(level), key_find("log", "level")->choices[level]);
}

/* The printers rely on it: a section's rows stand together, and no key stands twice. */
static void table_is_in_order(void **state)
{
	(void)state;
	for (const struct key *k = keys; k < keys + n_keys; k++) {
		assert_ptr_equal(key_find(k->section, k->name), k);
		for (const struct key *l = keys; l < k; l++)
			if (!strcmp(l->section, k->section))
				assert_string_equal(k[-1].section, k->section);
	}
}

static void socket_is_beside_the_plane_unless_named(void **state)
{
	char path[CONFIG_PATH_MAX + 1], name[CONFIG_NAME_MAX + 1], expected[128];
	static struct config_errors errs;
	struct config c;

	(void)state;
	config_init(&c);
	config_socket_path(&c, path);
	assert_string_equal(path, "/dev/shm/shmcache.sock");
	memset(name, 'n', CONFIG_NAME_MAX);
	name[CONFIG_NAME_MAX] = '\0';
	assert_int_equal(config_set(&c, "cache.name", name, &errs), 0);
	config_socket_path(&c, path);
	snprintf(expected, sizeof(expected), "/dev/shm/%s.sock", name);
	assert_string_equal(path, expected);
	assert_int_equal(config_set(&c, "cache.socket", "/run/a.sock", &errs), 0);
	config_socket_path(&c, path);
	assert_string_equal(path, "/run/a.sock");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults_are_as_promised),
		cmocka_unit_test(every_key_reaches_its_field),
		cmocka_unit_test(it_is_known_where_each_key_was_set),
		cmocka_unit_test(sizes_are_rounded_down_to_pages),
		cmocka_unit_test(bools_have_three_spellings),
		cmocka_unit_test(cpus_are_printed_in_their_shortest_form),
		cmocka_unit_test(every_number_keeps_its_limits),
		cmocka_unit_test(every_choice_can_be_chosen),
		cmocka_unit_test(table_is_in_order),
		cmocka_unit_test(socket_is_beside_the_plane_unless_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
