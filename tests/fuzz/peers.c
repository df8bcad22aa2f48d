/* SPDX-License-Identifier: Apache-2.0 */
/* peers.c: whatever comes over a connection between brokers, at either end of it. */
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "shmcache/remote/peers/lane.h"
#include "shmcache/remote/peers/net.h"
#include "shmcache/remote/peers/sum.h"
#include "shmcache/watch.h"
#include "tests/fuzz/fuzz.h"

/*
 * Two nets without security, whose listener and links are not used: the target hands one end of
 * a socket pair to a net as a connection that was accepted, or as lanes of a link that is up,
 * and plays the other end. A step of an input is a good frame of any type with some bytes
 * changed, bytes as they are, the hello said well, an answer of ours, time. At the end of each
 * all connections are closed: no guest, no stranger, no request and no descriptor may be left,
 * each fetch has ended once, and the memory around where values land is as it was.
 *
 * Found within seconds when they were put in by hand: a DATA frame that is longer than what is
 * left of its value, a request that stays when its lane is closed.
 */
#define ROOM 4096
#define GUARD 64
#define N_FETCHES 8
#define N_REQUESTS 256

static struct {
	int epoll;
	struct log log;
	struct link_net *net;
	struct link *link;
	uint64_t now_ms;
	uint8_t value[3 * ROOM];
	struct link_request *requests[N_REQUESTS];
	unsigned n_requests, n_guests, n_pushed;
} rig;

static struct target_fetch {
	struct link_fetch fetch; /* first */
	uint8_t to[ROOM + 2 * GUARD];
	uint64_t size; /* what may be written */
	bool is_open;
} fetches[N_FETCHES];

/* --- what the nets are told ------------------------------------------------------------------ */

static bool is_member(void *owner, const char *name)
{
	(void)owner;
	return name[0] != 'x';
}

static void arrived(void *owner, struct link_guest *guest)
{
	(void)owner;
	(void)guest;
	rig.n_guests++;
}

static void left(void *owner, struct link_guest *guest, const char *why)
{
	(void)owner;
	(void)guest;
	FUZZ_CHECK(why && why[0], "left without a word");
	rig.n_guests--;
}

static void lookup(void *owner, struct link_guest *guest, uint64_t id, enum frame_lookup kind,
	struct frame_cursor items, unsigned n)
{
	static struct frame_holders holders[FRAME_ITEMS_MAX];
	const uint8_t *data;
	uint16_t size;
	unsigned i = 0;

	(void)owner;
	(void)kind;
	for (; frame_next_item(&items, &data, &size); i++)
		holders[i].n = data[0] % (FRAME_HOLDERS_MAX + 1);
	FUZZ_CHECK(i == n, "%u items, told %u", i, n);
	link_found(guest, id, holders, n);
}

static void erase(
	void *owner, struct link_guest *guest, uint64_t id, const uint8_t *key, uint16_t size)
{
	(void)owner;
	FUZZ_CHECK(size && size <= ABI_KEY_SIZE_MAX, "a key of %u", size);
	link_erased(guest, id, key[0] % FRAME_N_STATUSES);
}

static void announce(
	void *owner, struct link_guest *guest, const struct frame_notice *notices, unsigned n)
{
	(void)owner;
	(void)guest;
	while (n--)
		FUZZ_CHECK(notices[n].kind < FRAME_N_NOTICES, "kind %u", notices[n].kind);
}

static void fetch(void *owner, struct link_request *request)
{
	(void)owner;
	FUZZ_CHECK(rig.n_requests < N_REQUESTS, "%u requests at once", rig.n_requests);
	rig.requests[rig.n_requests++] = request;
}

static void forget(struct link_request *request)
{
	unsigned i = 0;

	while (i < rig.n_requests && rig.requests[i] != request)
		i++;
	FUZZ_CHECK(i < rig.n_requests, "a request that never came");
	rig.requests[i] = rig.requests[--rig.n_requests];
}

