/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The n-th call of each kind fails while a broker starts, for each n.
 *
 * It ends with a status and a sentence, or it serves all the same; nothing is left of what it had
 * made. Where there is a cache to be kept, that is kept: what the machine lacks for a moment is no
 * reason to throw away what a former broker left, and the next start serves it, also to a client
 * that was attached all the time.
 */
#include "tests/faults/faults.h"

#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

/* One for each test; *broker is the one of now. */
static struct faults_broker cold, warm, *broker;

/* It was started; how that came out. */
static struct {
	bool serves;
	int status;
} outcome;

static void start(void *context)
{
	(void)context;
	faults_broker_start(broker);
	outcome.serves = faults_broker_wait(broker, &outcome.status);
}

/* One that could not serve says why, with a status that says so too. */
static void check_sentence(void)
{
	const char *said = faults_broker_said(broker);

	FAULTS_CHECK(WIFEXITED(outcome.status), "wait status %#x: %s\n",
		(unsigned)outcome.status, said);
	FAULTS_CHECK(WEXITSTATUS(outcome.status) == 1 || WEXITSTATUS(outcome.status) == 2,
		"exit status %d: %s\n", WEXITSTATUS(outcome.status), said);
	if (strstr(said, "event=can-not-serve"))
		FAULTS_CHECK(!strstr(said, "why=\"\"") && strstr(said, "why="), "%s\n", said);
	else
		FAULTS_CHECK(strlen(said) > 10, "it said \"%s\"\n", said);
}

static void stop_well(void)
{
	int status = faults_broker_stop(broker);

	FAULTS_CHECK(!status, "wait status %#x: %s\n", (unsigned)status,
		faults_broker_said(broker));
}

static void check_cold(void *context)
{
	(void)context;
	if (outcome.serves)
		stop_well();
	else
		check_sentence();
	/* A lock that could not be taken may be somebody's by now. */
	if (strstr(faults_broker_said(broker), "can't lock"))
		FAULTS_CHECK(broker_run_unlink(broker->name) <= 1, "more than a lock is left");
	FAULTS_CHECK(!system_shm_count(broker->name), "left in /dev/shm: %u\n%s",
		system_shm_count(broker->name), faults_broker_said(broker));
	broker_run_unlink(broker->name);
}

static void test_cold(void **state)
{
	static const char *const options[] = {"-o", "dram.size=2MiB", "-o", "index.size_max=1MiB",
		"-o", "cache.persist=off", "-o", "broker.workers=2", "-o", "dram.reserve_threads=2",
		"-o", "dram.node=0", NULL};
	struct faults_phase phase = {.name = "start, cold", .attempt = start, .check = check_cold};

	(void)state;
	broker = &cold;
	faults_broker_init(broker, options);
	phase.page = broker->page;
	faults_run(&phase);
}

/* --- with a cache to be kept ------------------------------------------------------------------ */

static struct shmc *client;

static void check_warm(void *context)
{
	char value[16] = "";
	int r;

	(void)context;
	if (outcome.serves)
		stop_well();
	else
		check_sentence();
	start(NULL);
	FAULTS_CHECK(outcome.serves, "%s\n", faults_broker_said(broker));
	if (!outcome.serves)
		return;
	FAULTS_CHECK(strstr(faults_broker_said(broker), "event=warm-start entries=1 "), "%s\n",
		faults_broker_said(broker));
	/* The one that was attached comes back by itself. */
	r = shmc_ping(client, 60000);
	FAULTS_CHECK(!r, "ping: %s\n", shmc_strerror(r));
	r = shmc_read(client, "key", 3, value, sizeof(value), NULL);
	FAULTS_CHECK(!r && !strcmp(value, "value"), "%s, \"%s\"\n", shmc_strerror(r), value);
	if (r)
		shmc_put(client, "key", 3, "value", 6, NULL, 60000);
	stop_well();
}

static void test_warm(void **state)
{
	static const char *const options[] = {"-o", "dram.size=2MiB", "-o", "index.size_max=1MiB",
		"-o", "dram.reserve_threads=2", NULL};
	struct faults_phase phase = {.name = "start, warm", .attempt = start, .check = check_warm};

	(void)state;
	broker = &warm;
	faults_broker_init(broker, options);
	start(NULL);
	assert_true(outcome.serves);
	assert_int_equal(shmc_attach(&client, broker->name, NULL), 0);
	assert_int_equal(shmc_put(client, "key", 3, "value", 6, NULL, 60000), 0);
	stop_well();
	phase.page = broker->page;
	faults_run(&phase);
	shmc_detach(client);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cold),
		cmocka_unit_test(test_warm),
	};

	int r = faults_begin();

	if (r)
		return r;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
