/* SPDX-License-Identifier: Apache-2.0 */
/* log.c - the log's lines, its bounds, and what a hostile value can't do to it. */
#include "shmcache/log/log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define SECOND 1000000000u

static uint64_t clock_ns;

static uint64_t clock_of_test(void)
{
	return clock_ns;
}

struct fixture {
	struct log log;
	int fd;
	char text[1 << 20];
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	if (!f)
		return -1;
	f->fd = memfd_create("log", 0);
	clock_ns = 5 * (uint64_t)SECOND;
	log_init(&f->log, f->fd);
	f->log.now_ns = clock_of_test;
	*state = f;
	return f->fd < 0 ? -1 : 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	log_deinit(&f->log);
	close(f->fd);
	free(f);
	return 0;
}

/* What was written since the last call. */
static const char *written(struct fixture *f)
{
	ssize_t n = pread(f->fd, f->text, sizeof(f->text) - 1, 0);

	assert_true(n >= 0);
	f->text[n] = '\0';
	assert_int_equal(ftruncate(f->fd, 0), 0);
	assert_int_equal(lseek(f->fd, 0, SEEK_SET), 0);
	return f->text;
}

static unsigned n_lines(const char *text)
{
	unsigned n = 0;

	for (; *text; text++)
		n += *text == '\n';
	return n;
}

static void every_type_has_its_form(void **state)
{
	struct fixture *f = *state;

	log_info(&f->log, "serving", LOG_STR("name", "kv0"), LOG_U64("size", UINT64_MAX),
		LOG_I64("node", -1), LOG_HEX("word", 0xc0ffeeu), LOG_ERRNO("error", -ENOSPC),
		LOG_ERRNO("again", EAGAIN), LOG_ERRNO("odd", 100000),
		LOG_ERRNO("least", INT64_MIN), LOG_BYTES("key", "a\0b", 3), LOG_STR("none", NULL));
	assert_string_equal(written(f),
		"level=info event=serving name=kv0 size=18446744073709551615 node=-1 "
		"word=0xc0ffee error=ENOSPC again=EAGAIN odd=100000 "
		"least=-9223372036854775808 key=\"a\\x00b\" none=\"\"\n");
	log_error(&f->log, "stopped", LOG_NONE);
	assert_string_equal(written(f), "level=error event=stopped\n");
	log_warning(&f->log, "odd", LOG_BYTES("key", NULL, 3), LOG_BYTES("rest", "xyz", 0));
	assert_string_equal(written(f), "level=warning event=odd key=\"\" rest=\"\"\n");
}

static void levels_above_the_chosen_one_are_silent(void **state)
{
	struct fixture *f = *state;

	log_debug(&f->log, "detail", LOG_NONE);
	assert_string_equal(written(f), "");
	assert_false(log_enabled(&f->log, LOG_LEVEL_DEBUG));
	log_set_level(&f->log, LOG_LEVEL_DEBUG);
	log_debug(&f->log, "detail", LOG_NONE);
	assert_string_equal(written(f), "level=debug event=detail\n");
	log_set_level(&f->log, LOG_LEVEL_ERROR);
	log_warning(&f->log, "w", LOG_NONE);
	log_info(&f->log, "i", LOG_NONE);
	assert_string_equal(written(f), "");
	log_error(&f->log, "e", LOG_NONE);
	assert_string_equal(written(f), "level=error event=e\n");
}

static void hostile_value_forges_no_line(void **state)
{
	struct fixture *f = *state;

	log_warning(&f->log, "client-broken",
		LOG_STR("why", "x\nlevel=error event=forged\r\x1b[2J\" uid=0"), LOG_I64("pid", 7));
	assert_string_equal(written(f),
		"level=warning event=client-broken "
		"why=\"x\\nlevel=error event=forged\\x0d\\x1b[2J\\\" uid=0\" pid=7\n");
	log_warning(&f->log, "client-broken", LOG_STR("why", "100%s%n"), LOG_I64("pid", 7));
	assert_string_equal(written(f), "level=warning event=client-broken why=100%s%n pid=7\n");
}

static void long_values_and_long_lines_are_cut_visibly(void **state)
{
	struct fixture *f = *state;
	char value[5000], expected[LOG_LINE_SIZE];

	memset(value, 'v', sizeof(value));
	log_info(&f->log, "long", LOG_BYTES("a", value, sizeof(value)), LOG_I64("after", 1));
	snprintf(expected, sizeof(expected), "level=info event=long a=%.*s... after=1\n",
		LOG_VALUE_MAX - 4, value);
	assert_string_equal(written(f), expected);

	log_info(&f->log, "wide", LOG_BYTES("a", value, sizeof(value)),
		LOG_BYTES("b", value, sizeof(value)), LOG_BYTES("c", value, sizeof(value)),
		LOG_BYTES("d", value, sizeof(value)), LOG_I64("small", 1));
	snprintf(expected, sizeof(expected),
		"level=info event=wide a=%.*s... b=%.*s... c=%.*s... ...\n", LOG_VALUE_MAX - 4,
		value, LOG_VALUE_MAX - 4, value, LOG_VALUE_MAX - 4, value);
	assert_string_equal(written(f), expected);
}

