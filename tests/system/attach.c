/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way in: names that are no cache, planes and hellos of other versions, and clients that never
 * get past the door or never stop knocking.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/system/common.h"

#define N_HANDSHAKES 16

static struct system_broker broker;
static char why[256];

static int attach(const char *name)
{
	return system_attach(name, why, sizeof(why));
}

/* --- names and planes ------------------------------------------------------------------------- */

static void test_no_such_name(void **state)
{
	struct shmc *cache;

	(void)state;
	assert_int_equal(attach("no-such-cache"), -ENOENT);
	assert_non_null(strstr(why, "no-such-cache"));
	assert_int_equal(attach(""), -EINVAL);
	assert_int_equal(attach("a/b"), -EINVAL);
	assert_int_equal(attach("../x"), -EINVAL);
	assert_int_equal(
		attach("1234567890123456789012345678901234567890123456789"), -EINVAL);
	assert_int_equal(shmc_attach(&cache, "no-such-cache", NULL), -ENOENT);
}

struct doctored {
	struct cleanup cleanup;
	char object[64];
	struct abi_plane *plane;
	size_t size;
};

static void plane_remove(struct cleanup *cleanup)
{
	struct doctored *d = (struct doctored *)cleanup; /* its first member */

	shm_unlink(d->object);
}

/* A copy of the broker's plane under another name, to be doctored. */
static const char *doctored_make(struct doctored *d)
{
	const struct abi_plane *plane;
	int fd;

	plane = raw_plane_open(broker.run.name, &d->size);
	assert_non_null(plane);
	snprintf(d->object, sizeof(d->object), "/doctored-%d", getpid());
	cleanup_add(&d->cleanup, plane_remove);
	fd = shm_open(d->object, O_RDWR | O_CREAT | O_TRUNC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)d->size), 0);
	d->plane = mmap(NULL, d->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_true(d->plane != MAP_FAILED);
	close(fd);
	memcpy((void *)d->plane, (const void *)plane, d->size);
	raw_plane_close(plane, d->size);
	return d->object + 1;
}

static void doctored_free(struct doctored *d)
{
	munmap(d->plane, d->size);
	cleanup_drop(&d->cleanup);
	plane_remove(&d->cleanup);
}

static void test_doctored_plane(void **state)
{
	static struct doctored d;
	const char *name = doctored_make(&d);

	(void)state;
	/* As it is, it leads to the real broker. */
	assert_int_equal(attach(name), 0);
	d.plane->version++;
	assert_int_equal(attach(name), -EPROTONOSUPPORT);
	assert_non_null(strstr(why, "version"));
	d.plane->version--;
	d.plane->fingerprint ^= 1;
	assert_int_equal(attach(name), -EPROTONOSUPPORT);
	d.plane->fingerprint ^= 1;
	d.plane->magic++;
	assert_int_equal(attach(name), -EPROTONOSUPPORT);
	d.plane->magic--;
	d.plane->size *= 2;
	assert_int_equal(attach(name), -EPROTONOSUPPORT);
	d.plane->size /= 2;
	memset(d.plane->socket_path, 'x', sizeof(d.plane->socket_path));
	assert_true(attach(name) < 0);
	strcpy(d.plane->socket_path, "/nonexistent/shmcache.sock");
	assert_int_equal(attach(name), -ECONNREFUSED);
	d.plane->socket_path[0] = '\0';
	assert_true(attach(name) < 0);
	shared_u32_store(&d.plane->state, ABI_STATE_STOPPED);
	assert_int_equal(attach(name), -ECONNREFUSED);
	doctored_free(&d);
}

static void test_short_plane(void **state)
{
	static struct doctored d;
	const char *name = doctored_make(&d);
	size_t size;
	int fd;

	(void)state;
	for (size = 0; size <= sizeof(struct abi_plane); size += 512) {
		fd = shm_open(d.object, O_RDWR, 0);
		assert_int_equal(ftruncate(fd, (off_t)size), 0);
		close(fd);
		assert_true(attach(name) < 0);
	}
	doctored_free(&d);
}

/* --- hellos ----------------------------------------------------------------------------------- */

static void assert_refused(const void *message, size_t size, uint32_t refusal)
{
	int fd = raw_connect(broker.run.name), descriptors[WIRE_DESCRIPTORS_MAX];
	union wire_message answer;
	size_t n;

	assert_true(fd >= 0);
	assert_int_equal(send(fd, message, size, MSG_NOSIGNAL), size);
	assert_int_equal(raw_receive(fd, &answer, descriptors, &n), 0);
	assert_int_equal(n, 0);
	assert_int_equal(answer.head.type, WIRE_REFUSED);
	assert_int_equal(answer.refused.refusal, refusal);
	assert_non_null(memchr(answer.refused.why, 0, sizeof(answer.refused.why)));
	assert_int_equal(raw_wait_hangup(fd), 0);
	close(fd);
}

