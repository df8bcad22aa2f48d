/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A peer that says what it is told to say. It is one of the cluster, knows the protocol as well as we do
 * (it uses frame.h and hello.h), and has no other aim than to make a broker lose its balance.
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

bool liar_send(int fd, const void *data, size_t size)
{
	const uint8_t *at = data;
	ssize_t n;

	for (; size; size -= (size_t)n, at += n) {
		n = send(fd, at, size, MSG_NOSIGNAL);
		if (n <= 0)
			return false;
	}
	return true;
}

bool liar_receive(int fd, void *data, size_t size)
{
	return recv(fd, data, size, MSG_WAITALL) == (ssize_t)size;
}

bool liar_send_frame(int fd, uint8_t type, uint8_t flags, uint64_t id, uint64_t argument,
	const void *body, uint32_t size)
{
	struct frame f = {FRAME_MAGIC, type, flags, size, id, argument};

	return liar_send(fd, &f, sizeof(f)) && (!body || liar_send(fd, body, size));
}

/* --- as a holder ------------------------------------------------------------------------------ */

struct lane {
	struct liar *liar;
	pthread_t thread;
	int fd;
};

struct liar {
	int listener;
	const char *name;
	const _Atomic unsigned *lie;
	pthread_t thread;
	atomic_bool is_over;
	struct lane lane[LANES_MAX];
	unsigned n_lanes;
	uint8_t *value;
	uint64_t sum;
};

static bool say_hello(struct lane *l, bool *is_data)
{
	const struct hello_self self = {CLUSTER_NAME, l->liar->name, 4711, 1 << 20};
	static const uint8_t zeroes[FRAME_TOKEN_SIZE];
	struct frame_welcome welcome;
	struct frame_greet greet;
	struct frame_hello hello;
	struct frame head;

	if (!liar_receive(l->fd, &head, sizeof(head)) || head.type != FRAME_KNOCK ||
		hello_greet(&greet) ||
		!liar_send_frame(l->fd, FRAME_GREET, 0, 0, 0, &greet, sizeof(greet)) ||
		!liar_receive(l->fd, &head, sizeof(head)) || head.type != FRAME_HELLO ||
		!liar_receive(l->fd, &hello, sizeof(hello)))
		return false;
	*is_data = hello.is_data;
	hello_welcome(&welcome, &self, &hello, hello.is_data ? zeroes : NULL);
	return liar_send_frame(l->fd, FRAME_WELCOME, 0, 0, 0, &welcome, sizeof(welcome));
}

static bool send_head(int fd, uint64_t id, uint64_t size)
{
	const struct frame_value value = {.size = size};

	return liar_send_frame(fd, FRAME_HEAD, FRAME_OK, id, 0, &value, sizeof(value));
}

static bool send_data(struct lane *l, uint64_t id, uint64_t off, uint64_t size)
{
	uint32_t n;

	for (; size; size -= n, off += n) {
		n = size < FRAME_DATA_MAX ? (uint32_t)size : FRAME_DATA_MAX;
		if (!liar_send_frame(l->fd, FRAME_DATA, 0, id, off, l->liar->value + off % LIAR_SIZE / 2,
			    n))
			return false;
	}
	return true;
}

static bool send_end(struct lane *l, uint64_t id, uint64_t sum)
{
	return liar_send_frame(l->fd, FRAME_END, FRAME_OK, id, sum, NULL, 0);
}

static bool lie(struct lane *l, uint64_t id)
{
	const uint64_t size = LIAR_SIZE, half = LIAR_SIZE / 2, sum = l->liar->sum;

	switch (atomic_load(l->liar->lie)) {
	case LIAR_HONEST:
		return send_head(l->fd, id, size) && send_data(l, id, 0, size) && send_end(l, id, sum);
	case LIAR_WRONG_SUM:
		return send_head(l->fd, id, size) && send_data(l, id, 0, size) && send_end(l, id, ~sum);
	case LIAR_WRONG_BYTES:
		return send_head(l->fd, id, size) && send_data(l, id, 0, size - 1) &&
			liar_send_frame(l->fd, FRAME_DATA, 0, id, size - 1, "y", 1) &&
			send_end(l, id, sum);
	case LIAR_TOO_MANY:
		return send_head(l->fd, id, half) && send_data(l, id, 0, size) && send_end(l, id, sum);
	case LIAR_TOO_FEW:
		return send_head(l->fd, id, size) && send_data(l, id, 0, half) && send_end(l, id, sum);
	case LIAR_ENDLESS:
		if (!send_head(l->fd, id, size))
			return false;
		while (send_data(l, id, 0, size))
			;
		return false;
	case LIAR_HUGE:
		return send_head(l->fd, id, UINT64_C(1) << 60) && send_data(l, id, 0, size);
	case LIAR_EMPTY:
		return send_head(l->fd, id, 0) && send_end(l, id, 0);
	case LIAR_NO_HEAD:
		return send_data(l, id, 0, size) && send_end(l, id, sum);
	case LIAR_TWO_HEADS:
		return send_head(l->fd, id, size) && send_head(l->fd, id, size) &&
			send_data(l, id, 0, size) && send_end(l, id, sum);
	case LIAR_OTHER_ID:
		return send_head(l->fd, id + 77, size) && send_data(l, id + 77, 0, size) &&
			send_end(l, id + 77, sum);
	case LIAR_BACKWARDS:
		return send_head(l->fd, id, size) && send_data(l, id, half, size - half) &&
			send_data(l, id, 0, half) && send_end(l, id, sum);
	case LIAR_LONG_FRAME:
		return send_head(l->fd, id, size) &&
			liar_send_frame(l->fd, FRAME_DATA, 0, id, 0, NULL, 3U << 30) &&
			liar_send(l->fd, l->liar->value, size);
	case LIAR_NO_FRAME:
		return liar_send(l->fd, l->liar->value, size);
	case LIAR_WRONG_LANE:
		return liar_send_frame(l->fd, FRAME_FOUND, 0, id, 1, "\0", 1);
	case LIAR_HALF_A_FRAME:
		return send_head(l->fd, id, size) && liar_send(l->fd, l->liar->value, 11);
	case LIAR_HANGS_UP:
		if (send_head(l->fd, id, size))
			send_data(l, id, 0, half);
		return false;
	default:
		return true;
	}
}

