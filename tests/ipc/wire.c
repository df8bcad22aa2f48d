/* SPDX-License-Identifier: Apache-2.0 */
/* Unit of ipc/wire.c: framing, descriptors, doorbells and names. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "ipc/wire.h"

static int a, b; /* the two ends */
static unsigned n_at_start;

static unsigned n_descriptors(void)
{
	unsigned n = 0;
	int fd;

	for (fd = 0; fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void make_pair(void)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	a = pair[0];
	b = pair[1];
}

static int setup(void **state)
{
	(void)state;
	n_at_start = n_descriptors();
	make_pair();
	return 0;
}

/* Whatever the test sent along, nothing of it is left open. */
static int teardown(void **state)
{
	(void)state;
	close(a);
	close(b);
	return n_descriptors() == n_at_start ? 0 : -1;
}

/* Anything at all as one packet, with @n descriptors. */
static void send_raw(const void *bytes, size_t size, unsigned n)
{
	char control[CMSG_SPACE(sizeof(int) * 253)] __attribute__((aligned(8))) = {0};
	struct iovec iov = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = size};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	struct cmsghdr *c;
	int fds[253];
	unsigned i;

	for (i = 0; i < n; i++)
		fds[i] = 0;
	if (n) {
		msg.msg_control = control;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * n);
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * n);
		memcpy(CMSG_DATA(c), fds, sizeof(int) * n);
	}
	assert_int_equal(sendmsg(a, &msg, 0), size);
}

static int receive(union wire_message *m, int fds[WIRE_DESCRIPTORS_MAX], size_t *n)
{
	memset(m, 0xee, sizeof(*m));
	*n = 99;
	return wire_receive(b, m, fds, n);
}

static void test_round_trip(void **state)
{
	struct wire_welcome w = {
		.session = 5, .epoch = UINT64_MAX, .n_descriptors = 4, .role = 2};
	union wire_message m;
	int fds[WIRE_DESCRIPTORS_MAX], send_fds[5] = {0, 1, 2, 0, 1};
	size_t n, i, k;

	(void)state;
	for (k = 0; k <= WIRE_DESCRIPTORS_MAX; k++) {
		assert_int_equal(wire_send(a, WIRE_WELCOME, &w, sizeof(w), send_fds, k), 0);
		assert_int_equal(receive(&m, fds, &n), 0);
		assert_int_equal(n, k);
		assert_int_equal(m.head.type, WIRE_WELCOME);
		assert_int_equal(m.head.size, sizeof(w));
		assert_memory_equal(&m.welcome, &w, sizeof(w));
		for (i = 0; i < n; i++) {
			assert_int_equal(fcntl(fds[i], F_GETFD), FD_CLOEXEC);
			close(fds[i]);
		}
	}
	/* Nothing there is not the end, the end is. */
	assert_int_equal(receive(&m, fds, &n), -EAGAIN);
	assert_int_equal(n, 0);
	close(a);
	assert_int_equal(receive(&m, fds, &n), -EPIPE);
	assert_int_equal(n, 0);
	assert_int_equal(wire_send(b, WIRE_WELCOME, &w, sizeof(w), NULL, 0), -EPIPE);
	close(b);
	make_pair();
}

static size_t size_of(uint32_t type)
{
	static const size_t sizes[] = {[WIRE_HELLO] = sizeof(struct wire_hello),
		[WIRE_WELCOME] = sizeof(struct wire_welcome),
		[WIRE_REFUSED] = sizeof(struct wire_refused),
		[WIRE_LANE_OPEN] = sizeof(struct wire_lane_open),
		[WIRE_LANE] = sizeof(struct wire_lane),
		[WIRE_CONTROL] = sizeof(struct wire_control),
		[WIRE_TOLD] = sizeof(struct wire_told),
		[WIRE_HAND_OVER] = sizeof(struct wire_hand_over),
		[WIRE_SUBSCRIBE] = sizeof(struct wire_subscribe),
		[WIRE_EVENTS] = sizeof(struct wire_events),
		[WIRE_WAIT] = sizeof(struct wire_wait),
		[WIRE_READY] = sizeof(struct wire_ready),
		[WIRE_PEERS] = sizeof(struct wire_peers)};

	return type <= WIRE_PEERS ? sizes[type] : 0;
}

