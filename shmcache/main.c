/* SPDX-License-Identifier: Apache-2.0 */
/* main.c: shmcached, the broker: options, configuration, and the one struct broker. */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <urcu.h>

#include "shmcache/broker.h"
#include "shmcache/config/config.h"
#include "shmcache/log/log.h"
#include "shmcache/policy/policy.h"
#include "shmcache/version.h"

/*
 * Exit status, as a service manager or a script would use it: 0 served and was asked to stop, 1 could
 * not serve, 2 bad options or a bad configuration.
 */
enum {
	EXIT_OK = 0,
	EXIT_CANNOT_SERVE = 1,
	EXIT_USAGE = 2,
};

static const char usage[] =
	"Usage: shmcached [-c FILE] [-o SECTION.KEY=VALUE]... [--check-config]\n"
	"Serve a shared-memory cache to the processes of this host.\n"
	"\n"
	"  -c, --config FILE       read this configuration (shmcached.conf(5)); without one the\n"
	"                          cache is named \"shmcache\" and takes a quarter of what is\n"
	"                          free in /dev/shm\n"
	"  -o, --option KEY=VALUE  set one key over the file, such as -o dram.size=1GiB\n"
	"      --check-config      print the effective configuration and exit\n"
	"  -h, --help              print this and exit\n"
	"  -V, --version           print the version and exit\n"
	"\n"
	"SIGTERM and SIGINT stop it: what is in flight is answered, and the cache stays warm in\n"
	"memory for the next start unless [cache] persist = off.\n";

struct options {
	const char *file;
	bool only_check;
};

static void fail_config(const struct config_errors *errors)
{
	config_errors_print(errors, stderr);
	exit(EXIT_USAGE);
}

/* "dram.size=1GiB" over what the file said. */
static void set_option(struct config *config, char *text, struct config_errors *errors)
{
	char *value = strchr(text, '=');

	if (!value) {
		fprintf(stderr, "shmcached: -o %s: expected SECTION.KEY=VALUE\n", text);
		exit(EXIT_USAGE);
	}
	*value = '\0';
	if (config_set(config, text, value + 1, errors))
		fail_config(errors);
}

static bool policy_is_known(const char *name)
{
	unsigned i;

	if (!name[0])
		return true;
	for (i = 0; policy_names(i); i++)
		if (!strcmp(policy_names(i), name))
			return true;
	return false;
}

static void check_policy(const struct config *config, const char *section, const char *policy)
{
	char key[32];
	unsigned i, at;

	if (policy_is_known(policy))
		return;
	snprintf(key, sizeof(key), "%s.policy", section);
	at = config_set_at(config, key);
	if (at < CONFIG_SET_BY_OPTION)
		fprintf(stderr, "%s:%u: ", config->file, at);
	else
		fprintf(stderr, "option -o: ");
	fprintf(stderr, "[%s] policy = %s: there is no such policy; there are:", section, policy);
	for (i = 0; policy_names(i); i++)
		fprintf(stderr, " %s", policy_names(i));
	fprintf(stderr, "\n");
	exit(EXIT_USAGE);
}

static void parse(int argc, char **argv, struct config *config, struct options *options)
{
	static const struct option longs[] = {
		{"config", required_argument, NULL, 'c'},
		{"option", required_argument, NULL, 'o'},
		{"check-config", no_argument, NULL, 'k'},
		{"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, 'V'},
		{0},
	};
	struct config_errors errors = {0};
	char *sets[64];
	int c, i, n_sets = 0;

	while ((c = getopt_long(argc, argv, "c:o:hV", longs, NULL)) != -1) {
		switch (c) {
		case 'c':
			options->file = optarg;
			break;
		case 'o':
			if (n_sets == 64) {
				fprintf(stderr, "shmcached: more than 64 times -o\n");
				exit(EXIT_USAGE);
			}
			sets[n_sets++] = optarg;
			break;
		case 'k':
			options->only_check = true;
			break;
		case 'h':
			fputs(usage, stdout);
			exit(EXIT_OK);
		case 'V':
			printf("shmcached %s\n", SHMCACHE_VERSION);
			exit(EXIT_OK);
		default:
			fputs(usage, stderr);
			exit(EXIT_USAGE);
		}
	}
	if (optind < argc) {
		fprintf(stderr, "shmcached: unexpected argument \"%s\"\n%s", argv[optind], usage);
		exit(EXIT_USAGE);
	}
	if (options->file && config_load(config, options->file, &errors))
		fail_config(&errors);
	for (i = 0; i < n_sets; i++)
		set_option(config, sets[i], &errors);
	if (config_check(config, &errors))
		fail_config(&errors);
	check_policy(config, "eviction", config->eviction.policy);
	check_policy(config, "cxl", config->cxl.policy);
}

int main(int argc, char **argv)
{
	/* Static for their size; main is their owner, and hands them down by pointer. */
	static struct config config;
	static struct broker broker;
	static struct log log;
	struct options options = {0};
	char why[512];
	int r;

	config_init(&config);
	parse(argc, argv, &config, &options);
	if (options.only_check)
		return config_print(&config, stdout) || fflush(stdout) ? EXIT_CANNOT_SERVE : EXIT_OK;
	/* A reader of our log that went away, or a client, must not end us. */
	signal(SIGPIPE, SIG_IGN);
	log_init(&log, STDERR_FILENO);
	log_set_level(&log, config.log.level);
	log_set_target(&log, config.log.target, getenv("JOURNAL_STREAM"));
	rcu_register_thread();
	r = broker_start(&broker, &config, &log, why, sizeof(why));
	if (r) {
		log_error(&log, "can-not-serve", LOG_STR("name", config.cache.name),
			LOG_ERRNO("error", r), LOG_STR("why", why));
		log_deinit(&log);
		return EXIT_CANNOT_SERVE;
	}
	broker_run(&broker);
	broker_stop(&broker);
	rcu_unregister_thread();
	log_deinit(&log);
	return EXIT_OK;
}
