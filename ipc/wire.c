/* SPDX-License-Identifier: Apache-2.0 */
/* wire.c: framing of the attach protocol. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ipc/wire.h"

/*
 * Both sides read messages that the other wrote, and neither believes them: a message has to be as
 * long as its head says, its type one that we know, and its size at least that type's. Descriptors
 * that come where none belong, or too many, are closed here, so that nobody can fill our table.
 */
static size_t wire_type_size(uint32_t type)
{
	switch (type) {
	case WIRE_HELLO:
		return sizeof(struct wire_hello);
	case WIRE_WELCOME:
		return sizeof(struct wire_welcome);
	case WIRE_REFUSED:
		return sizeof(struct wire_refused);
	case WIRE_LANE_OPEN:
		return sizeof(struct wire_lane_open);
	case WIRE_LANE:
		return sizeof(struct wire_lane);
	case WIRE_CONTROL:
		return sizeof(struct wire_control);
	case WIRE_TOLD:
		return sizeof(struct wire_told);
	case WIRE_HAND_OVER:
		return sizeof(struct wire_hand_over);
	case WIRE_SUBSCRIBE:
		return sizeof(struct wire_subscribe);
	case WIRE_EVENTS:
		return sizeof(struct wire_events);
	case WIRE_WAIT:
		return sizeof(struct wire_wait);
	case WIRE_READY:
		return sizeof(struct wire_ready);
	case WIRE_PEERS:
		return sizeof(struct wire_peers);
	default:
		return 0;
	}
}

const char *wire_refusal_name(unsigned refusal)
{
	static const char *const names[WIRE_N_REFUSALS] = {
		[WIRE_REFUSAL_NONE] = "none",
		[WIRE_REFUSAL_VERSION] = "version",
		[WIRE_REFUSAL_ACCESS] = "access",
		[WIRE_REFUSAL_FULL] = "full",
		[WIRE_REFUSAL_RESOURCES] = "resources",
		[WIRE_REFUSAL_STOPPING] = "stopping",
	};

	return refusal < WIRE_N_REFUSALS ? names[refusal] : "?";
}

int wire_send(int fd, enum wire_type type, void *message, size_t size, const int *descriptors,
	size_t n)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int) * WIRE_DESCRIPTORS_MAX)];
	} control = {0};
	struct wire_head *head = message;
	struct iovec iov = {.iov_base = message, .iov_len = size};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	ssize_t sent;

	head->type = type;
	head->size = (uint32_t)size;
	if (n) {
		msg.msg_control = control.bytes;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * n);
		CMSG_FIRSTHDR(&msg)->cmsg_level = SOL_SOCKET;
		CMSG_FIRSTHDR(&msg)->cmsg_type = SCM_RIGHTS;
		CMSG_FIRSTHDR(&msg)->cmsg_len = CMSG_LEN(sizeof(int) * n);
		memcpy(CMSG_DATA(CMSG_FIRSTHDR(&msg)), descriptors, sizeof(int) * n);
	}
	do
		sent = sendmsg(fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	if (sent < 0)
		return errno == ECONNRESET ? -EPIPE : -errno;
	return (size_t)sent == size ? 0 : -EMSGSIZE;
}

/*
 * False when there were more than belong to any message: the alignment of @msg's buffer lets one
 * in.
 */
static bool take_descriptors(struct msghdr *msg, int *descriptors, size_t *n)
{
	struct cmsghdr *c;
	size_t i, count;
	int fds[WIRE_DESCRIPTORS_MAX * 4];
	bool all = true;

	for (c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		memcpy(fds, CMSG_DATA(c), count * sizeof(int));
		for (i = 0; i < count; i++) {
			if (*n < WIRE_DESCRIPTORS_MAX) {
				descriptors[(*n)++] = fds[i];
			} else {
				close(fds[i]);
				all = false;
			}
		}
	}
	return all;
}

int wire_receive(int fd, union wire_message *message, int descriptors[WIRE_DESCRIPTORS_MAX],
	size_t *n)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int) * WIRE_DESCRIPTORS_MAX)];
	} control;
	struct iovec iov = {.iov_base = message, .iov_len = sizeof(*message)};
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	bool has_all, is_full;
	ssize_t got;
	size_t size;

	*n = 0;
	do
		got = recvmsg(fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		return errno == ECONNRESET ? -EPIPE : -errno;
	/*
	 * Before anything else: a packet without a byte can carry some too, and looks like a
	 * hang-up.
	 */
	has_all = take_descriptors(&msg, descriptors, n);

	/* Fewer than we made room for: it was our table that had none. */
	is_full = (msg.msg_flags & MSG_CTRUNC) && *n < WIRE_DESCRIPTORS_MAX;
	size = (size_t)got;
	if (!has_all || size < sizeof(message->head) || (msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) ||
		message->head.size != size || !wire_type_size(message->head.type) ||
		size < wire_type_size(message->head.type)) {
		while (*n)
			close(descriptors[--*n]);
		return is_full ? -EMFILE : got ? -EBADMSG : -EPIPE;
	}
	return 0;
}

bool wire_ring(int fd)
{
	/* EAGAIN is a bell that rings already, EPIPE is noticed by whoever polls the socket. */
	return send(fd, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL) == 1 ||
		(errno != ENOBUFS && errno != ENOMEM);
}

bool wire_ring_drain(int fd)
{
	char bytes[64];
	ssize_t got;
	int i;

	/* Bounded: a client that rings without end is met again in the next round. */
	for (i = 0; i < 64; i++) {
		got = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);
		if (got == 0)
			return false;
		if (got < 0)
			return errno == EAGAIN || errno == EINTR;
	}
	return true;
}

bool wire_name_is_valid(const char *name)
{
	size_t n = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				"0123456789_-");

	return n >= 1 && n <= ABI_NAME_MAX && name[n] == '\0';
}

void wire_object_name(const char *name, enum wire_object object, char *out, size_t size)
{
	static const char *const suffix[] = {
		[WIRE_OBJECT_PLANE] = "",
		[WIRE_OBJECT_INDEX] = ".index",
		[WIRE_OBJECT_DRAM] = ".dram",
		[WIRE_OBJECT_CXL] = ".cxl",
		[WIRE_OBJECT_LOCK] = ".lock",
	};

	snprintf(out, size, "/%s%s", name, suffix[object]);
}

void wire_socket_path(const char *name, char *out, size_t size)
{
	snprintf(out, size, "/dev/shm/%s.sock", name);
}
