/* SPDX-License-Identifier: Apache-2.0 */
/* errors.c - what is said of a wrong key, value or pair of keys, word for word. */
#include "tests/shmcache/config/support.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void unknown_names_are_told_with_the_likely_one(void **state)
{
	(void)state;
	load_bad("[dramm]\nsize = 1MiB\nanything = 1\n",
		"f.conf:1: [dramm]: unknown section; did you mean [dram]?\n");
	load_bad("[nonsense]\nsize = 1MiB\n",
		"f.conf:1: [nonsense]: unknown section; remove it, or see shmcached.conf(5)\n");
	load_bad("[broker]\nwokers = 2\n",
		"f.conf:2: [broker] wokers = 2: unknown key; did you mean workers?\n");
	load_bad("[dram]\nstaging = 1MiB\n",
		"f.conf:2: [dram] staging = 1MiB: unknown key here; staging belongs into "
		"[session]\n");
	load_bad("[log]\nverbosity = 3\n",
		"f.conf:2: [log] verbosity = 3: unknown key; remove it, or see "
		"shmcached.conf(5) for what [log] may hold\n");
	load_bad("name = kv0\n",
		"f.conf:1: name = kv0: stands before any section; put it under one, such as "
		"[cache]\n");
	load_bad("[Cache]\n", "f.conf:1: [Cache]: unknown section; did you mean [cache]?\n");
}

static void bad_values_are_told_with_the_allowed_ones(void **state)
{
	(void)state;
	load_bad("[dram]\nsize = 1GB\n",
		"f.conf:2: [dram] size = 1GB: has an unclear unit (units are powers of 1024 and "
		"spelt one way only); write 1GiB; allowed: 1MiB to 256GiB, or 0: a quarter of "
		"what is free in /dev/shm\n");
	load_bad("[dram]\nsize = 4095B\n",
		"f.conf:2: [dram] size = 4095B: is too small; allowed: 1MiB to 256GiB, or 0: a "
		"quarter of what is free in /dev/shm\n");
	load_bad("[dram]\nnode = one\n",
		"f.conf:2: [dram] node = one: does not begin with a number; allowed: -1 to 1023\n");
	load_bad("[dram]\nhuge_pages = on\n",
		"f.conf:2: [dram] huge_pages = on: is no choice here; allowed: off or advise\n");
	load_bad("[broker]\npoll = Busy\n",
		"f.conf:2: [broker] poll = Busy: is no choice here; allowed: adaptive, busy or "
		"sleep\n");
	load_bad("[broker]\nspin = 50\n",
		"f.conf:2: [broker] spin = 50: has no unit; use ns, us, ms, s, m or h; allowed: "
		"0 to 1s\n");
	load_bad("[broker]\nworkers = 17\n",
		"f.conf:2: [broker] workers = 17: is too large; allowed: 1 to 16\n");
	load_bad("[session]\nqueue = 100\n",
		"f.conf:2: [session] queue = 100: is not a power of two; allowed: a power of "
		"two, 16 to 4096\n");
	load_bad("[session]\npinned_max = 25\n",
		"f.conf:2: [session] pinned_max = 25: has no unit; use %; allowed: 0 to 100%\n");
	load_bad("[session]\nlanes = 0x10\n",
		"f.conf:2: [session] lanes = 0x10: is not a plain number; allowed: 1 to 256\n");
	load_bad("[cache]\npersist = maybe\n",
		"f.conf:2: [cache] persist = maybe: is neither on nor off; allowed: on or off\n");
	load_bad("[cache]\nname = ../etc\n",
		"f.conf:2: [cache] name = ../etc: has a character that is not allowed; allowed: "
		"at most 48 letters, digits, _ and -\n");
	load_bad("[cache]\nname = n23456789012345678901234567890123456789012345678x\n",
		"f.conf:2: [cache] name = n23456789012345678901234567890123456789012345678x: is "
		"too long; allowed: at most 48 letters, digits, _ and -\n");
	load_bad("[cache]\nsocket = kv0.sock\n",
		"f.conf:2: [cache] socket = kv0.sock: does not begin with /; allowed: an "
		"absolute path without blanks, at most 107 bytes, or empty: "
		"/dev/shm/NAME.sock\n");
	load_bad("[cache]\nsocket = /a b\n",
		"f.conf:2: [cache] socket = /a b: has a blank or a control character; allowed: "
		"an absolute path without blanks, at most 107 bytes, or empty: "
		"/dev/shm/NAME.sock\n");
	load_bad("[broker]\ncpus = 3-1\n",
		"f.conf:2: [broker] cpus = 3-1: has a range that is none; allowed: a list such "
		"as 0-3,8, of CPUs below 1024, or empty: any\n");
	load_bad("[access]\nother = admin\n",
		"f.conf:2: [access] other = admin: is no choice here; allowed: none, reader, "
		"stager or writer\n");
}