static void gone(void *owner, struct link_request *request)
{
	(void)owner;
	forget(request);
}

static const struct link_guest_events guest_events = {is_member, arrived, left, lookup, erase,
	announce, fetch, gone};

static void up(void *owner, uint64_t incarnation, uint64_t capacity)
{
	(void)owner;
	(void)incarnation;
	(void)capacity;
}

static void down(void *owner, bool was_up, const char *why)
{
	(void)owner;
	(void)was_up;
	FUZZ_CHECK(why && why[0], "down without a word");
}

static const char *found(void *owner, uint64_t id, struct frame_cursor cursor)
{
	struct frame_holders holders;

	(void)owner;
	(void)id;
	while (frame_next_holders(&cursor, &holders))
		FUZZ_CHECK(holders.n <= FRAME_HOLDERS_MAX, "%u holders", holders.n);
	return NULL;
}

static const char *erased(void *owner, uint64_t id, enum frame_status status)
{
	(void)owner;
	(void)id;
	FUZZ_CHECK(status < FRAME_N_STATUSES, "status %d", (int)status);
	return NULL;
}

static const struct link_events link_events = {up, down, found, erased};

/* --- both ends ------------------------------------------------------------------------------- */

static void start(void)
{
	static const struct link_settings settings = {.cluster = "test", .name = "b",
		.incarnation = 1, .security = LINK_NONE, .n_lanes = 1, .window = FRAME_DATA_MAX,
		.n_guests_max = 3};
	char why[LINK_WHY_SIZE];

	rig.epoll = epoll_create1(EPOLL_CLOEXEC);
	rig.now_ms = 1000000;
	log_init(&rig.log, open("/dev/null", O_WRONLY | O_CLOEXEC));
	FUZZ_CHECK(!link_net_new(&rig.net, &settings, &guest_events, NULL, rig.epoll, &rig.log,
			   why),
		"%s", why);
	FUZZ_CHECK(!link_open(&rig.link, rig.net, "h", "127.0.0.1:1", &link_events, NULL), "link");
	rig.link->retry_ms = UINT64_MAX;
	link_net_tick(rig.net, rig.now_ms);
}

static void serve(void)
{
	unsigned n;

	for (n = 0; watch_wait(rig.epoll, 0); n++)
		FUZZ_CHECK(n < 100000, "events without end");
}

/* --- the other ends -------------------------------------------------------------------------- */

enum { N_CALLERS = 4, END_CONTROL = N_CALLERS, END_DATA, N_ENDS };

static int ends[N_ENDS] = {-1, -1, -1, -1, -1, -1};
static uint64_t n_links;

static void hang_up(unsigned i)
{
	if (ends[i] >= 0)
		close(ends[i]);
	ends[i] = -1;
}

/* @i is ours, the other one is returned. */
static int pair_of(unsigned i)
{
	int fds[2];

	hang_up(i);
	FUZZ_CHECK(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds),
		"no sockets");
	ends[i] = fds[0];
	return fds[1];
}

static void call(unsigned i)
{
	union address from = {.in = {.sin_family = AF_INET}};

	listener_take(rig.net, pair_of(i), &from);
}