/* Every type at every size: short of its own, its own, longer, longer than anything. */
static void test_sizes(void **state)
{
	char bytes[4096] = {0};
	struct wire_head head;
	union wire_message m;
	int fds[WIRE_DESCRIPTORS_MAX], r;
	uint32_t type;
	size_t n, size;

	(void)state;
	for (type = 0; type < WIRE_PEERS + 3; type++) {
		for (size = 1; size < 600; size++) {
			head = (struct wire_head){.type = type, .size = (uint32_t)size};
			memcpy(bytes, &head, size < sizeof(head) ? size : sizeof(head));
			send_raw(bytes, size, size % 7);
			r = receive(&m, fds, &n);
			if (size_of(type) && size >= size_of(type) && size <= sizeof(m) &&
				size % 7 <= WIRE_DESCRIPTORS_MAX) {
				assert_int_equal(r, 0);
				assert_int_equal(n, size % 7);
				while (n)
					close(fds[--n]);
			} else {
				assert_int_equal(r, -EBADMSG);
				assert_int_equal(n, 0);
			}
		}
	}
	/* The head lies about the size. */
	head = (struct wire_head){.type = WIRE_LANE, .size = sizeof(struct wire_lane) + 1};
	memcpy(bytes, &head, sizeof(head));
	send_raw(bytes, sizeof(struct wire_lane), 2);
	assert_int_equal(receive(&m, fds, &n), -EBADMSG);
	head.size = UINT32_MAX;
	memcpy(bytes, &head, sizeof(head));
	send_raw(bytes, sizeof(struct wire_lane), 2);
	assert_int_equal(receive(&m, fds, &n), -EBADMSG);
	head.size = 0;
	memcpy(bytes, &head, sizeof(head));
	send_raw(bytes, sizeof(struct wire_lane), 2);
	assert_int_equal(receive(&m, fds, &n), -EBADMSG);
	/* A type beyond all. */
	head = (struct wire_head){.type = UINT32_MAX, .size = sizeof(struct wire_lane)};
	memcpy(bytes, &head, sizeof(head));
	send_raw(bytes, sizeof(struct wire_lane), 0);
	assert_int_equal(receive(&m, fds, &n), -EBADMSG);
}

/* However many descriptors come along, those that are not the caller's are closed. */
static void test_descriptors(void **state)
{
	struct wire_lane_open open = {.head = {WIRE_LANE_OPEN, sizeof(open)}};
	int fds[WIRE_DESCRIPTORS_MAX], r;
	unsigned k, before = n_descriptors();
	union wire_message m;
	size_t n;

	(void)state;
	for (k = 0; k <= 253; k++) {
		send_raw(&open, sizeof(open), k);
		r = receive(&m, fds, &n);
		assert_int_equal(r, k <= WIRE_DESCRIPTORS_MAX ? 0 : -EBADMSG);
		assert_int_equal(n, r ? 0 : k);
		while (n)
			close(fds[--n]);
		assert_int_equal(n_descriptors(), before);
	}
	/* A packet without a byte looks like a hang-up; what it carries must not stay. */
	for (k = 0; k <= 10; k++) {
		send_raw("", 0, k);
		assert_int_equal(receive(&m, fds, &n), -EPIPE);
		assert_int_equal(n, 0);
		assert_int_equal(n_descriptors(), before);
	}
	/* What nobody fetches goes with the socket. */
	for (k = 0; k < 10; k++)
		send_raw(&open, sizeof(open), 5);
}

/* Neither side waits for the other. */
static void test_full(void **state)
{
	struct wire_refused refused = {.refusal = WIRE_REFUSAL_FULL, .why = "full"};
	union wire_message m;
	int fds[WIRE_DESCRIPTORS_MAX], r, i;
	size_t n;

	(void)state;
	alarm(10);
	for (i = 0; (r = wire_send(a, WIRE_REFUSED, &refused, sizeof(refused), NULL, 0)) == 0;
		i++)
		assert_true(i < 100000);
	assert_int_equal(r, -EAGAIN);
	assert_true(i > 1);
	for (; i; i--)
		assert_int_equal(receive(&m, fds, &n), 0);
	assert_int_equal(receive(&m, fds, &n), -EAGAIN);
	alarm(0);
}

