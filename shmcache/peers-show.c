/* SPDX-License-Identifier: Apache-2.0 */
/* peers-show.c: the other brokers, for who asks on the attach socket. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "shmcache/broker.h"
#include "shmcache/control.h"
#include "shmcache/remote/remote.h"

/*
 * The table is a file in memory, made for the one who asks. As messages, the lines of a large
 * cluster would be more than the socket takes at once, and this thread waits for nobody.
 */
static int make_table(const struct wire_peer *lines, unsigned n, int *out)
{
	size_t size = n * sizeof(*lines);
	int fd = memfd_create("shmcache-peers", MFD_CLOEXEC | MFD_ALLOW_SEALING), r = 0;

	if (fd < 0)
		return -errno;
	errno = EIO;
	if (write(fd, lines, size) != (ssize_t)size ||
		fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL))
		r = -errno;
	if (r)
		close(fd);
	else
		*out = fd;
	return r;
}

static void set_own(struct wire_peers *message, const struct broker *b)
{
	const struct config_remote *remote = &b->config->remote;

	snprintf(message->name, sizeof(message->name), "%s", remote->name);
	snprintf(message->cluster, sizeof(message->cluster), "%s", remote->cluster);
	snprintf(message->listen, sizeof(message->listen), "%s", remote->listen);
	message->n_records = shared_u64_load(&b->plane.shared->gauge[ABI_GAUGE_DIRECTORY_RECORDS]);
	message->flags = (b->remote ? WIRE_PEERS_JOINED : 0) |
		(remote_is_shard(b->remote) ? WIRE_PEERS_SHARD : 0);
}

void peers_show(struct broker *b, int fd)
{
	struct wire_peer *lines = calloc(REMOTE_HOLDERS_MAX, sizeof(*lines));
	struct wire_peers message = {.line_size = sizeof(*lines)};
	int table = -1, r = lines ? 0 : -ENOMEM;

	if (lines)
		message.n = remote_get_peers(b->remote, lines, REMOTE_HOLDERS_MAX);
	if (message.n)
		r = make_table(lines, message.n, &table);
	free(lines);
	if (r) {
		control_tell(fd, WIRE_OUTCOME_FAILED, "can't make a table: %s", strerror(-r));
		return;
	}
	set_own(&message, b);
	/* Who does not read loses it. */
	(void)wire_send(fd, WIRE_PEERS, &message, sizeof(message), &table, message.n ? 1 : 0);
	if (table >= 0)
		close(table);
}
