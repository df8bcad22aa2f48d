/* SPDX-License-Identifier: Apache-2.0 */
/* peers-etcd.c: members that etcd tells of, instead of a list. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "shmcache/remote/peers/etcd.h"
#include "shmcache/remote/peers/peers-impl.h"

/*
 * What stands in etcd was not looked at when the configuration was read. So what is refused there
 * is left out here: without security, and without the word that the network is meant, a broker
 * talks to loopback addresses alone, whoever tells it of others.
 */
#define PASSWORD_MAX 255

static bool may_be_reached(const struct peers *p, const struct member *m)
{
	const struct config_remote *c = &p->loop->config->remote;
	struct sockaddr_storage address;

	return c->security != CONFIG_SECURITY_NONE || c->insecure_network ||
		(!config_endpoint(m->endpoint, &address, NULL) && config_is_loopback(&address));
}

static void on_view(void *context, const struct member *members, unsigned n)
{
	struct peers *p = context;
	struct member *reached = calloc(n ? n : 1, sizeof(*reached));
	unsigned n_reached = 0, n_out, i;

	/* The last view is kept. */
	if (!reached)
		return;
	for (i = 0; i < n; i++)
		if (may_be_reached(p, &members[i]))
			reached[n_reached++] = members[i];
	n_out = n - n_reached + membership_set(p->members, reached, n_reached);
	free(reached);
	if (n_out)
		log_warning(p->loop->log, "members-left-out", LOG_U64("members", n_out),
			LOG_STR("why", "too many, no addresses, or none that security allows"));
}

static void on_note(void *context, enum etcd_note note, const char *text)
{
	struct peers *p = context;

	if (note == ETCD_CONNECTED)
		log_info(p->loop->log, "etcd-connected", LOG_STR("etcd", text));
	else if (note == ETCD_AWAY)
		log_warning(p->loop->log, "etcd-away", LOG_STR("why", text));
	else
		log_error(p->loop->log, "etcd-refused", LOG_STR("why", text));
}

static void ready(struct watch *watch, uint32_t events)
{
	struct peers *p = watch->owner;

	(void)events;
	etcd_run(p->etcd);
}

/* The first line. 0, or -errno and a sentence. */
static int read_password(const char *path, char password[PASSWORD_MAX + 1], char *why,
	size_t why_size)
{
	FILE *f = fopen(path, "re");
	int r = f ? 0 : -errno;

	password[0] = '\0';
	if (f && !fgets(password, PASSWORD_MAX + 1, f))
		r = -EINVAL;
	if (f)
		fclose(f);
	password[strcspn(password, "\r\n")] = '\0';
	if (r)
		snprintf(why, why_size, "[remote] etcd_password_file = %s: %s", path, strerror(-r));
	return r;
}

/*
 * One of the files for https: etcd's own, or the one that is there for peers. What can't be read
 * curl would tell of only when it is to be used, and again and again.
 */
static int take_file(const char **file, const struct config_remote *c, const char *name,
	const char *own, const char *shared, char *why, size_t why_size)
{
	int r;

	*file = own[0] ? own : shared;
	if (!strstr(c->etcd, "https://") || !(*file)[0] || !access(*file, R_OK))
		return 0;
	r = -errno;
	snprintf(why, why_size, "[remote] %s%s = %s: %s", own[0] ? "etcd_" : "", name, *file,
		strerror(-r));
	return r;
}

static int take_files(struct etcd_options *o, const struct config_remote *c, char *why,
	size_t why_size)
{
	int r = take_file(&o->ca, c, "ca", c->etcd_ca, c->ca, why, why_size);

	if (!r)
		r = take_file(&o->certificate, c, "certificate", c->etcd_certificate,
			c->certificate, why, why_size);
	return r ? r : take_file(&o->key, c, "key", c->etcd_key, c->key, why, why_size);
}

int peers_etcd_open(struct peers *p, uint64_t epoch, char *why, size_t why_size)
{
	const struct config_remote *c = &p->loop->config->remote;
	struct etcd_options options = {.endpoints = c->etcd, .prefix = c->etcd_prefix,
		.cluster = c->cluster, .user = c->etcd_user, .self = c->name,
		.endpoint = c->advertise[0] ? c->advertise : c->listen, .epoch = epoch,
		.view = on_view, .settings = peers_settings_take, .note = on_note, .context = p};
	char password[PASSWORD_MAX + 1];
	int r;

	r = take_files(&options, c, why, why_size);
	if (r)
		return r;
	if (c->etcd_user[0]) {
		r = read_password(c->etcd_password_file, password, why, why_size);
		if (r)
			return r;
		options.password = password;
	}
	r = etcd_open(&p->etcd, &options, why, why_size);
	explicit_bzero(password, sizeof(password));
	if (r)
		return r;
	/* A copy, since a watch closes its own. */
	p->etcd_watch.fd = fcntl(etcd_fd(p->etcd), F_DUPFD_CLOEXEC, 0);
	p->etcd_watch.ready = ready;
	p->etcd_watch.owner = p;
	if (p->etcd_watch.fd < 0)
		return -errno;
	return remote_loop_watch(p->loop, &p->etcd_watch, EPOLLIN);
}

void peers_etcd_close(struct peers *p)
{
	if (!p->etcd)
		return;
	remote_loop_unwatch(p->loop, &p->etcd_watch);
	etcd_close(p->etcd);
	p->etcd = NULL;
}
