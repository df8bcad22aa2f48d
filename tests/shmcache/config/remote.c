/* SPDX-License-Identifier: Apache-2.0 */
/* remote.c - addresses, lists of members, and what of [remote] can't be meant. */
#include "tests/shmcache/config/support.h"

#include "shmcache/config/keys.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void endpoints_are_a_port_or_an_address_with_one(void **state)
{
	static const struct {
		const char *text;
		int family, port;
		bool is_loopback;
	} good[] = {
		{"7400", AF_INET, 7400, true}, {"127.0.0.1:1", AF_INET, 1, true},
		{"127.9.0.1:65535", AF_INET, 65535, true}, {"10.0.0.1:7400", AF_INET, 7400, false},
		{"0.0.0.0:7400", AF_INET, 7400, false}, {"[::1]:7", AF_INET6, 7, true},
		{"[::]:7", AF_INET6, 7, false}, {"[fd00::1]:7400", AF_INET6, 7400, false},
		{"[::ffff:127.0.0.1]:7", AF_INET6, 7, false},
	};
	static const char *const bad[] = {"", "0", "65536", "x", ":7400", "host:7400", "10.0.0.1",
		"10.0.0.1:", "10.0.0.1:0", "10.0.0:7", "::1:7", "[::1]", "[::1:7", "[10.0.0.1]:7",
		"10.0.0.1:7 ", " 7", "1.2.3.4:+7", "/run/x"};
	struct sockaddr_storage address;
	socklen_t len;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_int_equal(config_endpoint(good[i].text, &address, &len), 0);
		assert_int_equal(address.ss_family, good[i].family);
		assert_int_equal(ntohs(((struct sockaddr_in *)&address)->sin_port), good[i].port);
		assert_int_equal(config_is_loopback(&address), good[i].is_loopback);
		assert_int_equal(len, good[i].family == AF_INET ? sizeof(struct sockaddr_in)
								: sizeof(struct sockaddr_in6));
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (config_endpoint(bad[i], &address, &len) != -EINVAL)
			fail_msg("%s: taken", bad[i]);
}

static void members_come_apart_as_they_were_written(void **state)
{
	static struct config c;
	struct config_member m;
	const char *at;

	(void)state;
	load_good(&c, "[remote]\nmembers = a=127.0.0.1:1 ,\tb-2=[::1]:2,  c=127.0.0.1:3\nname = a\n"
		"security = none\n");
	assert_string_equal(c.remote.members, "a=127.0.0.1:1,b-2=[::1]:2,c=127.0.0.1:3");
	at = c.remote.members;
	assert_true(config_member_next(&at, &m));
	assert_string_equal(m.name, "a");
	assert_string_equal(m.endpoint, "127.0.0.1:1");
	assert_true(config_member_next(&at, &m));
	assert_string_equal(m.name, "b-2");
	assert_string_equal(m.endpoint, "[::1]:2");
	assert_true(config_member_next(&at, &m));
	assert_false(config_member_next(&at, &m));
	assert_string_equal(m.name, "c");
}

static void wrong_lists_are_refused(void **state)
{
	static const struct {
		const char *name, *value, *why;
	} bad[] = {
		{"members", "10.0.0.1:7400", "without a name"},
		{"members", "=10.0.0.1:7400", "whose name is none"},
		{"members", "a.b=10.0.0.1:7400", "whose name is none"},
		{"members", "a=7400", "without a numeric address"},
		{"members", "a=host:7400", "without a numeric address"},
		{"members", "a=10.0.0.1:0", "without a numeric address"},
		{"members", "a=10.0.0.1:1,", "comma without a member"},
		{"members", ",a=10.0.0.1:1", "comma without a member"},
		{"members", "a=10.0.0.1:1, ,b=10.0.0.1:2", "comma without a member"},
		{"members", "a=10.0.0.1:1 b=10.0.0.1:2", "has a blank"},
		{"members", "a=10.0.0.1:1,a=10.0.0.1:2", "two members of one name"},
		{"members", "a=10.0.0.1:1,b=10.0.0.1:2,a=10.0.0.1:3", "two members of one name"},
		{"etcd", "10.0.0.1:2379", "no http:// or https:// URL"},
		{"etcd", "http://", "no http:// or https:// URL"},
		{"etcd", "http:///x", "no http:// or https:// URL"},
		{"etcd", "http://a,,http://b", "comma without a URL"},
		{"etcd", "http://a\"b", "no http:// or https:// URL"},
		{"listen", "/run/x", "no port"},
	};
	char why[KEY_WHY_SIZE], text[KEY_VALUE_SIZE];
	struct config c;

	(void)state;
	config_init(&c);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const struct key *key = key_find("remote", bad[i].name);

		assert_int_equal(key_parse(key, bad[i].value, &c, why), -EINVAL);
		if (!strstr(why, bad[i].why))
			fail_msg("%s: %s", bad[i].value, why);
		key_print(key, &c, text);
		assert_string_equal(text, "");
	}
}

/* An -o may be longer than a line of a file; what is kept always fits one. */
static void lists_fit_a_line(void **state)
{
	const struct key *key = key_find("remote", "etcd");
	char text[CONFIG_LIST_MAX + 2], why[KEY_WHY_SIZE];
	struct config c;

	(void)state;
	config_init(&c);
	memset(text, 'a', sizeof(text));
	memcpy(text, "http://", 7);
	text[CONFIG_LIST_MAX + 1] = '\0';
	assert_int_equal(key_parse(key, text, &c, why), -EINVAL);
	text[CONFIG_LIST_MAX] = '\0';
	assert_int_equal(key_parse(key, text, &c, why), 0);
	assert_in_range(strlen("members = ") + CONFIG_LIST_MAX, 1, CONFIG_LINE_MAX);
}

