/* SPDX-License-Identifier: Apache-2.0 */
/* raw.c: frames by hand. */
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/shmcache/remote/peers/raw.h"

static struct sockaddr_in loopback(uint16_t port)
{
	return (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

void raw_connect(struct raw *r, uint16_t port)
{
	struct sockaddr_in address = loopback(port);

	memset(r, 0, sizeof(*r));
	r->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(r->fd, (struct sockaddr *)&address, sizeof(address)), 0);
}

int raw_listen(uint16_t *port)
{
	struct sockaddr_in address = loopback(0);
	socklen_t size = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
	assert_int_equal(listen(fd, 8), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
	*port = ntohs(address.sin_port);
	return fd;
}

void raw_accept(struct raw *r, struct pair *p, int listener)
{
	int i;

	memset(r, 0, sizeof(*r));
	for (i = 0; i < 500; i++) {
		r->fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		if (r->fd >= 0)
			return;
		pair_rest(p, 10);
	}
	fail_msg("nobody connects");
}

void raw_close(struct raw *r)
{
	if (r->fd >= 0)
		close(r->fd);
	r->fd = -1;
}

/* It may have hung up: that is for raw_receive() to see. */
void raw_bytes(struct raw *r, const void *bytes, size_t size)
{
	(void)!send(r->fd, bytes, size, MSG_NOSIGNAL);
}

void raw_send(struct raw *r, enum frame_type type, uint8_t flags, uint32_t size, uint64_t id,
	uint64_t argument, const void *body)
{
	struct frame head = {FRAME_MAGIC, (uint8_t)type, flags, size, id, argument};

	raw_bytes(r, &head, sizeof(head));
	if (body)
		raw_bytes(r, body, size);
}

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static bool receive(struct raw *r, struct pair *p, void *to, size_t size)
{
	uint64_t end_ms = now_ms() + 6000;
	size_t at = 0;
	ssize_t n;

	while (at < size && now_ms() < end_ms) {
		n = recv(r->fd, (uint8_t *)to + at, size - at, MSG_DONTWAIT);
		if (!n || (n < 0 && errno != EAGAIN))
			return false;
		if (n > 0)
			at += (size_t)n;
		else
			pair_rest(p, 1);
	}
	return at == size;
}

bool raw_receive(struct raw *r, struct pair *p)
{
	if (!receive(r, p, &r->head, sizeof(r->head)))
		return false;
	assert_int_equal(r->head.magic, FRAME_MAGIC);
	assert_true(r->head.size < sizeof(r->body));
	memset(r->body, 0, sizeof(r->body));
	return receive(r, p, r->body, r->head.size);
}

const char *raw_refusal(struct raw *r, struct pair *p)
{
	while (raw_receive(r, p))
		if (r->head.type == FRAME_REFUSE)
			return (const char *)r->body;
	return "";
}

bool raw_knock(struct raw *r, struct pair *p)
{
	raw_send(r, FRAME_KNOCK, 0, 0, FRAME_HELLO_MAGIC, FRAME_VERSION, NULL);
	if (!raw_receive(r, p) || r->head.type != FRAME_GREET)
		return false;
	memcpy(&r->greet, r->body, sizeof(r->greet));
	return true;
}

void raw_make_hello(struct raw *r, struct frame_hello *hello, const char *from, bool is_data,
	uint64_t link, const uint8_t *secret)
{
	struct hello_self self = {"test", from, 7, 0};
	struct hello_lane lane = {is_data, 0, 1, link, 4 << 20};

	hello_make(hello, &self, "b", &lane, &r->greet, secret);
}

void raw_hello(struct raw *r, const struct frame_hello *hello)
{
	raw_send(r, FRAME_HELLO, 0, sizeof(*hello), 0, 0, hello);
}

void raw_welcome(struct raw *r, struct pair *p)
{
	static const uint8_t secret[FRAME_TOKEN_SIZE];

	raw_welcome_as(r, p, RAW_INCARNATION, secret);
}

void raw_welcome_as(struct raw *r, struct pair *p, uint64_t incarnation, const uint8_t *secret)
{
	struct hello_self self = {"test", "b", incarnation, 0};
	struct frame_welcome welcome;
	struct frame_hello hello;

	assert_true(raw_receive(r, p));
	assert_int_equal(r->head.type, FRAME_KNOCK);
	assert_int_equal(hello_greet(&r->greet), 0);
	raw_send(r, FRAME_GREET, 0, sizeof(r->greet), 0, 0, &r->greet);
	assert_true(raw_receive(r, p));
	assert_int_equal(r->head.type, FRAME_HELLO);
	memcpy(&hello, r->body, sizeof(hello));
	hello_welcome(&welcome, &self, &hello, hello.is_data ? secret : NULL);
	raw_send(r, FRAME_WELCOME, 0, sizeof(welcome), 0, 0, &welcome);
}
