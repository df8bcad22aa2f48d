/* SPDX-License-Identifier: Apache-2.0 */
/*
 * double-broker.c: a shmcached that takes a double for all other brokers.
 *
 *	shmcached-double -c FILE
 *
 * For tests that kill and start brokers, and want what they fetch to come from somewhere. What
 * becomes of a key is as double.h says; keys and values are those of tests/support/value.h, of
 * version DOUBLE_VERSION.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <urcu.h>

#include "shmcache/settings.h"
#include "tests/clients/double.h"
#include "tests/support/value.h"

/* "PREFIX/HEX", and what follows. */
static void make_value(uint8_t *data, uint64_t size, const struct ticket *t)
{
	char number[7] = "";

	if (t->key_size >= 8)
		memcpy(number, t->key + 2, 6);
	value_make(data, size, strtoull(number, NULL, 16), DOUBLE_VERSION);
}

static int serve(struct broker *broker, const char *name)
{
	static struct double_ other = {.make = make_value};
	int r = double_start(&other, broker);

	if (r) {
		fprintf(stderr, "%s: no double: %s\n", name, strerror(-r));
	} else {
		broker_run(broker);
		/* As the remote thread, it has answered all before the workers end. */
		double_stop(&other);
	}
	broker_stop(broker);
	return r ? 1 : 0;
}

int main(int argc, char **argv)
{
	static struct config_errors errors;
	static struct settings settings;
	static struct config config;
	static struct broker broker;
	static struct log log;
	char why[512];
	int r = 2;

	if (argc == 3 && !strcmp(argv[1], "-c"))
		settings.file = argv[2];
	if (!settings.file || settings_read(&settings, &config, &errors)) {
		config_errors_print(&errors, stderr);
		return r;
	}
	signal(SIGPIPE, SIG_IGN);
	log_init(&log, STDERR_FILENO);
	log_set_level(&log, config.log.level);
	rcu_register_thread();
	r = broker_start(&broker, &config, &settings, &log, why, sizeof(why));
	if (r)
		fprintf(stderr, "%s\n", why);
	else
		r = serve(&broker, argv[0]);
	rcu_unregister_thread();
	log_deinit(&log);
	return r ? 1 : 0;
}
