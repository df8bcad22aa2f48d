/* SPDX-License-Identifier: Apache-2.0 */
/* pair.c: two nets in one epoll set. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "shmcache/watch.h"
#include "tests/shmcache/remote/peers/pair.h"

char pair_certificates[64];

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* --- the holder ------------------------------------------------------------------------------ */

static bool is_member(void *owner, const char *name)
{
	struct pair_end *e = owner;

	return !e->refuses_all && strcmp(name, "stranger");
}

static void arrived(void *owner, struct link_guest *guest)
{
	struct pair_end *e = owner;

	e->guest = guest;
	e->n_arrived++;
}

static void left(void *owner, struct link_guest *guest, const char *why)
{
	struct pair_end *e = owner;

	if (e->guest == guest)
		e->guest = NULL;
	e->n_left++;
	snprintf(e->why, sizeof(e->why), "%s", why);
}

/* Keys that begin with "a" are held by 7 and 8. */
static void lookup(void *owner, struct link_guest *guest, uint64_t id, enum frame_lookup kind,
	struct frame_cursor items, unsigned n)
{
	static struct frame_holders holders[FRAME_ITEMS_MAX];
	struct pair_end *e = owner;
	const uint8_t *data;
	uint16_t size;
	unsigned i;

	(void)kind;
	for (i = 0; frame_next_item(&items, &data, &size); i++)
		holders[i] = data[0] == 'a' ? (struct frame_holders){2, {7, 8}}
					    : (struct frame_holders){0};
	e->n_lookups += n;
	if (!e->keeps_questions)
		link_found(guest, id, holders, e->knows_nothing ? 0 : n);
}

static void erase(
	void *owner, struct link_guest *guest, uint64_t id, const uint8_t *key, uint16_t size)
{
	struct pair_end *e = owner;

	(void)key;
	(void)size;
	e->n_erases++;
	link_erased(guest, id, FRAME_OK);
}

static void announce(
	void *owner, struct link_guest *guest, const struct frame_notice *notices, unsigned n)
{
	struct pair_end *e = owner;

	(void)guest;
	(void)notices;
	e->n_notices += n;
}

static uint64_t sum(void *context)
{
	return ((struct pair_end *)context)->sum;
}

static void done(void *context, bool sent)
{
	struct pair_end *e = context;

	e->n_sent += sent;
	e->n_unsent += !sent;
}

static void fetch(void *owner, struct link_request *request)
{
	struct pair_end *e = owner;
	struct link_body body = {.value = {.size = e->value_size}, .data = e->value, .sum = sum,
		.done = done, .context = e};

	if (request->key[0] == '-')
		link_refuse(request, FRAME_MISS);
	else if (e->value)
		link_push(request, &body);
	else if (e->n_requests < PAIR_REQUESTS_MAX)
		e->requests[e->n_requests++] = request;
}

static void gone(void *owner, struct link_request *request)
{
	struct pair_end *e = owner;
	unsigned i;

	for (i = 0; i < e->n_requests; i++)
		if (e->requests[i] == request)
			e->requests[i] = NULL;
	e->n_gone++;
}

static const struct link_guest_events guest_events = {
	.is_member = is_member,
	.arrived = arrived,
	.left = left,
	.lookup = lookup,
	.erase = erase,
	.announce = announce,
	.fetch = fetch,
	.gone = gone,
};

/* --- the requester --------------------------------------------------------------------------- */

static void up(void *owner, uint64_t incarnation, uint64_t capacity)
{
	struct pair_end *e = owner;

	(void)incarnation;
	(void)capacity;
	e->n_up++;
}

static void down(void *owner, bool was_up, const char *why)
{
	struct pair_end *e = owner;

	(void)was_up;
	e->n_down++;
	snprintf(e->down, sizeof(e->down), "%s", why);
}

static const char *found(void *owner, uint64_t id, struct frame_cursor holders)
{
	struct pair_end *e = owner;
	struct frame_holders h;

	(void)id;
	e->n_found++;
	while (frame_next_holders(&holders, &h))
		e->n_holders += h.n;
	return NULL;
}

static const char *erased(void *owner, uint64_t id, enum frame_status status)
{
	struct pair_end *e = owner;

	(void)id;
	e->n_erased += status == FRAME_OK;
	return NULL;
}

static const struct link_events link_events = {
	.up = up,
	.down = down,
	.found = found,
	.erased = erased,
};

static uint8_t *land(struct link_fetch *fetch, const struct frame_value *value)
{
	struct pair_fetch *f = (struct pair_fetch *)fetch;

	f->size = value->size;
	return f->is_unwanted || value->size > f->room ? NULL : f->to;
}

