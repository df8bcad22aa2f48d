/* SPDX-License-Identifier: Apache-2.0 */
/* events.c: the region that subscribers read, and what is written there. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "shmcache/store.h"

/*
 * Where nobody listens, an event costs a test of one word that the store's lock has brought along
 * anyway. Where somebody does, it costs a copy of the key, some 30 to 100 ns, under the lock; how
 * many listen, and whether they read, costs nothing more: the writer does not know.
 *
 * Kinds are counted, so that hits, which are many, are written only while somebody wants to hear of
 * them.
 *
 * The region is made by the first subscriber and stays, as mappings of it may. Its pages are there
 * before it is written to: a fault under the lock would cost others more than the event.
 */
#define N_WORDS (UINT64_C(1) << 19) /* 4 MiB: some 30,000 events of keys of 100 bytes */

void store_events_init(struct store_events *events)
{
	*events = (struct store_events){.fd = -1};
}

static void region_free(void *region, size_t size, int fd)
{
	if (region)
		munmap(region, size);
	if (fd >= 0)
		close(fd);
}

void store_events_deinit(struct store_events *events)
{
	region_free(events->region, events->size, events->fd);
	store_events_init(events);
}

static int region_make(void **region, size_t size, int *fd)
{
	void *map = MAP_FAILED;
	int r;

	*fd = memfd_create("shmcache-events", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (*fd < 0)
		return -errno;
	if (!ftruncate(*fd, (off_t)size))
		map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, *fd, 0);
	/* Behind our own mapping: all later ones are for reading alone. */
	if (map != MAP_FAILED && !fcntl(*fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW |
						     F_SEAL_FUTURE_WRITE | F_SEAL_SEAL)) {
		*region = map;
		return 0;
	}
	r = -errno;
	region_free(map == MAP_FAILED ? NULL : map, size, *fd);
	return r;
}

/* Two may come at once: the second finds that there is a region now, and drops his own. */
static int make_ready(struct store *s)
{
	struct store_events *e = &s->events;
	size_t size = events_region_size(N_WORDS);
	void *region = NULL;
	bool is_there;
	int fd = -1, r;

	pthread_mutex_lock(&s->lock);
	is_there = e->region != NULL;
	pthread_mutex_unlock(&s->lock);
	if (is_there)
		return 0;
	r = region_make(&region, size, &fd);
	if (r)
		return r;
	pthread_mutex_lock(&s->lock);
	is_there = e->region != NULL;
	if (!is_there) {
		events_writer_init(&e->writer, region, N_WORDS);
		e->region = region;
		e->size = size;
		e->fd = fd;
	}
	pthread_mutex_unlock(&s->lock);
	if (is_there)
		region_free(region, size, fd);
	return 0;
}

static void count_locked(struct store_events *e, unsigned kinds, unsigned n)
{
	unsigned i;

	for (i = 0; i < EVENTS_N_KINDS; i++) {
		if (!(kinds & 1U << i))
			continue;
		e->n_wanting[i] += n;
		if (e->n_wanting[i])
			e->kinds |= 1U << i;
		else
			e->kinds &= ~(1U << i);
	}
}

int store_subscribe(struct store *s, unsigned kinds, int *fd, const void **region, size_t *size)
{
	int r;

	if (!kinds || kinds & ~EVENTS_ALL)
		return -EINVAL;
	r = make_ready(s);
	if (r)
		return r;
	pthread_mutex_lock(&s->lock);
	count_locked(&s->events, kinds, 1);
	pthread_mutex_unlock(&s->lock);
	*fd = s->events.fd;
	*region = s->events.region;
	*size = s->events.size;
	return 0;
}

void store_unsubscribe(struct store *s, unsigned kinds)
{
	pthread_mutex_lock(&s->lock);
	count_locked(&s->events, kinds, UINT32_MAX);
	pthread_mutex_unlock(&s->lock);
}

/* --- waking who sleeps ------------------------------------------------------------------------ */

/*
 * Whether an event came before it was armed or after is decided by the store's lock, under which
 * events are written: no order of single words is to be argued. There are two bells, one for all
 * sessions and one for the remote thread, so that the writer's part does not grow with who listens.
 */
static void sum_up_locked(struct store_events *e)
{
	const struct store_bell *bell;

	e->armed = 0;
	for (bell = e->bells; bell; bell = bell->next)
		e->armed |= bell->armed;
}

void store_bell_add(struct store *s, struct store_bell *bell)
{
	pthread_mutex_lock(&s->lock);
	bell->armed = bell->rung = 0;
	bell->next = s->events.bells;
	s->events.bells = bell;
	pthread_mutex_unlock(&s->lock);
}

void store_bell_remove(struct store *s, struct store_bell *bell)
{
	struct store_bell **at = &s->events.bells;

	pthread_mutex_lock(&s->lock);
	while (*at && *at != bell)
		at = &(*at)->next;
	if (*at)
		*at = bell->next;
	sum_up_locked(&s->events);
	pthread_mutex_unlock(&s->lock);
}

bool store_bell_arm(struct store *s, struct store_bell *bell, unsigned kinds, uint64_t position)
{
	bool is_armed = true;
	unsigned i;

	pthread_mutex_lock(&s->lock);
	/* Positions run freely; one that nobody can have read to is as good as any. */
	for (i = 0; i < EVENTS_N_KINDS; i++)
		if (kinds & 1U << i && (int64_t)(s->events.last[i] - position) > 0)
			is_armed = false;
	if (is_armed) {
		bell->armed |= kinds;
		s->events.armed |= kinds;
	}
	pthread_mutex_unlock(&s->lock);
	return is_armed;
}

unsigned store_bell_take(struct store *s, struct store_bell *bell)
{
	unsigned rung;

	pthread_mutex_lock(&s->lock);
	rung = bell->rung;
	bell->rung = 0;
	pthread_mutex_unlock(&s->lock);
	return rung;
}

static void ring_locked(struct store_events *e, unsigned kind)
{
	struct store_bell *bell;

	for (bell = e->bells; bell; bell = bell->next) {
		if (!(bell->armed & kind))
			continue;
		bell->armed &= ~kind;
		/* Rung, and not taken yet: whoever takes it finds this one, too. */
		if (!bell->rung)
			bell->ring(bell);
		bell->rung |= kind;
	}
	sum_up_locked(e);
}

void store_tell_locked(struct store *s, enum event_kind kind, unsigned flags, uint32_t cell)
{
	const struct abi_record *r = &s->index.cell[cell];
	struct event e = {.kind = (uint8_t)kind, .tier = r->tier, .flags = (uint8_t)flags,
		.key_size = r->key_size, .value_size = r->value_size, .generation = r->generation};
	uint8_t key[ABI_KEY_SIZE_MAX];
	struct timespec t;

	clock_gettime(CLOCK_REALTIME_COARSE, &t);
	e.time_ms = (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
	lookup_record_key(&s->index.lookup, r, key);
	events_write(&s->events.writer, &e, key);
	s->events.last[kind] = s->events.writer.written;
	if (s->events.armed & 1U << kind)
		ring_locked(&s->events, 1U << kind);
}
