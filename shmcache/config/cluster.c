/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cluster.c: what the cluster may say instead of the file.
 *
 * Which keys these are stands in the table: those in which brokers have to agree, and those of
 * which an operator wants to change one value in one place. What belongs to a host (addresses,
 * files, shares of its memory) is not among them, nor is who may be a peer: whoever can write to
 * etcd would decide that. For the same reason nothing here can make a broker less secure than its
 * file has it.
 *
 * The value comes from the network and goes through the parser that the file's does.
 */
#include "shmcache/config/keys.h"

#include <errno.h>
#include <string.h>

static const struct key *find(const char *name)
{
	const struct key *key = key_find("remote", name);

	return key && key->is_cluster ? key : NULL;
}

const char *config_cluster_key(unsigned i)
{
	for (const struct key *k = keys; k < keys + n_keys; k++)
		if (k->is_cluster && !i--)
			return k->name;
	return NULL;
}

int config_cluster_set(struct config *c, const char *name, const char *value,
		char why[CONFIG_WHY_SIZE])
{
	const struct key *key = find(name);
	bool had_tls = c->remote.data_tls;

	if (!key) {
		snprintf(why, CONFIG_WHY_SIZE, "%s",
			key_find("remote", name) ? "is each broker's own; it stands in its file"
						 : "there is no such key");
		return -ENOENT;
	}
	if (key_parse(key, value, c, why))
		return -EINVAL;
	if (had_tls && !c->remote.data_tls) {
		c->remote.data_tls = true;
		snprintf(why, CONFIG_WHY_SIZE, "this broker's file wants it on, and no cluster "
					       "takes that away");
		return -EPERM;
	}
	return 0;
}

void config_cluster_print(const struct config *c, const char *name, char text[CONFIG_VALUE_SIZE])
{
	const struct key *key = find(name);

	text[0] = '\0';
	if (key)
		key_print(key, c, text);
}
