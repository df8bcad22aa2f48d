/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A peer that says what it is told to say. It is one of the cluster, knows the protocol as well as
 * we do (it uses frame.h and hello.h), and has no other aim than to make a broker lose its balance.
 */
#include "tests/remote/liar.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ipc/hash.h"
#include "shmcache/remote/peers/hello.h"

#define LANES_MAX 64
#define CLUSTER_NAME "shmcache"

static const char *const names[LIAR_N_LIES] = {"honest", "wrong sum", "wrong bytes", "too many bytes",
	"too few bytes", "endless body", "huge value", "empty value", "no head", "two heads", "other id",
	"backwards", "long frame", "no frame", "wrong lane", "half a frame", "silent", "hangs up"};

const char *liar_lie_name(unsigned lie)
{
	return names[lie];
}

/* --- as a holder ------------------------------------------------------------------------------ */

struct lane {
	struct liar *liar;
	pthread_t thread;
	struct line line;
};

struct liar {
	struct liar_self self;
	int listener;
	const _Atomic unsigned *lie;
	pthread_t thread;
	pthread_mutex_t lock; /* for secret: of the latest control lane, whose data lanes follow */
	uint8_t secret[FRAME_TOKEN_SIZE];
	atomic_bool is_over;
	struct lane lane[LANES_MAX];
	unsigned n_lanes;
	uint8_t *value;
	uint64_t sum;
};

/* Bytes of the first frame: a knock, or TLS. */
static bool secure(struct lane *l)
{
	const struct liar_self *self = &l->liar->self;
	uint8_t first;

	if (self->mode == SECURE_NONE)
		return true;
	if (recv(l->line.fd, &first, 1, MSG_PEEK) != 1)
		return false;
	return first != 22 || line_secure(&l->line, self->files->path, self->certificate, true);
}

static void keep_secret(struct lane *l, bool is_data, uint8_t secret[FRAME_TOKEN_SIZE])
{
	struct liar *liar = l->liar;

	pthread_mutex_lock(&liar->lock);
	if (!is_data)
		line_export(&l->line, liar->secret);
	memcpy(secret, liar->secret, FRAME_TOKEN_SIZE);
	pthread_mutex_unlock(&liar->lock);
}

static bool say_hello(struct lane *l)
{
	const struct hello_self self = {CLUSTER_NAME, l->liar->self.name, 4711, 1 << 20};
	uint8_t secret[FRAME_TOKEN_SIZE];
	struct frame_welcome welcome;
	struct frame_greet greet;
	struct frame_hello hello;
	struct frame head;

	if (!secure(l) || !line_receive(&l->line, &head, sizeof(head)) || head.type != FRAME_KNOCK ||
		hello_greet(&greet) ||
		!line_send_frame(&l->line, FRAME_GREET, 0, 0, 0, &greet, sizeof(greet)) ||
		!line_receive(&l->line, &head, sizeof(head)) || head.type != FRAME_HELLO ||
		!line_receive(&l->line, &hello, sizeof(hello)))
		return false;
	keep_secret(l, hello.is_data, secret);
	hello_welcome(&welcome, &self, &hello, hello.is_data ? secret : NULL);
	return line_send_frame(&l->line, FRAME_WELCOME, 0, 0, 0, &welcome, sizeof(welcome));
}

static bool send_head(struct lane *l, uint64_t id, uint64_t size)
{
	const struct frame_value value = {.size = size};

	return line_send_frame(&l->line, FRAME_HEAD, FRAME_OK, id, 0, &value, sizeof(value));
}

static bool send_data(struct lane *l, uint64_t id, uint64_t off, uint64_t size)
{
	uint32_t n;

	for (; size; size -= n, off += n) {
		n = size < FRAME_DATA_MAX ? (uint32_t)size : FRAME_DATA_MAX;
		if (!line_send_frame(&l->line, FRAME_DATA, 0, id, off, l->liar->value + off % LIAR_SIZE / 2,
			    n))
			return false;
	}
	return true;
}

static bool send_end(struct lane *l, uint64_t id, uint64_t sum)
{
	return line_send_frame(&l->line, FRAME_END, FRAME_OK, id, sum, NULL, 0);
}