static void test_hello_of_other_versions(void **state)
{
	struct wire_hello hello;
	unsigned i;

	(void)state;
	raw_hello_init(&hello, WIRE_ROLE_NONE);
	hello.head.type = WIRE_HELLO;
	hello.head.size = sizeof(hello);
	for (i = 0; i < 32; i++) {
		hello.version = ABI_VERSION ^ 1U << i;
		assert_refused(&hello, sizeof(hello), WIRE_REFUSAL_VERSION);
	}
	hello.version = ABI_VERSION;
	for (i = 0; i < 64; i++) {
		hello.fingerprint ^= UINT64_C(1) << i;
		assert_refused(&hello, sizeof(hello), WIRE_REFUSAL_VERSION);
		hello.fingerprint ^= UINT64_C(1) << i;
	}
	hello.magic++;
	assert_refused(&hello, sizeof(hello), WIRE_REFUSAL_VERSION);
	system_assert_alive(&broker);
}

/* Every length; whether the head owns up to it or not. */
static void test_hello_of_every_length(void **state)
{
	union {
		struct wire_hello hello;
		char bytes[1025];
	} message;
	size_t size;
	int fd;

	(void)state;
	memset(&message, 0xa5, sizeof(message));
	raw_hello_init(&message.hello, WIRE_ROLE_NONE);
	message.hello.head.type = WIRE_HELLO;
	for (size = 1; size <= 1024; size++) {
		message.hello.head.size = (uint32_t)size;
		/* A longer one of a later version would be taken, if its version were ours. */
		message.hello.version = size > sizeof(struct wire_hello) ? ABI_VERSION + 1 : ABI_VERSION;
		if (size != sizeof(struct wire_hello))
			assert_refused(&message, size, WIRE_REFUSAL_VERSION);
		message.hello.head.size = (uint32_t)size + 1;
		assert_refused(&message, size, WIRE_REFUSAL_VERSION);
	}
	/* Nothing at all is the end of a conversation, for a socket of this kind. */
	fd = raw_connect(broker.run.name);
	assert_true(fd >= 0);
	assert_int_equal(send(fd, "", 0, MSG_NOSIGNAL), 0);
	assert_int_equal(raw_wait_hangup(fd), 0);
	close(fd);
	system_assert_alive(&broker);
}

static void test_other_messages_first(void **state)
{
	union wire_message message;
	uint32_t type;

	(void)state;
	for (type = 0; type < 12; type++) {
		if (type == WIRE_HELLO || type == WIRE_CONTROL)
			continue;
		memset(&message, 0, sizeof(message));
		message.head.type = type;
		message.head.size = sizeof(message);
		assert_refused(&message, sizeof(message), WIRE_REFUSAL_VERSION);
	}
	system_assert_alive(&broker);
}

/* Of who may command, one that there is not fails, with a sentence. */
static void test_unknown_commands(void **state)
{
	int fd, descriptors[WIRE_DESCRIPTORS_MAX];
	union wire_message message;
	uint32_t command;
	size_t n;

	(void)state;
	for (command = 0; command < 12; command++) {
		if (command == WIRE_COMMAND_RELOAD || command == WIRE_COMMAND_DRAIN ||
		    command == WIRE_COMMAND_PEERS)
			continue;
		fd = raw_connect(broker.run.name);
		assert_true(fd >= 0);
		message.control = (struct wire_control){.command = command};
		assert_int_equal(wire_send(fd, WIRE_CONTROL, &message, sizeof(message.control),
					 NULL, 0), 0);
		assert_int_equal(raw_receive(fd, &message, descriptors, &n), 0);
		assert_int_equal(message.head.type, WIRE_TOLD);
		assert_int_equal(message.told.outcome, WIRE_OUTCOME_FAILED);
		assert_non_null(memchr(message.told.text, 0, sizeof(message.told.text)));
		assert_int_equal(raw_wait_hangup(fd), 0);
		close(fd);
	}
	system_assert_alive(&broker);
}