static void empty_values_are_told(void **state)
{
	static struct config c;

	(void)state;
	load_bad("[cache]\nname =\n",
		"f.conf:2: [cache] name = : is empty; allowed: at most 48 letters, digits, _ "
		"and -\n");
	load_bad("[dram]\nsize = ; later\n",
		"f.conf:2: [dram] size = : is empty; allowed: 1MiB to 256GiB, or 0: a quarter of "
		"what is free in /dev/shm\n");
	load_good(&c, "[cache]\nsocket =\n[eviction]\npolicy =\n[broker]\ncpus =\n");
}

static void second_value_of_a_key_is_told_with_the_first(void **state)
{
	(void)state;
	load_bad("[dram]\nsize = 1MiB\n[log]\n\n[dram]\nsize = 2MiB\n",
		"f.conf:6: [dram] size = 2MiB: was set on line 2 already; remove one of the "
		"two\n");
	load_bad("[dram]\nsize = x\nsize = 2MiB\n",
		"f.conf:2: [dram] size = x: does not begin with a number; allowed: 1MiB to "
		"256GiB, or 0: a quarter of what is free in /dev/shm\n"
		"f.conf:3: [dram] size = 2MiB: was set on line 2 already; remove one of the "
		"two\n");
}

static void contradictions_are_told_at_the_later_key(void **state)
{
	(void)state;
	load_bad("[dram]\nsize = 1MiB\n[session]\nstaging = 2MiB\n",
		"f.conf:4: [session] staging = 2MiB: contradicts [dram] size = 1MiB (line 2): "
		"what passes through the staging area has to fit the tier; lower staging or "
		"raise size\n");
	load_bad("[session]\nstaging = 2MiB\n[dram]\nsize = 1MiB\n",
		"f.conf:4: [dram] size = 1MiB: contradicts [session] staging = 2MiB (line 2): "
		"what passes through the staging area has to fit the tier; lower staging or "
		"raise size\n");
	load_bad("[broker]\nworkers = 4\ncpus = 0-2\n",
		"f.conf:3: [broker] cpus = 0-2: contradicts [broker] workers = 4 (line 2): there "
		"are fewer CPUs than workers, which would take turns; lower workers or name "
		"more CPUs\n");
	load_bad("[session]\npinned_max = 80%\n",
		"f.conf:2: [session] pinned_max = 80%: contradicts [session] reserved_max = 25% "
		"(the default): both are shares of one tier and exceed 100% together; lower one "
		"of them\n");
}

static void borders_of_contradictions_are_fine(void **state)
{
	static struct config c;

	(void)state;
	load_good(&c, "[dram]\nsize = 1MiB\n[session]\nstaging = 1MiB\n");
	load_good(&c, "[broker]\nworkers = 3\ncpus = 0-2\n");
	load_good(&c, "[broker]\nworkers = 16\n");
	load_good(&c, "[session]\npinned_max = 75%\n");
	load_good(&c, "[session]\nstaging = 64MiB\n");
}

