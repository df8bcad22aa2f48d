/* SPDX-License-Identifier: Apache-2.0 */
/* peers-settings.c: what the cluster says, over what this broker's file says. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "shmcache/remote/peers/etcd.h"
#include "shmcache/remote/peers/peers-impl.h"

/*
 * What is in force follows from the file, as it was read last, and from what stands in etcd now, and
 * from nothing that was there before: a broker that starts comes to the same as those that run. So each change begins
 * anew from the file, and lays over it each setting that is right; one that is not is as if it were
 * not there.
 *
 * The cluster wins. A file says for a broker what the cluster does not; where both speak, and
 * differ, the members would disagree, which is what settings are there to prevent. The one
 * exception is security (shmcache/config/cluster.c).
 *
 * All this is in the remote thread, whose copy of the configuration nobody else reads.
 */

struct peers_settings {
	struct config file;
	struct etcd_setting last[PEERS_SETTINGS_MAX]; /* what stands in etcd */
	unsigned n_last;
	uint64_t told[PEERS_SETTINGS_MAX]; /* what was refused, of what is there now */
	unsigned n_told;
};

int peers_settings_open(struct peers *p)
{
	p->settings = calloc(1, sizeof(*p->settings));
	if (!p->settings)
		return -ENOMEM;
	p->settings->file = *p->loop->config;
	return 0;
}

void peers_settings_close(struct peers *p)
{
	free(p->settings);
	p->settings = NULL;
}

/* --- what is refused -------------------------------------------------------------------------- */

static uint64_t name_of(const struct etcd_setting *s)
{
	return XXH3_64bits_withSeed(
		s->value, strlen(s->value), XXH3_64bits(s->name, strlen(s->name)));
}

static bool is_told(const struct peers_settings *all, uint64_t name)
{
	unsigned i = 0;

	while (i < all->n_told && all->told[i] != name)
		i++;
	return i < all->n_told;
}

/* Lay them over @wanted. One that is refused is told of when it comes, and not at each change. */
static void lay_over(struct peers *p, struct config *wanted, const struct etcd_setting *settings,
	unsigned n)
{
	uint64_t told[PEERS_SETTINGS_MAX];
	char why[CONFIG_WHY_SIZE];
	unsigned n_told = 0, i;

	for (i = 0; i < n; i++) {
		if (!config_cluster_set(wanted, settings[i].name, settings[i].value, why))
			continue;
		told[n_told] = name_of(&settings[i]);
		if (!is_told(p->settings, told[n_told]))
			log_warning(p->loop->log, "cluster-setting-ignored",
				LOG_STR("key", settings[i].name),
				LOG_STR("value", settings[i].value), LOG_STR("why", why));
		n_told++;
	}
	memcpy(p->settings->told, told, n_told * sizeof(told[0]));
	p->settings->n_told = n_told;
}

/* --- what is in force ------------------------------------------------------------------------- */

/* What changes, and whose word it is now. */
static void tell_changes(struct peers *p, const struct config *wanted)
{
	char was[CONFIG_VALUE_SIZE], value[CONFIG_VALUE_SIZE], file[CONFIG_VALUE_SIZE];
	const char *key;
	unsigned i;

	for (i = 0; (key = config_cluster_key(i)); i++) {
		config_cluster_print(p->loop->config, key, was);
		config_cluster_print(wanted, key, value);
		config_cluster_print(&p->settings->file, key, file);
		if (strcmp(was, value))
			log_info(p->loop->log, "cluster-setting", LOG_STR("key", key),
				LOG_STR("was", was), LOG_STR("value", value),
				LOG_STR("file", file));
	}
}

static bool wants_other_links(const struct config_remote *a, const struct config_remote *b)
{
	return a->lanes != b->lanes || a->window_size != b->window_size ||
		a->data_tls != b->data_tls;
}

/* @is_told: the changes are the cluster's doing. */
static void put_in_force(struct peers *p, bool is_told)
{
	struct config *c = p->loop->config, *wanted = malloc(sizeof(*wanted));
	bool has_other_links;

	/* The next change brings all of them again. */
	if (!wanted)
		return;
	*wanted = p->settings->file;
	lay_over(p, wanted, p->settings->last, p->settings->n_last);
	if (is_told)
		tell_changes(p, wanted);
	has_other_links = wants_other_links(&c->remote, &wanted->remote);
	*c = *wanted;
	free(wanted);
	if (has_other_links)
		peers_links_renew(p);
	peers_directory_review(p);
}

void peers_settings_take(void *context, const struct etcd_setting *settings, unsigned n)
{
	struct peers *p = context;

	if (n > PEERS_SETTINGS_MAX)
		n = PEERS_SETTINGS_MAX;
	if (n)
		memcpy(p->settings->last, settings, n * sizeof(*settings));
	p->settings->n_last = n;
	put_in_force(p, true);
}

void peers_reload(void *self, const struct config *file)
{
	struct peers *p = self;

	p->settings->file = *file;
	put_in_force(p, false);
}
