/* SPDX-License-Identifier: Apache-2.0 */
/* file.c - files as editors leave them, and as nobody should: nothing is misread in silence. */
#include "tests/shmcache/config/support.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static void friendly_variations_are_read(void **state)
{
	static struct config c;

	(void)state;
	load_good(&c, "");
	load_good(&c, "\n\n# nothing\n; at all\n   \t\n");
	load_good(&c, "\xef\xbb\xbf[cache]\r\nname = kv1\r\n\r\n  [log]  ; said why\r\n"
		"\t level=debug\t; loud\r\n[dram] # more\nsize: 1MiB");
	assert_string_equal(c.cache.name, "kv1");
	assert_int_equal(c.log.level, LOG_LEVEL_DEBUG);
	assert_int_equal(c.dram.size, 1 << 20);
}

static void comments_may_be_of_any_length_and_content(void **state)
{
	static struct config_errors errs;
	static struct config c;
	char text[3000];

	(void)state;
	memset(text, '\0', sizeof(text));
	text[0] = '#';
	memcpy(text + sizeof(text) - 20, "\n[log]\nlevel=debug", 18);
	memset(text + sizeof(text) - 2, '\n', 2);
	assert_int_equal(load_bytes(&c, text, sizeof(text), &errs), 0);
	assert_int_equal(c.log.level, LOG_LEVEL_DEBUG);
	assert_int_equal(config_set_at(&c, "log.level"), 3);
}

static void headers_that_are_none_are_told_once(void **state)
{
	(void)state;
	load_bad("[dram\nsize = 1MiB\n[dram] size = 2MiB\nnode = 0\n[]\nx = 1\n[ dram ]\n",
		"f.conf:1: this is no section; write [NAME] and nothing behind it\n"
		"f.conf:3: this is no section; write [NAME] and nothing behind it\n"
		"f.conf:5: []: unknown section; remove it, or see shmcached.conf(5)\n"
		"f.conf:7: [ dram ]: unknown section; remove it, or see shmcached.conf(5)\n");
}

static void lines_without_a_value_are_each_told(void **state)
{
	(void)state;
	load_bad("[dram]\nsize\nnode 3 ; = 4\n= 5\n[log]\nlevel",
		"f.conf:2: size: this has no value; write KEY = VALUE\n"
		"f.conf:3: node 3 ; = 4: this has no value; write KEY = VALUE\n"
		"f.conf:4: [dram]  = 5: unknown key; remove it, or see shmcached.conf(5) for "
		"what [dram] may hold\n"
		"f.conf:6: level: this has no value; write KEY = VALUE\n");
}

static void indented_line_is_no_continuation(void **state)
{
	(void)state;
	load_bad("[cache]\nname = kv0\n\tkv1\n",
		"f.conf:3: kv1: this has no value; write KEY = VALUE\n");
}

/* "socket = /aaa...", of that many bytes */
static void make_line(char *text, size_t len)
{
	size_t n = (size_t)sprintf(text, "[cache]\nsocket = /");

	memset(text + n, 'a', len - (n - 8));
	strcpy(text + 8 + len, "\n[log]\nlevel = debug\n");
}

static void longest_line_is_read_and_a_longer_one_told(void **state)
{
	static struct config_errors errs;
	static struct config c;
	char text[CONFIG_LINE_MAX + 200];

	(void)state;
	make_line(text, CONFIG_LINE_MAX);
	assert_int_equal(load_bytes(&c, text, strlen(text), &errs), -EINVAL);
	assert_int_equal(errs.n, 1);
	assert_non_null(strstr(errs.at[0].text, "...: is too long; allowed: an absolute path"));
	assert_int_equal(c.log.level, LOG_LEVEL_DEBUG);

	for (size_t len = CONFIG_LINE_MAX + 1; len < CONFIG_LINE_MAX + 10; len++) {
		make_line(text, len);
		load_bad(text, "f.conf:2: this line is longer than 198 bytes; shorten it\n");
	}
	memset(text, ' ', CONFIG_LINE_MAX);
	strcpy(text + CONFIG_LINE_MAX, "[log]\nlevel = debug\n");
	load_good(&c, text);
}

static void rest_of_a_long_line_is_not_taken_for_another(void **state)
{
	static struct config_errors errs;
	static struct config c;
	char text[10000];
	size_t n = (size_t)sprintf(text, "[dram]\nnode = ");

	(void)state;
	for (; n < sizeof(text) - 20; n += 10)
		memcpy(text + n, "3\x0bnode = 2\x0b", 10);
	text[n] = '\0';
	load_bad(text, "f.conf:2: this line is longer than 198 bytes; shorten it\n");
	assert_int_equal(load_bytes(&c, text, n, &errs), -EINVAL);
	assert_int_equal(c.dram.node, -1);
}