static bool lie(struct lane *l, uint64_t id)
{
	const uint64_t size = LIAR_SIZE, half = LIAR_SIZE / 2, sum = l->liar->sum;

	switch (atomic_load(l->liar->lie)) {
	case LIAR_HONEST:
		return send_head(l, id, size) && send_data(l, id, 0, size) && send_end(l, id, sum);
	case LIAR_WRONG_SUM:
		return send_head(l, id, size) && send_data(l, id, 0, size) && send_end(l, id, ~sum);
	case LIAR_WRONG_BYTES:
		return send_head(l, id, size) && send_data(l, id, 0, size - 1) &&
			line_send_frame(&l->line, FRAME_DATA, 0, id, size - 1, "y", 1) &&
			send_end(l, id, sum);
	case LIAR_TOO_MANY:
		return send_head(l, id, half) && send_data(l, id, 0, size) && send_end(l, id, sum);
	case LIAR_TOO_FEW:
		return send_head(l, id, size) && send_data(l, id, 0, half) && send_end(l, id, sum);
	case LIAR_ENDLESS:
		if (!send_head(l, id, size))
			return false;
		while (send_data(l, id, 0, size))
			;
		return false;
	case LIAR_HUGE:
		return send_head(l, id, UINT64_C(1) << 60) && send_data(l, id, 0, size);
	case LIAR_EMPTY:
		return send_head(l, id, 0) && send_end(l, id, 0);
	case LIAR_NO_HEAD:
		return send_data(l, id, 0, size) && send_end(l, id, sum);
	case LIAR_TWO_HEADS:
		return send_head(l, id, size) && send_head(l, id, size) &&
			send_data(l, id, 0, size) && send_end(l, id, sum);
	case LIAR_OTHER_ID:
		return send_head(l, id + 77, size) && send_data(l, id + 77, 0, size) &&
			send_end(l, id + 77, sum);
	case LIAR_BACKWARDS:
		return send_head(l, id, size) && send_data(l, id, half, size - half) &&
			send_data(l, id, 0, half) && send_end(l, id, sum);
	case LIAR_LONG_FRAME:
		return send_head(l, id, size) &&
			line_send_frame(&l->line, FRAME_DATA, 0, id, 0, NULL, 3U << 30) &&
			line_send(&l->line, l->liar->value, size);
	case LIAR_NO_FRAME:
		return line_send(&l->line, l->liar->value, size);
	case LIAR_WRONG_LANE:
		return line_send_frame(&l->line, FRAME_FOUND, 0, id, 1, "\0", 1);
	case LIAR_HALF_A_FRAME:
		return send_head(l, id, size) && line_send(&l->line, l->liar->value, 11);
	case LIAR_HANGS_UP:
		if (send_head(l, id, size))
			send_data(l, id, 0, half);
		return false;
	default:
		return true;
	}
}

/* Answers to lookups of both kinds that nobody made; the high bit is of the directory's. */
static bool answer_unasked(struct lane *l)
{
	return line_send_frame(&l->line, FRAME_FOUND, 0, UINT64_C(1) << 63 | 1, 1, "\0", 1) &&
		line_send_frame(&l->line, FRAME_FOUND, 0, 1 << 20, 1, "\0", 1);
}

/* Everything that is asked on a control lane: it is there, and it has everything. */
static bool answer(struct lane *l, const struct frame *head, const uint8_t *body)
{
	struct frame_holders holders = {1, {frame_member_id(l->liar->self.name)}};
	uint8_t found[FRAME_ITEMS_MAX * 9];
	size_t size = 0;
	uint64_t i;

	(void)body;
	switch (head->type) {
	case FRAME_PING:
		return answer_unasked(l) &&
			line_send_frame(&l->line, FRAME_PONG, 0, 0, head->argument, NULL, 0);
	case FRAME_LOOKUP:
		for (i = 0; i < head->argument && i < FRAME_ITEMS_MAX; i++)
			size += frame_put_holders(found + size, sizeof(found) - size, &holders);
		return line_send_frame(&l->line, FRAME_FOUND, 0, head->id, i, found, (uint32_t)size);
	case FRAME_ERASE:
		return line_send_frame(&l->line, FRAME_ERASED, FRAME_OK, head->id, 0, NULL, 0);
	case FRAME_FETCH:
		return lie(l, head->id);
	default:
		return true;
	}
}

static void *lane_main(void *context)
{
	uint8_t body[FRAME_BODY_MAX];
	struct lane *l = context;
	struct frame head;
	bool goes_on = say_hello(l);

	while (goes_on && line_receive(&l->line, &head, sizeof(head)) && head.size <= sizeof(body) &&
		(!head.size || line_receive(&l->line, body, head.size)))
		goes_on = answer(l, &head, body);
	line_shut(&l->line);
	return NULL;
}

static void *listen_main(void *context)
{
	struct liar *liar = context;
	struct pollfd p = {.fd = liar->listener, .events = POLLIN};
	struct lane *l;

	while (!liar->is_over) {
		if (poll(&p, 1, 20) != 1 || liar->n_lanes == LANES_MAX)
			continue;
		l = &liar->lane[liar->n_lanes];
		l->liar = liar;
		l->line = (struct line){.fd = accept4(liar->listener, NULL, NULL, SOCK_CLOEXEC)};
		if (l->line.fd < 0)
			continue;
		if (pthread_create(&l->thread, NULL, lane_main, l))
			line_close(&l->line);
		else
			liar->n_lanes++;
	}
	return NULL;
}

static int open_socket(const struct net *net, unsigned host)
{
	int fd;

	if (net_enter(net, host))
		return -1;
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	return net_leave(net) ? -1 : fd;
}

static struct sockaddr_in address_of(unsigned host, uint16_t port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
	char text[NET_ADDRESS_SIZE];

	inet_pton(AF_INET, net_address(host, text), &a.sin_addr);
	return a;
}

