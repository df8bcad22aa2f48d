/* SPDX-License-Identifier: Apache-2.0 */
/* config.c: a configuration file of any bytes, and whether what is printed of it reads back. */
#include "shmcache/config/config.h"
#include "tests/fuzz/fuzz.h"

#define PRINTED_MAX (1U << 16)

static int load(struct config *c, const void *text, size_t size, struct config_errors *errors)
{
	/* fmemopen() of nothing is an error of its own. */
	FILE *f = size ? fmemopen((void *)text, size, "r") : fopen("/dev/null", "r");
	int r;

	FUZZ_CHECK(f, "no stream");
	memset(errors, 0, sizeof(*errors));
	config_init(c);
	r = config_load_stream(c, f, "fuzz.conf", errors);
	fclose(f);
	return r;
}

static void check_errors(const struct config_errors *errors)
{
	unsigned i;

	FUZZ_CHECK(errors->n && errors->n <= CONFIG_ERRORS_MAX, "%u complaints", errors->n);
	for (i = 0; i < errors->n; i++) {
		FUZZ_CHECK(memchr(errors->at[i].text, 0, CONFIG_ERROR_SIZE), "no end");
		FUZZ_CHECK(!strpbrk(errors->at[i].text, "\n\r\033"), "raw bytes in a message");
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct config first, second;
	static struct config_errors errors;
	static char printed[PRINTED_MAX];
	FILE *f;
	long n;

	if (load(&first, data, size, &errors)) {
		check_errors(&errors);
		return 0;
	}
	f = fmemopen(printed, sizeof(printed), "w");
	FUZZ_CHECK(f, "no stream");
	FUZZ_CHECK(!config_print(&first, f) && !fflush(f), "can't print");
	n = ftell(f);
	fclose(f);
	FUZZ_CHECK(!load(&second, printed, (size_t)n, &errors), "%s", errors.at[0].text);
	FUZZ_CHECK(config_equal(&first, &second), "reads back as another:\n%s", printed);
	return 0;
}
