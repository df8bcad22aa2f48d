/* SPDX-License-Identifier: Apache-2.0 */
/* table.c: lines of other brokers: what state each is in, and that all text in them is text. */
#include "shmcache/remote/table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "shmcache/remote/breaker.h"

static void states(void **state)
{
	static const struct remote_health health[] = {
		{.name = "a", .link = REMOTE_CONNECTING, .since_ms = 900, .why = "no answer"},
		{.name = "b", .link = REMOTE_UP, .since_ms = 900, .breaker_since_ms = 5},
		{.name = "c", .link = REMOTE_UP, .since_ms = 900, .breaker = BREAKER_HALF_OPEN,
			.breaker_since_ms = 990},
		/* Who can't be reached is not asked, whatever became of it before. */
		{.name = "d", .link = REMOTE_SHUT_OUT, .since_ms = 900, .breaker = BREAKER_OPEN,
			.breaker_since_ms = 990},
		/* It came up after somebody asked for the time. */
		{.name = "e", .link = REMOTE_UP, .since_ms = 1001},
	};
	static const unsigned states[] = {WIRE_PEER_CONNECTING, WIRE_PEER_UP, WIRE_PEER_LEFT_ALONE,
		WIRE_PEER_REFUSED, WIRE_PEER_UP};
	static const uint64_t ages[] = {100, 100, 10, 100, 0};
	struct wire_peer line[5];

	(void)state;
	memset(line, 0xff, sizeof(line));
	remote_table_lines(line, health, 5, 1000);
	for (unsigned i = 0; i < 5; i++) {
		assert_string_equal(line[i].name, health[i].name);
		assert_string_equal(line[i].why, health[i].why);
		assert_int_equal(line[i].state, states[i]);
		assert_int_equal(line[i].state_ms, ages[i]);
	}
}

static char *written(const struct wire_peer *lines, unsigned n)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	assert_non_null(f);
	remote_table_write_json(f, lines, n);
	fclose(f);
	return text;
}

/* Each figure under its own name; a reason from elsewhere can't end its string. */
static void json(void **state)
{
	static const struct remote_health health[] = {
		{.name = "a", .address = "10.0.0.1:7400", .why = "\"}]\\\n\x1b[2J\xff\x7f", .n_lanes = 1,
			.n_links = 2, .n_fetches = 3, .n_misses = 4, .n_failures = 5,
			.received_bytes = 6, .n_served = 7, .sent_bytes = 8, .rtt_ns = 9, .p50_ns = 10,
			.p99_ns = 11, .capacity = 12, .free = 13, .n_records = 14},
		{.name = "b", .free = UINT64_MAX, .since_ms = 1000},
	};
	struct wire_peer line[2];
	char *text;

	(void)state;
	remote_table_lines(line, health, 2, 1000);
	text = written(line, 2);
	assert_string_equal(text,
		",\"peers\":[{\"name\":\"a\",\"address\":\"10.0.0.1:7400\",\"why\":"
		"\"\\u0022}]\\u005c\\u000a\\u001b[2J\\u00ff\\u007f\",\"state\":0,\"state_ms\":1000,"
		"\"lanes\":1,\"links\":2,\"fetches\":3,\"misses\":4,\"failures\":5,"
		"\"received_bytes\":6,\"served\":7,\"sent_bytes\":8,\"rtt_ns\":9,\"p50_ns\":10,"
		"\"p99_ns\":11,\"capacity\":12,\"records\":14,\"free\":13},"
		"{\"name\":\"b\",\"address\":\"\",\"why\":\"\",\"state\":0,\"state_ms\":0,"
		"\"lanes\":0,\"links\":0,\"fetches\":0,\"misses\":0,\"failures\":0,"
		"\"received_bytes\":0,\"served\":0,\"sent_bytes\":0,\"rtt_ns\":0,\"p50_ns\":0,"
		"\"p99_ns\":0,\"capacity\":0,\"records\":0}]");
	free(text);
	text = written(line, 0);
	assert_string_equal(text, ",\"peers\":[]");
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(states), cmocka_unit_test(json)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