/* Descriptors that come where none belong are closed. */
static void test_hello_with_descriptors(void **state)
{
	unsigned before = system_fd_count(broker.run.proc.pid), i;
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(200 * sizeof(int))];
	} control;
	struct wire_hello hello;
	struct iovec iov = {&hello, sizeof(hello)};
	int fd, fds[200], n;

	(void)state;
	for (i = 0; i < 200; i++)
		fds[i] = STDERR_FILENO;
	for (n = 1; n <= 200; n += n < 8 ? 1 : 48) {
		struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes,
			.msg_controllen = CMSG_SPACE((size_t)n * sizeof(int))};

		raw_hello_init(&hello, WIRE_ROLE_NONE);
		hello.head.type = WIRE_HELLO;
		hello.head.size = sizeof(hello);
		memset(&control, 0, sizeof(control));
		CMSG_FIRSTHDR(&msg)->cmsg_level = SOL_SOCKET;
		CMSG_FIRSTHDR(&msg)->cmsg_type = SCM_RIGHTS;
		CMSG_FIRSTHDR(&msg)->cmsg_len = CMSG_LEN((size_t)n * sizeof(int));
		memcpy(CMSG_DATA(CMSG_FIRSTHDR(&msg)), fds, (size_t)n * sizeof(int));
		fd = raw_connect(broker.run.name);
		assert_true(fd >= 0);
		/* EPERM: a kernel that can refuse them for the broker. */
		assert_true(sendmsg(fd, &msg, MSG_NOSIGNAL) == sizeof(hello) || errno == EPERM);
		close(fd);
	}
	assert_true(system_wait_fd_count(&broker, before));
	system_assert_alive(&broker);
}

/* --- who never says hello --------------------------------------------------------------------- */

static void test_silent_connections(void **state)
{
	unsigned before = system_fd_count(broker.run.proc.pid), most = 0, now, i;
	int fds[10 * N_HANDSHAKES];

	(void)state;
	for (i = 0; i < 10 * N_HANDSHAKES; i++) {
		fds[i] = raw_connect(broker.run.name);
		assert_true(fds[i] >= 0);
		now = system_fd_count(broker.run.proc.pid);
		most = now > most ? now : most;
		/* Whoever says hello gets in all the while. */
		if (i % 16 == 0) {
			assert_int_equal(attach(broker.run.name), 0);
			system_assert_alive(&broker);
		}
	}
	/* Six more: the ones of a client that is coming or going. */
	assert_in_range(most, before, before + N_HANDSHAKES + 12);
	/* The oldest were turned away for the newest; with time they all are. */
	for (i = 0; i < 10 * N_HANDSHAKES; i++) {
		assert_int_equal(raw_wait_hangup(fds[i]), 0);
		close(fds[i]);
	}
	assert_true(system_wait_fd_count(&broker, before));
}

static int knock(void *context)
{
	int fd;

	(void)context;
	for (;;) {
		fd = raw_connect(broker.run.name);
		if (fd >= 0)
			close(fd);
	}
	return 0;
}

static bool gets_in(void *context)
{
	/* ECONNREFUSED: pushed out. EUSERS: those who were in before have yet to be seen off. */
	int r = attach(broker.run.name);

	(void)context;
	return r == 0;
}

static void test_knocking_without_end(void **state)
{
	pid_t pid[2];
	bool is_in = true;
	int i;

	(void)state;
	pid[0] = system_spawn(knock, NULL);
	pid[1] = system_spawn(knock, NULL);
	/* One may be pushed out by those who come later, and comes again. */
	for (i = 0; i < 50 && is_in; i++)
		is_in = system_wait(gets_in, NULL);
	system_end(pid[0]);
	system_end(pid[1]);
	assert_true(is_in);
	system_assert_alive(&broker);
}

static int setup(void **state)
{
	(void)state;
	system_start(&broker, "4MiB", false,
		"[session]\nhandshakes = 16\nhello_timeout = 300ms\n");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	system_stop(&broker);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_such_name),
		cmocka_unit_test(test_doctored_plane),
		cmocka_unit_test(test_short_plane),
		cmocka_unit_test(test_hello_of_other_versions),
		cmocka_unit_test(test_hello_of_every_length),
		cmocka_unit_test(test_other_messages_first),
		cmocka_unit_test(test_unknown_commands),
		cmocka_unit_test(test_hello_with_descriptors),
		cmocka_unit_test(test_silent_connections),
		cmocka_unit_test(test_knocking_without_end),
	};

	/* Ended from outside, too, it leaves nothing behind. */
	if (cleanup_guard())
		return 1;
	return cmocka_run_group_tests(tests, setup, teardown);
}
