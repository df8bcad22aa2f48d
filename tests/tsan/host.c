/* SPDX-License-Identifier: Apache-2.0 */
/* host.c: the whole broker, from configuration to stop, as threads of a test. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <urcu.h>

#include "tests/tsan/host.h"

/*
 * The thread does what main() of shmcached does. It is stopped by a SIGTERM that is sent to this
 * thread alone: all threads block the signal, since a broker reads it from a descriptor.
 */
static int configure(struct host *host, const char *const *options)
{
	struct config_errors errors = {0};
	char key[64], name[32];
	const char *value;
	int r = 0;

	config_init(&host->config);
	snprintf(name, sizeof(name), "tsan-%d", (int)getpid());
	config_set(&host->config, "cache.name", name, &errors);
	config_set(&host->config, "cache.persist", "off", &errors);
	config_set(&host->config, "log.level", "warning", &errors);
	for (; *options; options++) {
		value = strchr(*options, '=');
		snprintf(key, sizeof(key), "%.*s", (int)(value - *options), *options);
		r |= config_set(&host->config, key, value + 1, &errors);
	}
	r |= config_check(&host->config, &errors);
	config_errors_print(&errors, stderr);
	return r;
}

static void tell(struct host *host, int result)
{
	pthread_mutex_lock(&host->lock);
	host->result = result;
	pthread_cond_signal(&host->changed);
	pthread_mutex_unlock(&host->lock);
}

static void *host_main(void *argument)
{
	static const struct settings no_settings;
	struct host *host = argument;
	int r;

	rcu_register_thread();
	r = broker_start(&host->broker, &host->config, &no_settings, &host->log, host->why,
		sizeof(host->why));
	tell(host, r);
	if (!r) {
		broker_run(&host->broker);
		/* Who sent the signal has done with us: the sanitizer does not know signals. */
		pthread_mutex_lock(&host->lock);
		pthread_mutex_unlock(&host->lock);
		broker_stop(&host->broker);
	}
	rcu_unregister_thread();
	return NULL;
}

int host_start(struct host *host, const char *const *options)
{
	sigset_t set;
	int r;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	r = configure(host, options);
	if (r)
		return r;
	log_init(&host->log, STDERR_FILENO);
	log_set_level(&host->log, host->config.log.level);
	pthread_mutex_init(&host->lock, NULL);
	pthread_cond_init(&host->changed, NULL);
	host->result = 1;
	r = -pthread_create(&host->thread, NULL, host_main, host);
	if (r)
		return r;
	pthread_mutex_lock(&host->lock);
	while (host->result == 1)
		pthread_cond_wait(&host->changed, &host->lock);
	r = host->result;
	pthread_mutex_unlock(&host->lock);
	if (r) {
		fprintf(stderr, "the broker does not start: %s\n", host->why);
		pthread_join(host->thread, NULL);
	}
	return r;
}

void host_stop(struct host *host)
{
	pthread_mutex_lock(&host->lock);
	pthread_kill(host->thread, SIGTERM);
	pthread_mutex_unlock(&host->lock);
	pthread_join(host->thread, NULL);
	log_deinit(&host->log);
	pthread_cond_destroy(&host->changed);
	pthread_mutex_destroy(&host->lock);
}

uint64_t host_counter(const struct host *host, enum abi_counter counter)
{
	const struct abi_plane *plane = host->broker.plane.shared;
	uint64_t sum = 0;
	unsigned i;

	for (i = 0; i < ABI_THREADS; i++)
		sum += shared_u64_load(&plane->worker[i].counter[counter]);
	return sum;
}

uint64_t host_gauge(const struct host *host, enum abi_gauge gauge)
{
	return shared_u64_load(&host->broker.plane.shared->gauge[gauge]);
}
