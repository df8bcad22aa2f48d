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
#include "shmcache/probe.h"
#include "shmcache/settings.h"
#include "shmcache/version.h"

/*
 * Exit status, as a service manager or a script would use it: 0 served and was asked to stop, 1
 * could not serve, 2 bad options or a bad configuration.
 */
enum {
	EXIT_OK = 0,
	EXIT_CANNOT_SERVE = 1,
	EXIT_USAGE = 2,
};

static const char usage[] =
	"Usage: shmcached [-c FILE] [-o SECTION.KEY=VALUE]... [--check-config | --probe [--json]]\n"
	"Serve a shared-memory cache to the processes of this host.\n"
	"\n"
	"  -c, --config FILE       read this configuration (shmcached.conf(5)); without one the\n"
	"                          cache is named \"shmcache\" and takes a quarter of what is\n"
	"                          free in /dev/shm\n"
	"  -o, --option KEY=VALUE  set one key over the file, such as -o dram.size=1GiB\n"
	"      --check-config      print the effective configuration and exit\n"
	"      --probe             show what memory the machine has for a second tier, and what\n"
	"                          this configuration would take of it, and exit\n"
	"      --json              with --probe: as JSON\n"
	"  -h, --help              print this and exit\n"
	"  -V, --version           print the version and exit\n"
	"\n"
	"SIGTERM and SIGINT stop it: what is in flight is answered, and the cache stays warm in\n"
	"memory for the next start unless [cache] persist = off. SIGHUP has it read FILE again.\n";

struct options {
	struct settings settings;
	bool only_check, only_probe, as_json;
};

static void fail_config(const struct config_errors *errors)
{
	config_errors_print(errors, stderr);
	exit(EXIT_USAGE);
}

static void parse(int argc, char **argv, struct config *config, struct options *options)
{
	static const struct option longs[] = {
		{"config", required_argument, NULL, 'c'},
		{"option", required_argument, NULL, 'o'},
		{"check-config", no_argument, NULL, 'k'},
		{"probe", no_argument, NULL, 'p'},
		{"json", no_argument, NULL, 'j'},
		{"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, 'V'},
		{0},
	};
	static struct config_errors errors;
	struct settings *settings = &options->settings;
	int c;

	while ((c = getopt_long(argc, argv, "c:o:hV", longs, NULL)) != -1) {
		switch (c) {
		case 'c':
			settings->file = optarg;
			break;
		case 'o':
			if (settings->n_options == SETTINGS_OPTIONS_MAX) {
				fprintf(stderr, "shmcached: more than %d times -o\n",
					SETTINGS_OPTIONS_MAX);
				exit(EXIT_USAGE);
			}
			settings->option[settings->n_options++] = optarg;
			break;
		case 'k':
			options->only_check = true;
			break;
		case 'p':
			options->only_probe = true;
			break;
		case 'j':
			options->as_json = true;
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
	if (options->as_json && !options->only_probe) {
		fprintf(stderr, "shmcached: --json goes with --probe\n");
		exit(EXIT_USAGE);
	}
	if (settings_read(settings, config, &errors))
		fail_config(&errors);
}

static int probe(struct config *config, bool as_json)
{
	struct probe p;
	int r;

	broker_fill_in(config);
	probe_look(&p, config);
	r = as_json ? probe_print_json(&p, stdout) : probe_print(&p, stdout);
	probe_free(&p);
	return r ? EXIT_CANNOT_SERVE : EXIT_OK;
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

	parse(argc, argv, &config, &options);
	if (options.only_check)
		return config_print(&config, stdout) || fflush(stdout) ? EXIT_CANNOT_SERVE : EXIT_OK;
	if (options.only_probe)
		return probe(&config, options.as_json);
	/* A reader of our log that went away, or a client, must not end us. */
	signal(SIGPIPE, SIG_IGN);
	log_init(&log, STDERR_FILENO);
	log_set_level(&log, config.log.level);
	log_set_target(&log, config.log.target, getenv("JOURNAL_STREAM"));
	rcu_register_thread();
	r = broker_start(&broker, &config, &options.settings, &log, why, sizeof(why));
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
