/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tests compare complaints whole: a message that loses its line number or its remedy is as
 * much a regression as one that is not given.
 */
#include "tests/shmcache/config/support.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

int load_bytes(struct config *c, const char *bytes, size_t size, struct config_errors *errs)
{
	FILE *f = tmpfile();
	int r;

	assert_non_null(f);
	assert_int_equal(fwrite(bytes, 1, size, f), size);
	rewind(f);
	memset(errs, 0, sizeof(*errs));
	config_init(c);
	r = config_load_stream(c, f, "f.conf", errs);
	fclose(f);
	return r;
}

void expect_errors(const struct config_errors *errs, const char *complaints)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	assert_non_null(f);
	config_errors_print(errs, f);
	fclose(f);
	assert_string_equal(text, complaints);
	free(text);
}

void load_good(struct config *c, const char *text)
{
	static struct config_errors errs;
	int r = load_bytes(c, text, strlen(text), &errs);

	expect_errors(&errs, "");
	assert_int_equal(r, 0);
}

void load_bad(const char *text, const char *complaints)
{
	static struct config_errors errs;
	static struct config c;
	int r = load_bytes(&c, text, strlen(text), &errs);

	expect_errors(&errs, complaints);
	assert_int_equal(r, -EINVAL);
}
