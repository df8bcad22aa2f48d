/* SPDX-License-Identifier: Apache-2.0 */
/* connection.c: finding a cache's plane, and saying hello to its broker. */
#include <errno.h>
#include <fcntl.h>
#include <linux/membarrier.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "clients/lib/connection.h"
#include "clients/lib/deadline.h"

/*
 * The plane is the one object that is found by name; all others come as descriptors from whoever
 * answers on the socket that the plane tells. It stays mapped through the session, since its epoch
 * is how readers learn that another broker has taken over.
 *
 * Every step is non-blocking, because reads, which never block, are what re-attaches after a broker
 * was restarted. shmc_attach() waits between the steps.
 */
void reason_set(struct reason *why, const char *format, ...)
{
	va_list args;

	if (!why || !why->text || !why->size)
		return;
	va_start(args, format);
	vsnprintf(why->text, why->size, format, args);
	va_end(args);
}

/*
 * Is it a plane, ours, and served? Its words are checked in the order in which a broker dares
 * them.
 */
static int plane_check(const struct abi_plane *plane, size_t size, const char *name,
	struct reason *why)
{
	uint32_t state = shared_u32_load_acquire(&plane->state);

	if (state == ABI_STATE_NONE || state == ABI_STATE_STARTING) {
		reason_set(why, "the broker of \"%s\" is still starting: try again", name);
		return -ECONNREFUSED;
	}
	if (plane->magic != ABI_MAGIC) {
		reason_set(why, "the shared memory \"%s\" is no cache: choose another name", name);
		return -EPROTONOSUPPORT;
	}
	if (plane->version != ABI_VERSION || plane->fingerprint != abi_fingerprint()) {
		reason_set(why,
			"the broker of \"%s\" speaks version %u, this library version %u%s: "
			"install both from one release", name, plane->version, ABI_VERSION,
			plane->version == ABI_VERSION ? " of another build" : "");
		return -EPROTONOSUPPORT;
	}
	if (plane->size > size ||
		!memchr(plane->socket_path, 0, sizeof(plane->socket_path))) {
		reason_set(why, "the plane of \"%s\" is damaged: restart its broker", name);
		return -EPROTONOSUPPORT;
	}
	/* One that is being drained says so itself. */
	if (state != ABI_STATE_SERVING && state != ABI_STATE_DRAINING) {
		reason_set(why, "the broker of \"%s\" has stopped: start shmcached", name);
		return -ECONNREFUSED;
	}
	return 0;
}

static int plane_map(struct connection *c, int fd, const char *name, struct reason *why)
{
	struct stat st;
	void *map;

	if (fstat(fd, &st))
		return -errno;
	if ((size_t)st.st_size < sizeof(struct abi_plane)) {
		reason_set(why, "the broker of \"%s\" is still starting: try again", name);
		return -ECONNREFUSED;
	}
	map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		return -errno;
	(void)madvise(map, (size_t)st.st_size, MADV_DONTFORK);
	c->plane = map;
	c->plane_size = (size_t)st.st_size;
	return plane_check(c->plane, c->plane_size, name, why);
}

int connection_begin(struct connection *c, const char *name, enum wire_role role,
	struct reason *why)
{
	char object[64];
	int fd, r;

	*c = (struct connection){.socket = -1, .role = role};
	wire_object_name(name, WIRE_OBJECT_PLANE, object, sizeof(object));
	fd = shm_open(object, O_RDONLY | O_CLOEXEC, 0);
	if (fd < 0) {
		r = -errno;
		reason_set(why, r == -ENOENT ? "there is no cache \"%s\": start shmcached" :
			"the cache \"%s\" can't be opened", name);
		return r;
	}
	r = plane_map(c, fd, name, why);
	close(fd);
	if (r)
		connection_end(c);
	return r;
}

/*
 * Ask the kernel to have the broker's membarrier(2) reach this process, which spares each read its
 * fence. Returns whether it did.
 */
static bool membarrier_register(void)
{
	return syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED, 0, 0) == 0;
}

static int say_hello(struct connection *c)
{
	struct wire_hello hello = {
		.magic = ABI_MAGIC,
		.fingerprint = abi_fingerprint(),
		.version = ABI_VERSION,
		.role = c->role,
	};

	c->is_fenced = shared_u32_load(&c->plane->fence_needed) || !membarrier_register();
	if (!c->is_fenced)
		hello.flags |= WIRE_HELLO_MEMBARRIER;
	return wire_send(c->socket, WIRE_HELLO, &hello, sizeof(hello), NULL, 0);
}

int connection_open(struct connection *c, struct reason *why)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd, r;

	if (strlen(c->plane->socket_path) >= sizeof(address.sun_path))
		return -EPROTONOSUPPORT;
	strcpy(address.sun_path, c->plane->socket_path);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&address, sizeof(address))) {
		r = errno == ENOENT ? -ECONNREFUSED : -errno;
		close(fd);
		if (r != -EAGAIN)
			reason_set(why, "no broker answers on %s: start shmcached",
				address.sun_path);
		return r;
	}
	c->socket = fd;
	return 0;
}

static int refusal_errno(const struct wire_refused *refused, struct reason *why)
{
	reason_set(why, "%.*s", (int)sizeof(refused->why), refused->why);
	switch (refused->refusal) {
	case WIRE_REFUSAL_VERSION:
		return -EPROTONOSUPPORT;
	case WIRE_REFUSAL_ACCESS:
		return -EACCES;
	case WIRE_REFUSAL_FULL:
		return -EUSERS;
	case WIRE_REFUSAL_RESOURCES:
		return -ENOMEM;
	default:
		return -ECONNREFUSED;
	}
}

int connection_step(struct connection *c, struct connection_welcome *welcome, struct reason *why)
{
	union wire_message message;
	int r;

	if (c->socket < 0) {
		r = connection_open(c, why);
		if (!r)
			r = say_hello(c);
		if (r)
			return r == -EPIPE ? -ECONNREFUSED : r;
	}
	r = wire_receive(c->socket, &message, welcome->fd, &welcome->n_fds);
	if (r == -EPIPE) {
		reason_set(why, "the broker hung up on us");
		return -ECONNREFUSED;
	}
	if (r)
		return r;
	if (message.head.type == WIRE_WELCOME) {
		welcome->message = message.welcome;
		return 0;
	}
	while (welcome->n_fds)
		close(welcome->fd[--welcome->n_fds]);
	return message.head.type == WIRE_REFUSED ? refusal_errno(&message.refused, why) : -EBADMSG;
}

int connection_wait(const struct connection *c, uint64_t deadline)
{
	struct pollfd fd = {.fd = c->socket, .events = POLLIN};
	uint64_t soon = deadline_clock() + 1000000;

	/* A full backlog can't be polled for. */
	if (c->socket < 0 && soon < deadline) {
		(void)deadline_poll(NULL, 0, soon);
		return 0;
	}
	return deadline_poll(&fd, 1, deadline) ? 0 : -ETIMEDOUT;
}

void connection_end(struct connection *c)
{
	if (c->plane)
		munmap((void *)c->plane, c->plane_size);
	if (c->socket >= 0)
		close(c->socket);
	*c = (struct connection){.socket = -1};
}