static void no_length_of_value_overruns_the_line(void **state)
{
	struct fixture *f = *state;
	char value[1200];

	memset(value, '\x01', sizeof(value));
	for (size_t n = 0; n < sizeof(value); n++) {
		const char *text;

		clock_ns += SECOND;
		log_info(&f->log, "sweep", LOG_BYTES("a", value, n % 300), LOG_BYTES("b", value, n),
			LOG_BYTES("c", value, n), LOG_BYTES("d", value, n / 5), LOG_U64("n", n));
		text = written(f);
		assert_int_equal(n_lines(text), 1);
		assert_true(strlen(text) < LOG_LINE_SIZE);
		assert_int_equal(text[strlen(text) - 1], '\n');
	}
}

static void equal_lines_are_counted_not_written(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 1000; i++)
		log_warning(&f->log, "full", LOG_STR("tier", "dram"));
	assert_string_equal(written(f), "level=warning event=full tier=dram\n");
	clock_ns += SECOND - 1;
	log_flush(&f->log);
	assert_string_equal(written(f), "");
	clock_ns += 1;
	log_flush(&f->log);
	assert_string_equal(written(f), "level=warning event=full repeated=999 suppressed=0\n");
	log_flush(&f->log);
	assert_string_equal(written(f), "");
}

static void counts_come_before_the_next_second(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 3; i++)
		log_warning(&f->log, "full", LOG_STR("tier", "dram"));
	clock_ns += SECOND;
	written(f);
	log_warning(&f->log, "full", LOG_STR("tier", "dram"));
	assert_string_equal(written(f),
		"level=warning event=full repeated=2 suppressed=0\n"
		"level=warning event=full tier=dram\n");
}

static void one_event_has_a_budget_and_takes_no_other_s(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 100000; i++)
		log_warning(&f->log, "client-broken", LOG_I64("pid", i));
	assert_int_equal(n_lines(written(f)), LOG_PER_SECOND);
	log_warning(&f->log, "client-gone", LOG_I64("pid", 1));
	assert_string_equal(written(f), "level=warning event=client-gone pid=1\n");
	log_info(&f->log, "client-broken", LOG_I64("pid", 1));
	assert_string_equal(written(f), "level=info event=client-broken pid=1\n");
	clock_ns += SECOND;
	log_warning(&f->log, "client-broken", LOG_I64("pid", 1));
	assert_string_equal(written(f),
		"level=warning event=client-broken repeated=0 suppressed=99990\n"
		"level=warning event=client-broken pid=1\n");
}

static void events_without_a_site_of_their_own_share_one_budget(void **state)
{
	static char names[LOG_SITES_MAX + 100][16];
	struct fixture *f = *state;
	const char *text;

	for (int i = 0; i < LOG_SITES_MAX + 100; i++) {
		snprintf(names[i], sizeof(names[i]), "event-%d", i);
		log_info(&f->log, names[i], LOG_NONE);
	}
	text = written(f);
	assert_int_equal(n_lines(text), LOG_SITES_MAX - 1 + LOG_PER_SECOND);
	clock_ns += SECOND;
	log_flush(&f->log);
	assert_string_equal(written(f),
		"level=warning event=other-events repeated=0 suppressed=91\n");
}

static void end_of_the_log_tells_what_is_owed(void **state)
{
	struct fixture *f = *state;
	struct log log;

	log_init(&log, f->fd);
	log.now_ns = clock_of_test;
	log_info(&log, "twice", LOG_NONE);
	log_info(&log, "twice", LOG_NONE);
	log_deinit(&log);
	assert_string_equal(written(f),
		"level=info event=twice\nlevel=info event=twice repeated=1 suppressed=0\n");
}

/* A reader that does not read costs lines, counted, and never the writer's time. */
static void slow_reader_costs_lines_not_time(void **state)
{
	struct fixture *f = *state;
	static char text[1 << 17];
	unsigned n_sent = 0, n_got, n_said;
	const char *lost;
	ssize_t n;
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	f->log.fd = fds[1];
	f->log.per_second = UINT32_MAX;
	for (; n_sent < 10000; n_sent++)
		log_info(&f->log, "n", LOG_U64("n", n_sent));
	n = read(fds[0], text, sizeof(text) - 1);
	assert_true(n > 0);
	text[n] = '\0';
	n_got = n_lines(text);
	assert_in_range(n_got, 1, n_sent - 1);

	log_info(&f->log, "n", LOG_STR("n", "last"));
	n = read(fds[0], text, sizeof(text) - 1);
	assert_true(n > 0);
	text[n] = '\0';
	lost = strstr(text, "level=warning event=log-lost lines=");
	assert_ptr_equal(lost, text);
	assert_int_equal(sscanf(text, "level=warning event=log-lost lines=%u", &n_said), 1);
	assert_int_equal(n_said, n_sent - n_got);
	assert_non_null(strstr(text, "\nlevel=info event=n n=last\n"));

	close(fds[0]);
	log_info(&f->log, "n", LOG_STR("n", "nobody")); /* and no SIGPIPE */
	assert_int_equal(f->log.n_lost, 1);
	close(fds[1]);
	f->log.fd = f->fd;
	log_flush(&f->log);
	assert_string_equal(written(f), "level=warning event=log-lost lines=1\n");
}