/* What is wrong already is not concluded from. */
static void bad_value_contradicts_nothing(void **state)
{
	(void)state;
	load_bad("[session]\nstaging = 2MiB\n[broker]\ncpus = 0\nworkers = many\n[dram]\nsize = 1MB\n",
		"f.conf:5: [broker] workers = many: does not begin with a number; allowed: 1 to "
		"16\n"
		"f.conf:7: [dram] size = 1MB: has an unclear unit (units are powers of 1024 and "
		"spelt one way only); write 1MiB; allowed: 1MiB to 256GiB, or 0: a quarter of "
		"what is free in /dev/shm\n");
	load_bad("[session]\npinned_max = 80%\nreserved_max = 10\n",
		"f.conf:3: [session] reserved_max = 10: has no unit; use %; allowed: 0 to "
		"100%\n");
}

static void complaints_are_in_the_order_of_lines(void **state)
{
	(void)state;
	load_bad("[broker]\nworkers = 4\ncpus = 0\n[log]\nlevel = loud\n[x]\n",
		"f.conf:3: [broker] cpus = 0: contradicts [broker] workers = 4 (line 2): there "
		"are fewer CPUs than workers, which would take turns; lower workers or name "
		"more CPUs\n"
		"f.conf:5: [log] level = loud: is no choice here; allowed: error, warning, info "
		"or debug\n"
		"f.conf:6: [x]: unknown section; remove it, or see shmcached.conf(5)\n");
}

static void complaints_are_bounded_and_counted(void **state)
{
	static struct config_errors errs;
	static struct config c;
	char text[4096] = "[dram]\n";

	(void)state;
	for (int i = 0; i < 50; i++)
		sprintf(text + strlen(text), "nonsense-%d = 1\n", i);
	assert_int_equal(load_bytes(&c, text, strlen(text), &errs), -EINVAL);
	assert_int_equal(errs.n, CONFIG_ERRORS_MAX);
	assert_int_equal(errs.n_more, 50 - CONFIG_ERRORS_MAX);
	assert_string_equal(errs.at[19].text,
		"f.conf:21: [dram] nonsense-19 = 1: unknown key; remove it, or see "
		"shmcached.conf(5) for what [dram] may hold");
}

static void end_of_many_complaints_says_how_many_more(void **state)
{
	static struct config_errors errs = {.n_more = 7};

	(void)state;
	expect_errors(&errs, "and 7 more; mend these first\n");
}

static void hostile_text_is_shown_escaped(void **state)
{
	(void)state;
	load_bad("[log]\nlevel = \x1b[2J\"\xff\n",
		"f.conf:2: [log] level = \\x1b[2J\\\"\\xff: is no choice here; allowed: error, "
		"warning, info or debug\n");
	load_bad("[\x1b[31m]\n",
		"f.conf:1: [\\x1b[31m]: unknown section; remove it, or see shmcached.conf(5)\n");
}

static void options_override_the_file(void **state)
{
	static struct config_errors errs;
	static struct config c;

	(void)state;
	load_good(&c, "[dram]\nsize = 1GiB\n[broker]\nworkers = 2\n");
	assert_int_equal(config_set(&c, "dram.size", "2GiB", &errs), 0);
	assert_int_equal(config_set(&c, "dram.size", "4GiB", &errs), 0);
	assert_int_equal(config_check(&c, &errs), 0);
	assert_int_equal(c.dram.size, UINT64_C(4) << 30);
	expect_errors(&errs, "");
}