/* --- doorbells ---------------------------------------------------------------------------- */

static void set_blocking(int fd)
{
	assert_int_equal(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK), 0);
}

static void test_doorbell(void **state)
{
	(void)state;
	alarm(10);
	set_blocking(a);
	set_blocking(b);
	assert_true(wire_ring_drain(b));
	wire_ring(a);
	wire_ring(a);
	assert_true(wire_ring_drain(b));
	assert_int_equal(recv(b, &(char){0}, 1, MSG_DONTWAIT), -1);
	assert_int_equal(errno, EAGAIN);
	wire_ring(b);
	assert_true(wire_ring_drain(a));
	alarm(0);
}

/* The other side fills it, and has made it blocking: neither call waits, and it rings still. */
static void test_doorbell_full(void **state)
{
	char big[4096] = {0};
	int i;

	(void)state;
	alarm(10);
	set_blocking(a);
	set_blocking(b);
	while (send(b, big, sizeof(big), MSG_DONTWAIT) > 0)
		;
	while (send(b, "", 1, MSG_DONTWAIT) > 0)
		;
	for (i = 0; i < 100000; i++)
		wire_ring(b);
	/* And the direction that it does not read. */
	for (i = 0; i < 100000; i++)
		wire_ring(a);
	/* Bounded, and in the end empty. */
	for (i = 0; i < 100 && recv(a, big, 1, MSG_DONTWAIT | MSG_PEEK) >= 0; i++)
		assert_true(wire_ring_drain(a));
	assert_true(i > 0 && i < 100);
	alarm(0);
}

static void test_doorbell_closed(void **state)
{
	int i;

	(void)state;
	alarm(10);
	wire_ring(b);
	close(b);
	for (i = 0; i < 10; i++)
		wire_ring(a);
	assert_false(wire_ring_drain(a));
	assert_false(wire_ring_drain(a));
	alarm(0);
	close(a);
	make_pair();
	/* Descriptors on a doorbell: thrown away. */
	for (i = 0; i < 10; i++)
		send_raw("x", 1, 10);
	assert_true(wire_ring_drain(b));
}

/* --- names -------------------------------------------------------------------------------- */

static void test_names(void **state)
{
	static const char *const bad[] = {"", ".", "..", "a/b", "/a", "a b", "a.b", "a\n",
		"\xc3\xa4", "0123456789012345678901234567890123456789012345678"};
	char longest[ABI_NAME_MAX + 1], out[64], path[ABI_SOCKET_PATH_MAX];
	unsigned i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(wire_name_is_valid(bad[i]));
	assert_true(wire_name_is_valid("a"));
	assert_true(wire_name_is_valid("kv-0_Z9"));
	memset(longest, 'n', sizeof(longest) - 1);
	longest[ABI_NAME_MAX] = '\0';
	assert_true(wire_name_is_valid(longest));
	/* The longest name's objects are whole, and all different. */
	wire_object_name(longest, WIRE_OBJECT_INDEX, out, sizeof(out));
	assert_int_equal(strlen(out), 1 + ABI_NAME_MAX + strlen(".index"));
	assert_string_equal(out + 1 + ABI_NAME_MAX, ".index");
	wire_object_name("kv0", WIRE_OBJECT_PLANE, out, sizeof(out));
	assert_string_equal(out, "/kv0");
	wire_object_name("kv0", WIRE_OBJECT_DRAM, out, sizeof(out));
	assert_string_equal(out, "/kv0.dram");
	wire_object_name("kv0", WIRE_OBJECT_CXL, out, sizeof(out));
	assert_string_equal(out, "/kv0.cxl");
	wire_object_name("kv0", WIRE_OBJECT_LOCK, out, sizeof(out));
	assert_string_equal(out, "/kv0.lock");
	wire_socket_path(longest, path, sizeof(path));
	assert_int_equal(strlen(path), strlen("/dev/shm/.sock") + ABI_NAME_MAX);
}

int main(void)
{
#define UNIT(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		UNIT(test_round_trip),
		UNIT(test_sizes),
		UNIT(test_descriptors),
		UNIT(test_full),
		UNIT(test_doorbell),
		UNIT(test_doorbell_full),
		UNIT(test_doorbell_closed),
		UNIT(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