#define TLS "ca = /a\ncertificate = /b\nkey = /c\n"
#define PLAIN_WHY                                                                                 \
	"without certificates everybody who reaches such an address is a peer; use loopback "     \
	"addresses, security = tls, or confirm it with insecure_network = on\n"

static void plain_connections_are_for_loopback(void **state)
{
	static struct config c;

	(void)state;
	load_good(&c, "[remote]\nname = a\nlisten = 7400\nsecurity = none\n"
		"members = b=127.0.0.1:7401,c=[::1]:7402\n");
	load_bad("[remote]\nname = a\nlisten = 0.0.0.0:7400\nsecurity = none\n",
		"f.conf:4: [remote] security = none: contradicts [remote] listen = 0.0.0.0:7400 "
		"(line 3): " PLAIN_WHY);
	load_bad("[remote]\nname = a\nsecurity = none\nmembers = b=127.0.0.1:7401,c=10.0.0.1:7402\n",
		"f.conf:4: [remote] members = b=127.0.0.1:7401,c=10.0.0.1:7402: contradicts "
		"[remote] security = none (line 3): " PLAIN_WHY);
	load_bad("[remote]\nname = a\nsecurity = none\nlisten = 7400\nadvertise = 10.0.0.1:7400\n",
		"f.conf:5: [remote] advertise = 10.0.0.1:7400: contradicts [remote] security = "
		"none (line 3): " PLAIN_WHY);
	load_good(&c, "[remote]\nname = a\nlisten = 0.0.0.0:7400\nsecurity = none\n"
		"insecure_network = on\nmembers = c=10.0.0.1:7402\nadvertise = 10.0.0.1:7400\n");
	load_good(&c, "[remote]\nname = a\nlisten = 0.0.0.0:7400\n" TLS);
}

static void what_peers_need_is_asked_for(void **state)
{
	static struct config c;

	(void)state;
	load_good(&c, "[remote]\nsecurity = tls\n");
	load_bad("[remote]\nlisten = 7400\nsecurity = none\n",
		"f.conf:2: [remote] listen = 7400: contradicts [remote] name =  (the default): "
		"peers know each other by names; set name\n");
	load_bad("[remote]\nmembers = b=127.0.0.1:7400\nsecurity = none\n",
		"f.conf:2: [remote] members = b=127.0.0.1:7400: contradicts [remote] name =  (the "
		"default): peers know each other by names; set name\n");
	load_bad("[remote]\netcd = http://127.0.0.1:2379\nsecurity = none\n",
		"f.conf:2: [remote] etcd = http://127.0.0.1:2379: contradicts [remote] name =  "
		"(the default): peers know each other by names; set name\n");
	load_bad("[remote]\nname = a\nmembers = b=127.0.0.1:7400\netcd = http://127.0.0.1:2379\n"
		"security = none\n",
		"f.conf:4: [remote] etcd = http://127.0.0.1:2379: contradicts [remote] members = "
		"b=127.0.0.1:7400 (line 3): both say who the peers are; keep one of them\n");
	load_bad("[remote]\nname = a\nlisten = 7400\nca = /a\nkey = /c\n",
		"f.conf: [remote] certificate = : contradicts [remote] security = tls (the "
		"default): peers are known by certificates; set certificate, or security = none "
		"on loopback\n");
	load_bad("[remote]\netcd_key = /c\n",
		"f.conf:2: [remote] etcd_key = /c: contradicts [remote] etcd_certificate =  (the "
		"default): a certificate is of use with its own key alone; set both, or none\n");
}

/* By options alone there is no file to name. */
static void without_a_file(void **state)
{
	static struct config_errors errs;
	static struct config c;

	(void)state;
	config_init(&c);
	assert_int_equal(config_set(&c, "remote.name", "a", &errs), 0);
	assert_int_equal(config_set(&c, "remote.listen", "7400", &errs), 0);
	assert_int_equal(config_set(&c, "remote.ca", "/a", &errs), 0);
	assert_int_equal(config_set(&c, "remote.certificate", "/b", &errs), 0);
	assert_int_equal(config_check(&c, &errs), -EINVAL);
	expect_errors(&errs,
		"without a file: [remote] key = : contradicts [remote] security = tls (the "
		"default): peers are known by certificates; set key, or security = none on "
		"loopback\n");
}

static void only_some_keys_make_a_remote(void **state)
{
	static const char *const with[] = {"listen = 7400\n", "members = b=127.0.0.1:1\n",
		"etcd = http://127.0.0.1:2379\n"};
	static struct config c;
	char text[200];

	(void)state;
	load_good(&c, "[remote]\nname = a\nwrite_back = off\n" TLS);
	assert_false(config_has_remote(&c));
	for (int i = 0; i < 3; i++) {
		snprintf(text, sizeof(text), "[remote]\nname = a\n" TLS "%s", with[i]);
		load_good(&c, text);
		assert_true(config_has_remote(&c));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(endpoints_are_a_port_or_an_address_with_one),
		cmocka_unit_test(members_come_apart_as_they_were_written),
		cmocka_unit_test(wrong_lists_are_refused),
		cmocka_unit_test(lists_fit_a_line),
		cmocka_unit_test(plain_connections_are_for_loopback),
		cmocka_unit_test(what_peers_need_is_asked_for),
		cmocka_unit_test(without_a_file),
		cmocka_unit_test(only_some_keys_make_a_remote),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