static void options_contradict_only_when_all_are_known(void **state)
{
	static struct config_errors errs;
	static struct config c;

	(void)state;
	load_good(&c, "[broker]\ncpus = 0-1\nworkers = 2\n");
	assert_int_equal(config_set(&c, "broker.workers", "4", &errs), 0);
	expect_errors(&errs, "");
	assert_int_equal(config_check(&c, &errs), -EINVAL);
	expect_errors(&errs,
		"option -o: [broker] workers = 4: contradicts [broker] cpus = 0-1 (line 2): "
		"there are fewer CPUs than workers, which would take turns; lower workers or "
		"name more CPUs\n");
	memset(&errs, 0, sizeof(errs));
	assert_int_equal(config_set(&c, "broker.cpus", "0", &errs), 0);
	assert_int_equal(config_check(&c, &errs), -EINVAL);
	expect_errors(&errs,
		"option -o: [broker] cpus = 0: contradicts [broker] workers = 4 (option -o): "
		"there are fewer CPUs than workers, which would take turns; lower workers or "
		"name more CPUs\n");
	memset(&errs, 0, sizeof(errs));
	assert_int_equal(config_set(&c, "broker.cpus", "0-3", &errs), 0);
	assert_int_equal(config_check(&c, &errs), 0);
}

static void bad_options_are_told(void **state)
{
	static struct config_errors errs;
	static struct config c;
	char value[300];

	(void)state;
	config_init(&c);
	memset(value, '0', sizeof(value) - 1);
	value[sizeof(value) - 1] = '\0';
	assert_int_equal(config_set(&c, "dramsize", "1GiB", &errs), -EINVAL);
	assert_int_equal(config_set(&c, "a-section-of-more-than-31-letters.x", "1", &errs), -EINVAL);
	assert_int_equal(config_set(&c, "drum.size", "1GiB", &errs), -EINVAL);
	assert_int_equal(config_set(&c, "dram.sice", "1GiB", &errs), -EINVAL);
	assert_int_equal(config_set(&c, "dram.size", "1G", &errs), -EINVAL);
	assert_int_equal(config_set(&c, "dram.size", "", &errs), -EINVAL);
	assert_int_equal(config_set(&c, "", "", &errs), -EINVAL);
	assert_int_equal(config_set(&c, ".", "1", &errs), -EINVAL);
	assert_int_equal(config_set(&c, "dram.node", value, &errs), -EINVAL);
	expect_errors(&errs,
		"option -o: dramsize is no key; write SECTION.KEY=VALUE, as in dram.size=1GiB\n"
		"option -o: a-section-of-more-than-31-letters.x is no key; write "
		"SECTION.KEY=VALUE, as in dram.size=1GiB\n"
		"option -o: [drum] size = 1GiB: unknown section; did you mean [dram]?\n"
		"option -o: [dram] sice = 1GiB: unknown key; did you mean size?\n"
		"option -o: [dram] size = 1G: has an unclear unit (units are powers of 1024 and "
		"spelt one way only); write 1GiB; allowed: 1MiB to 256GiB, or 0: a quarter of "
		"what is free in /dev/shm\n"
		"option -o: [dram] size = : is empty; allowed: 1MiB to 256GiB, or 0: a quarter of "
		"what is free in /dev/shm\n"
		"option -o:  is no key; write SECTION.KEY=VALUE, as in dram.size=1GiB\n"
		"option -o:  = 1: unknown section; see shmcached.conf(5)\n"
		"option -o: [dram] node = 0000000000000000000000000000000000000000000000000000000"
		"0000000000000000000000000000000000000...: is longer than the line of a file "
		"may be; 198 bytes are the limit\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(unknown_names_are_told_with_the_likely_one),
		cmocka_unit_test(bad_values_are_told_with_the_allowed_ones),
		cmocka_unit_test(empty_values_are_told),
		cmocka_unit_test(second_value_of_a_key_is_told_with_the_first),
		cmocka_unit_test(contradictions_are_told_at_the_later_key),
		cmocka_unit_test(borders_of_contradictions_are_fine),
		cmocka_unit_test(bad_value_contradicts_nothing),
		cmocka_unit_test(complaints_are_in_the_order_of_lines),
		cmocka_unit_test(complaints_are_bounded_and_counted),
		cmocka_unit_test(end_of_many_complaints_says_how_many_more),
		cmocka_unit_test(hostile_text_is_shown_escaped),
		cmocka_unit_test(options_override_the_file),
		cmocka_unit_test(options_contradict_only_when_all_are_known),
		cmocka_unit_test(bad_options_are_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
