/* SPDX-License-Identifier: Apache-2.0 */
/* net.c: what all links and guests of a broker share, and the passing of time. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "shmcache/remote/peers/net.h"

static int start_tls(struct link_net *net, char *why)
{
	const struct link_settings *s = &net->settings;
	int r;

	if (s->security == LINK_NONE)
		return 0;
	r = tls_new(&net->tls, s->cluster, s->ca, s->certificate, s->key, why, LINK_WHY_SIZE);
	if (r || !strcmp(tls_own_name(net->tls), s->name))
		return r;
	snprintf(why, LINK_WHY_SIZE, "%s is the certificate of %s, but this broker is %s",
		s->certificate, tls_own_name(net->tls), s->name);
	return -EINVAL;
}

static int check(const struct link_settings *s, char *why)
{
	char cluster[FRAME_NAME_SIZE] = {0}, name[FRAME_NAME_SIZE] = {0};

	snprintf(cluster, sizeof(cluster), "%s", s->cluster);
	snprintf(name, sizeof(name), "%s", s->name);
	if (strlen(s->cluster) < FRAME_NAME_SIZE && frame_name_is_valid(cluster) &&
		strlen(s->name) < FRAME_NAME_SIZE && frame_name_is_valid(name) && s->n_lanes &&
		s->n_lanes <= LINK_LANES_MAX)
		return 0;
	snprintf(why, LINK_WHY_SIZE,
		"names of cluster and member are up to 63 letters, digits, '.', '_' and '-', "
		"lanes are 1 to %d",
		LINK_LANES_MAX);
	return -EINVAL;
}

/* What every connection is to have: found out now, rather than by links that never come up. */
static int check_congestion(const struct link_settings *s, char *why)
{
	int fd, r;

	if (!s->congestion)
		return 0;
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	r = fd < 0 ? -errno : stream_tune(fd, LINK_SILENCE_MS, s->congestion);
	if (fd >= 0)
		close(fd);
	if (r)
		snprintf(why, LINK_WHY_SIZE,
			"can't have %s as congestion: %s; what can be had is in "
			"/proc/sys/net/ipv4/tcp_allowed_congestion_control",
			s->congestion, strerror(-r));
	return r;
}

/* Less would never let a whole frame through. */
static void set_window(struct link_net *net, uint64_t window)
{
	net->settings.window = window < FRAME_DATA_MAX ? FRAME_DATA_MAX : window;
}

int link_net_new(struct link_net **out, const struct link_settings *settings,
	const struct link_guest_events *events, void *owner, int epoll, struct log *log, char *why)
{
	struct link_net *net;
	int r = check(settings, why);

	if (!r)
		r = check_congestion(settings, why);
	if (r)
		return r;
	net = calloc(1, sizeof(*net));
	if (!net) {
		snprintf(why, LINK_WHY_SIZE, "no memory for links to peers");
		return -ENOMEM;
	}
	net->settings = *settings;
	if (!net->settings.hello_ms)
		net->settings.hello_ms = LINK_HELLO_MS;
	if (!net->settings.silence_ms)
		net->settings.silence_ms = LINK_SILENCE_MS;
	set_window(net, settings->window);
	net->self = (struct hello_self){settings->cluster, settings->name, settings->incarnation,
		settings->capacity};
	net->events = events;
	net->owner = owner;
	net->epoll = epoll;
	net->log = log;
	net->listener.fd = -1;
	r = start_tls(net, why);
	if (r)
		link_net_free(net);
	else
		*out = net;
	return r;
}

void link_net_set_free(struct link_net *net, uint64_t bytes)
{
	net->free_told = bytes + 1;
}

void link_net_dismiss(struct link_net *net, const char *why)
{
	while (net->guests)
		guest_end(net->guests, why);
}

void link_net_set(struct link_net *net, unsigned n_lanes, uint64_t window, bool data_tls)
{
	/* Theirs may be in the clear. */
	if (data_tls && !net->settings.data_tls)
		link_net_dismiss(net, "data_tls is on from now on");
	if (n_lanes && n_lanes <= LINK_LANES_MAX)
		net->settings.n_lanes = n_lanes;
	set_window(net, window);
	net->settings.data_tls = data_tls;
}

void link_net_free(struct link_net *net)
{
	if (!net)
		return;
	listener_close(net);
	link_net_dismiss(net, "this broker ends");
	tls_free(net->tls);
	free(net);
}

/* --- time ------------------------------------------------------------------------------------ */

/*
 * Who was not called for long (stopped, or the machine was) knows nothing of his peers'
 * silence: it may have been his own.
 */
static void forgive(struct link_net *net, uint64_t ms)
{
	struct link_guest *g;
	struct link *l;
	unsigned i;

	for (l = net->links; l; l = l->next) {
		l->heard_ms += ms;
		l->begun_ms += ms;
		l->answered_ms += ms;
		fetch_forgive(l, ms);
	}
	for (g = net->guests; g; g = g->next)
		g->heard_ms += ms;
	for (i = 0; i < LINK_STRANGERS_MAX; i++)
		net->strangers[i].since_ms += ms;
}

static void review(struct link_net *net)
{
	struct link_guest *g, *next;

	net->must_review = false;
	for (g = net->guests; g; g = next) {
		next = g->next;
		if (!net->events->is_member(net->owner, g->name))
			guest_end(g, "it is no member any more");
	}
}

void link_net_tick(struct link_net *net, uint64_t now_ms)
{
	struct link_guest *g, *next_guest;
	struct link *l;

	if (net->now_ms && now_ms - net->now_ms > 5 * LINK_TICK_MS)
		forgive(net, now_ms - net->now_ms - LINK_TICK_MS);
	net->now_ms = now_ms;
	if (net->must_review)
		review(net);
	listener_tick(net);
	for (g = net->guests; g; g = next_guest) {
		next_guest = g->next;
		guest_tick(g);
	}
	for (l = net->links; l; l = l->next)
		link_tick(l);
}

void link_net_review(struct link_net *net)
{
	net->must_review = true;
}

void link_net_get_stats(const struct link_net *net, struct link_net_stats *stats)
{
	const struct link_guest *g;
	unsigned i;

	*stats = net->stats;
	for (i = 0; i < LINK_STRANGERS_MAX; i++)
		stats->n_strangers += net->strangers[i].lane.stream != NULL;
	for (g = net->guests; g; g = g->next) {
		stats->n_guests++;
		stats->bytes_in += g->control.bytes_in;
		stats->bytes_out += g->control.bytes_out;
		for (i = 0; i < g->n_lanes; i++) {
			stats->bytes_in += g->data[i].lane.bytes_in;
			stats->bytes_out += g->data[i].lane.bytes_out;
		}
	}
}