struct liar *liar_start(const struct liar_self *self, uint16_t port, const _Atomic unsigned *what)
{
	struct sockaddr_in a = address_of(self->host, port);
	struct liar *liar = calloc(1, sizeof(*liar));
	int on = 1;

	if (!liar)
		return NULL;
	liar->self = *self;
	liar->lie = what;
	liar->listener = open_socket(self->net, self->host);
	/* Longer than a value: whatever stretch is sent, it is there. */
	liar->value = malloc(LIAR_SIZE * 2);
	if (!liar->value || pthread_mutex_init(&liar->lock, NULL))
		return NULL;
	memset(liar->value, 'x', LIAR_SIZE * 2);
	liar->sum = hash_bytes(0, liar->value, LIAR_SIZE);
	if (setsockopt(liar->listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) ||
		bind(liar->listener, (struct sockaddr *)&a, sizeof(a)) ||
		listen(liar->listener, LANES_MAX) ||
		pthread_create(&liar->thread, NULL, listen_main, liar))
		return NULL;
	return liar;
}

void liar_stop(struct liar *liar)
{
	unsigned i;

	liar->is_over = true;
	pthread_join(liar->thread, NULL);
	close(liar->listener);
	for (i = 0; i < liar->n_lanes; i++)
		line_shut(&liar->lane[i].line);
	for (i = 0; i < liar->n_lanes; i++) {
		pthread_join(liar->lane[i].thread, NULL);
		line_close(&liar->lane[i].line);
	}
	pthread_mutex_destroy(&liar->lock);
	free(liar->value);
	free(liar);
}

/* --- as a requester --------------------------------------------------------------------------- */

struct line liar_connect(const struct liar_self *self, const struct liar_target *to)
{
	struct sockaddr_in a = address_of(to->host, to->port);
	struct timeval patience = {.tv_sec = 20};
	struct line w = {.fd = open_socket(self->net, self->host)};

	if (w.fd >= 0 && (setsockopt(w.fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) ||
				 connect(w.fd, (struct sockaddr *)&a, sizeof(a))))
		line_close(&w);
	return w;
}

static bool knock(const struct liar_self *self, const struct liar_target *to, bool is_clear,
	uint64_t version, struct line *w, struct frame *head)
{
	*w = liar_connect(self, to);
	return w->fd >= 0 &&
		(is_clear || line_secure(w, self->files->path, self->certificate, false)) &&
		line_send_frame(w, FRAME_KNOCK, 0, FRAME_HELLO_MAGIC, version, NULL, 0) &&
		line_receive(w, head, sizeof(*head));
}

bool liar_is_refused(const struct liar_self *self, const struct liar_target *to, uint64_t version)
{
	struct frame head;
	struct line w;
	bool is = knock(self, to, self->mode == SECURE_NONE, version, &w, &head) &&
		head.type == FRAME_REFUSE && head.flags == FRAME_REFUSE_VERSION;

	line_close(&w);
	return is;
}

bool liar_knock(const struct liar_self *self, const struct liar_target *to, bool is_clear,
	struct line *w, struct frame_greet *greet)
{
	struct frame head;

	if (knock(self, to, is_clear || self->mode == SECURE_NONE, FRAME_VERSION, w, &head) &&
		head.type == FRAME_GREET && line_receive(w, greet, sizeof(*greet)))
		return true;
	line_close(w);
	return false;
}

void liar_make_hello(const struct liar_self *self, const struct liar_target *to, uint64_t link,
	const uint8_t *secret, const struct frame_greet *greet, struct frame_hello *hello)
{
	const struct hello_self me = {CLUSTER_NAME, self->name, 4712, 1 << 20};
	const struct hello_lane lane = {secret, 0, 1, link, 16 << 20};

	hello_make(hello, &me, to->name, &lane, greet, secret);
}

int liar_hello(struct line *w, const struct frame_hello *hello)
{
	struct frame_welcome welcome;
	struct frame head;
	int r = -1;

	if (line_send_frame(w, FRAME_HELLO, 0, 0, 0, hello, sizeof(*hello)) &&
		line_receive(w, &head, sizeof(head))) {
		if (head.type == FRAME_REFUSE)
			r = head.flags;
		else if (head.type == FRAME_WELCOME && line_receive(w, &welcome, sizeof(welcome)))
			r = 0;
	}
	if (r)
		line_close(w);
	return r;
}

int liar_call(const struct liar_self *self, const struct liar_target *to, uint64_t link,
	const struct line *control, struct line *w)
{
	uint8_t secret[FRAME_TOKEN_SIZE];
	struct frame_greet greet;
	struct frame_hello hello;

	if (!liar_knock(self, to, control && self->mode == SECURE_BOUND, w, &greet))
		return -1;
	if (control)
		line_export(control, secret);
	liar_make_hello(self, to, link, control ? secret : NULL, &greet, &hello);
	return liar_hello(w, &hello);
}