static void nul_bytes_are_told(void **state)
{
	static const char text[] = "[dram]\nsize = 1MiB\0garbage\nnode\0 = 1\n[lo\0g]\nlevel = debug\n";
	static struct config_errors errs;
	static struct config c;

	(void)state;
	assert_int_equal(load_bytes(&c, text, sizeof(text) - 1, &errs), -EINVAL);
	expect_errors(&errs,
		"f.conf:2: this line has a NUL byte; is this a text file?\n"
		"f.conf:3: this line has a NUL byte; is this a text file?\n"
		"f.conf:4: this line has a NUL byte; is this a text file?\n"
		"f.conf:5: [dram] level = debug: unknown key here; level belongs into [log]\n");
	assert_int_equal(c.dram.size, 0);
}

static void huge_file_is_told_and_not_read_to_its_end(void **state)
{
	static struct config_errors errs;
	static struct config c;
	size_t size = CONFIG_FILE_SIZE_MAX + 1;
	char *text = malloc(size);

	(void)state;
	assert_non_null(text);
	memset(text, '\n', size);
	assert_int_equal(load_bytes(&c, text, size - 1, &errs), 0);
	assert_int_equal(load_bytes(&c, text, size, &errs), -EINVAL);
	expect_errors(&errs, "f.conf:1048577: the file is larger than 1048576 bytes, which no "
			     "configuration is\n");
	free(text);

	memset(&errs, 0, sizeof(errs));
	config_init(&c);
	assert_int_equal(config_load(&c, "/dev/zero", &errs), -EINVAL);
	expect_errors(&errs, "/dev/zero:1: the file is larger than 1048576 bytes, which no "
			     "configuration is\n");
}

static void unreadable_files_are_told(void **state)
{
	static struct config_errors errs;
	static struct config c;

	(void)state;
	config_init(&c);
	assert_int_equal(config_load(&c, "/nonexistent/kv0.conf", &errs), -ENOENT);
	assert_int_equal(config_load(&c, "/", &errs), -EISDIR);
	expect_errors(&errs,
		"/nonexistent/kv0.conf: can't be opened: No such file or directory; give another "
		"file with -c\n"
		"/: can't be read: Is a directory\n");
}

static void file_is_loaded_by_its_path(void **state)
{
	char path[] = "/tmp/shmcache-config-XXXXXX", expected[128];
	static const char text[] = "[dram]\nsize = 2MiB\nnodes = 1\n";
	static struct config_errors errs;
	static struct config c;
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
	config_init(&c);
	assert_int_equal(config_load(&c, path, &errs), -EINVAL);
	unlink(path);
	snprintf(expected, sizeof(expected),
		"%s:3: [dram] nodes = 1: unknown key; did you mean node?\n", path);
	expect_errors(&errs, expected);
	assert_int_equal(c.dram.size, 2 << 20);
}

/* Whatever a file holds, it is read in bounded time and space, and without a crash. */
static void random_files_do_no_harm(void **state)
{
	static const char *const parts[] = {
		"[dram]", "[access]", "[", "]", "=", ":", ";", "#", "\n", "\r", " ", "\t", "\v",
		"size", "uid.", "gid.1", "8GiB", "0", "-1", "99999999999999999999", "cpus", "0-3",
		"[broker]", "writer", "\xef\xbb\xbf", "\xff", "\x1b", "aaaaaaaaaaaaaaaaaaaaaaaaaaa",
	};
	static struct config_errors errs;
	static struct config c;
	uint32_t random = 1;
	char text[2000];

	(void)state;
	for (int i = 0; i < 3000; i++) {
		size_t n = 0;

		while (n < sizeof(text) - 40) {
			const char *part;

			random = random * 1664525u + 1013904223u;
			part = parts[(random >> 8) % (sizeof(parts) / sizeof(parts[0]))];
			if ((random >> 24) == 7)
				text[n++] = '\0';
			memcpy(text + n, part, strlen(part));
			n += strlen(part);
			if ((random >> 24) == 9)
				break;
		}
		if (load_bytes(&c, text, n, &errs) == 0)
			assert_int_equal(errs.n, 0);
		else
			assert_true(errs.n > 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(friendly_variations_are_read),
		cmocka_unit_test(comments_may_be_of_any_length_and_content),
		cmocka_unit_test(headers_that_are_none_are_told_once),
		cmocka_unit_test(lines_without_a_value_are_each_told),
		cmocka_unit_test(indented_line_is_no_continuation),
		cmocka_unit_test(longest_line_is_read_and_a_longer_one_told),
		cmocka_unit_test(rest_of_a_long_line_is_not_taken_for_another),
		cmocka_unit_test(nul_bytes_are_told),
		cmocka_unit_test(huge_file_is_told_and_not_read_to_its_end),
		cmocka_unit_test(unreadable_files_are_told),
		cmocka_unit_test(file_is_loaded_by_its_path),
		cmocka_unit_test(random_files_do_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