static void fetch_done(struct link_fetch *fetch, enum link_result result)
{
	struct pair_fetch *f = (struct pair_fetch *)fetch;

	f->result = result;
	f->n_done++;
	if (f->n_all)
		++*f->n_all;
}

void pair_fetch(struct pair *p, struct pair_fetch *f, const char *key)
{
	pair_fetch_from(p, p->a.link, f, key);
}

int pair_link(struct pair *p, struct link **out, const char *address)
{
	return link_open(out, p->a.net, "b", address, &link_events, &p->a);
}

void pair_ask(struct link *link, struct pair_fetch *f, const char *key)
{
	f->fetch = (struct link_fetch){.key = key, .key_size = (uint16_t)strlen(key),
		.wait_ms = 1000, .land = land, .done = fetch_done, .n_come = &f->n_come};
	f->n_come = 0;
	link_fetch(link, &f->fetch);
}

void pair_fetch_from(struct pair *p, struct link *link, struct pair_fetch *f, const char *key)
{
	(void)p;
	pair_ask(link, f, key);
	link_kick(link);
}

/* --- both ------------------------------------------------------------------------------------ */

struct link_settings pair_settings(const char *name, enum link_security security, bool data_tls)
{
	static char paths[8][3][128];
	static unsigned n;
	char (*path)[128] = paths[n++ % 8];

	snprintf(path[0], 128, "%s/ca.pem", pair_certificates);
	snprintf(path[1], 128, "%s/%s.pem", pair_certificates, name);
	snprintf(path[2], 128, "%s/%s.key", pair_certificates, name);
	return (struct link_settings){.cluster = "test", .name = name, .incarnation = 1000 + n,
		.capacity = 1 << 20, .security = security, .data_tls = data_tls, .ca = path[0],
		.certificate = path[1], .key = path[2], .n_lanes = 2, .window = 4 << 20,
		.n_guests_max = 8};
}

int pair_end_begin(struct pair_end *e, int epoll, const struct link_settings *settings)
{
	log_init(&e->log, open("/dev/null", O_WRONLY | O_CLOEXEC));
	return link_net_new(&e->net, settings, &guest_events, e, epoll, &e->log, e->why);
}

static void need(int r, const char *why)
{
	if (!r)
		return;
	fprintf(stderr, "no pair: %d %s\n", r, why);
	exit(1);
}

void pair_begin_with(struct pair *p, const struct link_settings *a, const struct link_settings *b)
{
	memset(p, 0, sizeof(*p));
	p->epoll = epoll_create1(EPOLL_CLOEXEC);
	need(pair_end_begin(&p->a, p->epoll, a), p->a.why);
	need(pair_end_begin(&p->b, p->epoll, b), p->b.why);
	need(link_net_listen(p->b.net, "127.0.0.1:0", p->b.why), p->b.why);
	snprintf(p->address, sizeof(p->address), "127.0.0.1:%u", link_net_port(p->b.net));
	need(link_open(&p->a.link, p->a.net, "b", p->address, &link_events, &p->a), "link");
}

void pair_begin(struct pair *p, enum link_security security, bool data_tls)
{
	struct link_settings a = pair_settings("a", security, data_tls);
	struct link_settings b = pair_settings("b", security, data_tls);

	pair_begin_with(p, &a, &b);
}

static void end_free(struct pair_end *e)
{
	int fd = e->log.fd;

	link_close(e->link);
	link_net_free(e->net);
	log_deinit(&e->log);
	close(fd);
}

void pair_end(struct pair *p)
{
	end_free(&p->a);
	end_free(&p->b);
	close(p->epoll);
}

bool pair_turn(struct pair *p)
{
	link_net_tick(p->a.net, now_ms());
	link_net_tick(p->b.net, now_ms());
	return watch_wait(p->epoll, 10);
}

static void turn(struct pair *p)
{
	unsigned i;

	if (pair_turn(p))
		for (i = 0; i < 100 && watch_wait(p->epoll, 0); i++)
			;
}

bool pair_run(struct pair *p, const unsigned *n, unsigned wanted)
{
	uint64_t end_ms = now_ms() + 10000;

	while (*n < wanted && now_ms() < end_ms)
		turn(p);
	return *n == wanted;
}

void pair_rest(struct pair *p, unsigned ms)
{
	uint64_t end_ms = now_ms() + ms;

	while (now_ms() < end_ms)
		turn(p);
}