static void journal_gets_priorities_only_where_it_reads(void **state)
{
	struct fixture *f = *state;
	char stream[64];
	struct stat st;

	assert_int_equal(fstat(f->fd, &st), 0);
	assert_false(log_set_target(&f->log, LOG_TARGET_JOURNAL, NULL));
	assert_false(log_set_target(&f->log, LOG_TARGET_JOURNAL, ""));
	assert_false(log_set_target(&f->log, LOG_TARGET_JOURNAL, "1"));
	assert_false(log_set_target(&f->log, LOG_TARGET_JOURNAL, "1:2x"));
	assert_false(log_set_target(&f->log, LOG_TARGET_JOURNAL, "999999:1"));
	snprintf(stream, sizeof(stream), "%ju:%ju", (uintmax_t)st.st_dev + 1, (uintmax_t)st.st_ino);
	assert_false(log_set_target(&f->log, LOG_TARGET_JOURNAL, stream));
	snprintf(stream, sizeof(stream), "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino + 1);
	assert_false(log_set_target(&f->log, LOG_TARGET_JOURNAL, stream));
	log_info(&f->log, "plain", LOG_NONE);
	assert_string_equal(written(f), "level=info event=plain\n");

	snprintf(stream, sizeof(stream), "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
	assert_false(log_set_target(&f->log, LOG_TARGET_STDERR, stream));
	assert_true(log_set_target(&f->log, LOG_TARGET_JOURNAL, stream));
	log_set_level(&f->log, LOG_LEVEL_DEBUG);
	log_error(&f->log, "e", LOG_NONE);
	log_warning(&f->log, "w", LOG_NONE);
	log_info(&f->log, "i", LOG_NONE);
	log_debug(&f->log, "d", LOG_NONE);
	assert_string_equal(written(f),
		"<3>level=error event=e\n<4>level=warning event=w\n"
		"<6>level=info event=i\n<7>level=debug event=d\n");
}

enum { N_THREADS = 4, N_EVENTS = 500 };

static void *write_from_thread(void *arg)
{
	struct log *log = arg;

	for (uint64_t i = 0; i < N_EVENTS; i++)
		log_info(log, "from-thread", LOG_U64("i", i), LOG_STR("text", "some more text"));
	return NULL;
}

static void lines_of_several_threads_stay_whole(void **state)
{
	struct fixture *f = *state;
	pthread_t threads[N_THREADS];
	uint64_t n_written = 0, n_left_out = 0, repeated, suppressed, i;
	int end;

	for (int t = 0; t < N_THREADS; t++)
		assert_int_equal(pthread_create(&threads[t], NULL, write_from_thread, &f->log), 0);
	for (int t = 0; t < N_THREADS; t++)
		pthread_join(threads[t], NULL);
	clock_ns += SECOND;
	log_flush(&f->log);
	written(f);
	for (char *line = strtok(f->text, "\n"); line; line = strtok(NULL, "\n")) {
		end = 0;
		if (sscanf(line, "level=info event=from-thread i=%" SCNu64
				" text=\"some more text\"%n", &i, &end) == 1 && end) {
			assert_int_equal(end, strlen(line));
			n_written++;
			continue;
		}
		assert_int_equal(sscanf(line, "level=info event=from-thread repeated=%" SCNu64
				" suppressed=%" SCNu64 "%n", &repeated, &suppressed, &end), 2);
		assert_int_equal(end, strlen(line));
		n_left_out += repeated + suppressed;
	}
	assert_int_equal(n_written, LOG_PER_SECOND);
	assert_int_equal(n_written + n_left_out, N_THREADS * N_EVENTS);
}

#define LOG_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		LOG_TEST(every_type_has_its_form),
		LOG_TEST(levels_above_the_chosen_one_are_silent),
		LOG_TEST(hostile_value_forges_no_line),
		LOG_TEST(long_values_and_long_lines_are_cut_visibly),
		LOG_TEST(no_length_of_value_overruns_the_line),
		LOG_TEST(equal_lines_are_counted_not_written),
		LOG_TEST(counts_come_before_the_next_second),
		LOG_TEST(one_event_has_a_budget_and_takes_no_other_s),
		LOG_TEST(events_without_a_site_of_their_own_share_one_budget),
		LOG_TEST(end_of_the_log_tells_what_is_owed),
		LOG_TEST(slow_reader_costs_lines_not_time),
		LOG_TEST(journal_gets_priorities_only_where_it_reads),
		LOG_TEST(lines_of_several_threads_stay_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