static void put(unsigned i, const void *bytes, size_t size)
{
	if (ends[i] >= 0)
		(void)!send(ends[i], bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void bend(void *bytes, size_t size, struct fuzz_input *in)
{
	unsigned n = fuzz_u8(in) % 4;

	while (n--)
		((uint8_t *)bytes)[fuzz_u16(in) % size] = fuzz_u8(in);
}

/* All that a good guest says, or nearly. */
static void hello(unsigned i, struct fuzz_input *in)
{
	static const uint8_t secret[FRAME_TOKEN_SIZE];
	struct frame head = {FRAME_MAGIC, FRAME_KNOCK, 0, 0, FRAME_HELLO_MAGIC, FRAME_VERSION};
	struct hello_self self = {"test", "a", 5, 0};
	uint8_t what = fuzz_u8(in);
	struct hello_lane lane = {what & 1, what >> 2 & 1, 2, 0, FRAME_DATA_MAX};
	struct {
		struct frame head;
		struct frame_greet greet;
	} answer;
	struct frame_hello h;

	call(i);
	self.name = what & 2 ? "a" : "c";
	lane.link = lane.is_data ? n_links : ++n_links;
	put(i, &head, sizeof(head));
	serve();
	if (recv(ends[i], &answer, sizeof(answer), MSG_DONTWAIT) != sizeof(answer))
		return;
	hello_make(&h, &self, "b", &lane, &answer.greet, lane.is_data ? secret : NULL);
	bend(&h, sizeof(h), in);
	head = (struct frame){FRAME_MAGIC, FRAME_HELLO, 0, sizeof(h), 0, 0};
	put(i, &head, sizeof(head));
	put(i, &h, sizeof(h));
}

/* The link is up, with both of its lanes in our hands. */
static void connect_lane(struct link_lane *l, unsigned i, bool is_data)
{
	struct stream *stream = stream_tcp_new(pair_of(i));

	memset(l, 0, sizeof(*l));
	l->link = rig.link;
	l->is_welcome = true;
	FUZZ_CHECK(!lane_init(&l->lane, rig.epoll, stream, FRAME_FROM_HOLDER, is_data, LANE_OPEN,
			   is_data ? &fetch_lane_ops : &link_control_ops, l) &&
			!lane_settle(&l->lane, is_data),
		"no lane");
}

static void link_up(void)
{
	if (rig.link->state == LINK_UP)
		return;
	connect_lane(&rig.link->control, END_CONTROL, false);
	connect_lane(&rig.link->data[0], END_DATA, true);
	rig.link->state = LINK_UP;
	rig.link->heard_ms = rig.link->pinged_ms = rig.now_ms;
}

/* --- steps ----------------------------------------------------------------------------------- */

static uint8_t *land(struct link_fetch *fetch, const struct frame_value *value)
{
	struct target_fetch *f = (struct target_fetch *)fetch;

	f->size = value->size > ROOM ? 0 : value->size;
	return f->size ? f->to + GUARD : NULL;
}

static void fetch_done(struct link_fetch *fetch, enum link_result result)
{
	struct target_fetch *f = (struct target_fetch *)fetch;
	uint64_t i;

	(void)result;
	FUZZ_CHECK(f->is_open, "done twice");
	f->is_open = false;
	for (i = 0; i < sizeof(f->to); i++)
		FUZZ_CHECK(f->to[i] == 0xee || (i >= GUARD && i < GUARD + f->size),
			"byte %llu beside a value of %llu", (unsigned long long)i,
			(unsigned long long)f->size);
}

static void ask(struct fuzz_input *in)
{
	uint8_t what = fuzz_u8(in);
	struct target_fetch *f = &fetches[what % N_FETCHES];

	if (f->is_open) {
		if (what & 0x80)
			link_fetch_cancel(&f->fetch);
		return;
	}
	memset(f->to, 0xee, sizeof(f->to));
	f->size = 0;
	f->fetch = (struct link_fetch){
		.key = "key", .key_size = 3, .land = land, .done = fetch_done};
	f->is_open = true;
	link_fetch(rig.link, &f->fetch);
	link_kick(rig.link);
}

/* A frame of any type; for what is open, numbers that fit. */
static void say(unsigned i, struct fuzz_input *in)
{
	uint8_t type = fuzz_u8(in), mode = fuzz_u8(in), body[2048];
	struct frame head = {FRAME_MAGIC, type % (FRAME_N_TYPES + 1), fuzz_u8(in),
		fuzz_u16(in) % sizeof(body), mode >> 4, mode & 3};
	struct link_pending *p = rig.link->data[0].slots[mode >> 4 & 7];

	if (i == END_DATA && p && rig.link->state == LINK_UP) {
		head.id = p->id;
		head.argument = head.type == FRAME_END ? (p->sum ? sum_get(p->sum) : p->whole_sum)
						       : p->offset;
		if (mode & 1 && p->has_head && p->value.size > p->offset)
			head.size = (uint32_t)(p->value.size - p->offset) % sizeof(body);
	}
	fuzz_take(in, body, head.size);
	if (head.type == FRAME_HEAD && head.size == sizeof(struct frame_value)) {
		memset(body + 2, 0, 6);
		memset(body + sizeof(struct frame_value) - 8, 0, 8);
	}
	if (mode & 8)
		bend(&head, sizeof(head), in);
	put(i, &head, sizeof(head));
	put(i, body, head.size < sizeof(body) ? head.size : sizeof(body));
}

static void any(unsigned i, struct fuzz_input *in)
{
	uint8_t bytes[1500];
	size_t size = fuzz_u16(in) % sizeof(bytes);

	fuzz_take(in, bytes, size);
	put(i, bytes, size);
}

static uint64_t sum(void *context)
{
	(void)context;
	return 1;
}

static void pushed(void *context, bool sent)
{
	(void)context;
	(void)sent;
	rig.n_pushed--;
}

static void answer(struct fuzz_input *in)
{
	struct link_body body = {.data = rig.value, .sum = sum, .done = pushed};
	struct link_request *request;
	uint8_t what = fuzz_u8(in);

	if (!rig.n_requests)
		return;
	request = rig.requests[what % rig.n_requests];
	forget(request);
	if (what & 0x40) {
		link_refuse(request, FRAME_MISS);
		return;
	}
	body.value.size = 1 + fuzz_u16(in) % sizeof(rig.value);
	rig.n_pushed++;
	link_push(request, &body);
}

static void pass(unsigned ms)
{
	if (rig.link->state == LINK_IDLE)
		rig.link->retry_ms = UINT64_MAX;
	rig.now_ms += ms;
	link_net_tick(rig.net, rig.now_ms);
}

static void step(struct fuzz_input *in)
{
	uint8_t what = fuzz_u8(in);
	unsigned i = (what >> 3 & 7) % N_ENDS;

	switch (what & 7) {
	case 0:
		hello(i % N_CALLERS, in);
		break;
	case 1:
		any(i, in);
		break;
	case 2:
	case 3:
		say(i, in);
		break;
	case 4:
		if (fuzz_u8(in) & 1)
			call(i % N_CALLERS);
		else
			hang_up(i);
		break;
	case 5:
		answer(in);
		break;
	case 6:
		link_up();
		ask(in);
		break;
	default:
		pass(fuzz_u8(in) * 4);
		break;
	}
	/* Sometimes several steps are there at once. */
	if (!(what & 0x80))
		serve();
}

static void check_rest(unsigned n_fds)
{
	struct link_net_stats stats;
	unsigned i;

	for (i = 0; i < N_ENDS; i++)
		hang_up(i);
	serve();
	for (i = 0; i < 100; i++) {
		pass(LINK_TICK_MS);
		serve();
	}
	link_net_get_stats(rig.net, &stats);
	FUZZ_CHECK(!stats.n_guests && !rig.n_guests && !stats.n_strangers,
		"%u guests, %u strangers", stats.n_guests, stats.n_strangers);
	FUZZ_CHECK(!rig.n_requests && !rig.n_pushed, "%u requests, %u pushes", rig.n_requests,
		rig.n_pushed);
	FUZZ_CHECK(rig.link->state == LINK_IDLE, "the link is up");
	for (i = 0; i < N_FETCHES; i++)
		FUZZ_CHECK(!fetches[i].is_open, "a fetch is open");
	FUZZ_CHECK(fuzz_count_fds() == n_fds, "%u descriptors, were %u", fuzz_count_fds(), n_fds);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = {data, size};
	unsigned n, n_fds;

	if (!rig.net)
		start();
	n_fds = fuzz_count_fds();
	for (n = 0; in.left && n < 200; n++)
		step(&in);
	check_rest(n_fds);
	return 0;
}