/* Answers to lookups of both kinds that nobody made; the high bit is of the directory's. */
static bool answer_unasked(struct lane *l)
{
	return liar_send_frame(l->fd, FRAME_FOUND, 0, UINT64_C(1) << 63 | 1, 1, "\0", 1) &&
		liar_send_frame(l->fd, FRAME_FOUND, 0, 1 << 20, 1, "\0", 1);
}

/* Everything that is asked on a control lane: it is there, and it has everything. */
static bool answer(struct lane *l, const struct frame *head, const uint8_t *body)
{
	struct frame_holders holders = {1, {frame_member_id(l->liar->name)}};
	uint8_t found[FRAME_ITEMS_MAX * 9];
	size_t size = 0;
	uint64_t i;

	(void)body;
	switch (head->type) {
	case FRAME_PING:
		return answer_unasked(l) &&
			liar_send_frame(l->fd, FRAME_PONG, 0, 0, head->argument, NULL, 0);
	case FRAME_LOOKUP:
		for (i = 0; i < head->argument && i < FRAME_ITEMS_MAX; i++)
			size += frame_put_holders(found + size, sizeof(found) - size, &holders);
		return liar_send_frame(l->fd, FRAME_FOUND, 0, head->id, i, found, (uint32_t)size);
	case FRAME_ERASE:
		return liar_send_frame(l->fd, FRAME_ERASED, FRAME_OK, head->id, 0, NULL, 0);
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
	bool is_data, goes_on = say_hello(l, &is_data);

	while (goes_on && liar_receive(l->fd, &head, sizeof(head)) && head.size <= sizeof(body) &&
		(!head.size || liar_receive(l->fd, body, head.size)))
		goes_on = answer(l, &head, body);
	shutdown(l->fd, SHUT_RDWR);
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
		l->fd = accept4(liar->listener, NULL, NULL, SOCK_CLOEXEC);
		if (l->fd < 0)
			continue;
		if (pthread_create(&l->thread, NULL, lane_main, l))
			close(l->fd);
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

struct liar *liar_start(const struct net *net, unsigned host, uint16_t port, const char *name,
	const _Atomic unsigned *what)
{
	struct sockaddr_in a = address_of(host, port);
	struct liar *liar = calloc(1, sizeof(*liar));
	int on = 1;

	if (!liar)
		return NULL;
	liar->name = name;
	liar->lie = what;
	liar->listener = open_socket(net, host);
	/* Longer than a value: whatever stretch is sent, it is there. */
	liar->value = malloc(LIAR_SIZE * 2);
	if (!liar->value)
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
		shutdown(liar->lane[i].fd, SHUT_RDWR);
	for (i = 0; i < liar->n_lanes; i++) {
		pthread_join(liar->lane[i].thread, NULL);
		close(liar->lane[i].fd);
	}
	free(liar->value);
	free(liar);
}

/* --- as a requester --------------------------------------------------------------------------- */

int liar_connect(const struct net *net, unsigned host, unsigned to_host, uint16_t port)
{
	struct sockaddr_in a = address_of(to_host, port);
	struct timeval patience = {.tv_sec = 20};
	int fd = open_socket(net, host);

	if (fd >= 0 && (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) ||
			       connect(fd, (struct sockaddr *)&a, sizeof(a)))) {
		close(fd);
		return -1;
	}
	return fd;
}

static bool knock(int fd, uint64_t version, struct frame *head)
{
	return liar_send_frame(fd, FRAME_KNOCK, 0, FRAME_HELLO_MAGIC, version, NULL, 0) &&
		liar_receive(fd, head, sizeof(*head));
}

bool liar_is_refused(const struct net *net, unsigned host, unsigned to_host, uint16_t port,
	uint64_t version)
{
	int fd = liar_connect(net, host, to_host, port);
	struct frame head;
	bool is = fd >= 0 && knock(fd, version, &head) && head.type == FRAME_REFUSE &&
		head.flags == FRAME_REFUSE_VERSION;

	close(fd);
	return is;
}

int liar_call(const struct net *net, unsigned host, unsigned to_host, uint16_t port, const char *name,
	const char *to, uint64_t link, bool is_data)
{
	const struct hello_self self = {CLUSTER_NAME, name, 4712, 1 << 20};
	const struct hello_lane lane = {is_data, 0, 1, link, 16 << 20};
	static const uint8_t zeroes[FRAME_TOKEN_SIZE];
	int fd = liar_connect(net, host, to_host, port);
	struct frame_welcome welcome;
	struct frame_greet greet;
	struct frame_hello hello;
	struct frame head;

	if (fd < 0)
		return -1;
	if (knock(fd, FRAME_VERSION, &head) && head.type == FRAME_GREET &&
		liar_receive(fd, &greet, sizeof(greet))) {
		hello_make(&hello, &self, to, &lane, &greet, is_data ? zeroes : NULL);
		if (liar_send_frame(fd, FRAME_HELLO, 0, 0, 0, &hello, sizeof(hello)) &&
			liar_receive(fd, &head, sizeof(head)) && head.type == FRAME_WELCOME &&
			liar_receive(fd, &welcome, sizeof(welcome)))
			return fd;
	}
	close(fd);
	return -1;
}
