/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hosts of a test's own.
 *
 *	host 0 [eth0]---[port0]            [port1]---[eth0] host 1
 *	                       \          /
 *	                        [ bridge ]---[port2]---[eth0] host 2
 *
 * Each host and the bridge is a network namespace. Cutting a cable at the host's end is what
 * pulling the plug is: routes go, and the kernel says so to who sends. Cut at the bridge's end the
 * host keeps its address and its routes, and hears nothing any more: what a broken switch does.
 *
 * ip(8) does the work: it is on every Debian, and what it is told can be read.
 */
#include "tests/support/net.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define WORDS_MAX 16

extern char **environ;

char *net_address(unsigned i, char address[NET_ADDRESS_SIZE])
{
	snprintf(address, NET_ADDRESS_SIZE, "10.77.0.%u", (i + 1) & 0xff);
	return address;
}

/* Run ip(8) in the namespace of @fd with the words of @format, which are split at blanks. */
__attribute__((format(printf, 3, 4)))
static int ip(const struct net *net, int fd, const char *format, ...)
{
	char text[256], *word[WORDS_MAX + 1], *rest = NULL;
	int n = 0, status, r;
	va_list args;
	pid_t pid;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	word[n++] = (char[]){"ip"};
	for (char *w = strtok_r(text, " ", &rest); w && n < WORDS_MAX; w = strtok_r(NULL, " ", &rest))
		word[n++] = w;
	word[n] = NULL;
	if (setns(fd, CLONE_NEWNET))
		return -errno;
	r = -posix_spawnp(&pid, "ip", NULL, NULL, word, environ);
	if (setns(net->home, CLONE_NEWNET) && !r)
		r = -errno;
	if (r)
		return r;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return status ? -EIO : 0;
}

static int open_here(void)
{
	int fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/* A new namespace; the thread is back home when it returns. */
static int make(const struct net *net)
{
	int fd;

	if (unshare(CLONE_NEWNET))
		return -errno;
	fd = open_here();
	if (setns(net->home, CLONE_NEWNET))
		return -errno;
	return fd;
}

static int write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), r = 0;

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		r = -errno;
	if (fd >= 0)
		close(fd);
	return r;
}

/*
 * Without privilege: a user namespace, where we are root, so that ip(8) still may what we may after
 * its exec. The network namespace from which we came is not ours then: home is another new one.
 */
static int become_root(void)
{
	char map[64];
	uid_t uid = getuid();
	gid_t gid = getgid();
	int r;

	if (!geteuid())
		return 0;
	if (unshare(CLONE_NEWUSER | CLONE_NEWNET))
		return -errno;
	snprintf(map, sizeof(map), "0 %u 1", uid);
	r = write_text("/proc/self/uid_map", map);
	if (!r)
		r = write_text("/proc/self/setgroups", "deny");
	snprintf(map, sizeof(map), "0 %u 1", gid);
	return r ? r : write_text("/proc/self/gid_map", map);
}

static int make_host(struct net *net, unsigned i)
{
	char address[NET_ADDRESS_SIZE];
	int r;

	net->host[i] = make(net);
	if (net->host[i] < 0)
		return net->host[i];
	net->n_hosts = i + 1;
	r = ip(net, net->bridge, "link add port%u type veth peer name eth0 netns /proc/%d/fd/%d", i,
		getpid(), net->host[i]);
	if (!r)
		r = ip(net, net->bridge, "link set port%u master hub up", i);
	if (!r)
		r = ip(net, net->host[i], "link set lo up");
	if (!r)
		r = ip(net, net->host[i], "address add %s/24 dev eth0", net_address(i, address));
	return r ? r : ip(net, net->host[i], "link set eth0 up");
}

int net_open(struct net *net, unsigned n, char *why, size_t why_size)
{
	const char *what = "enter a user namespace";
	unsigned i;
	int r;

	memset(net, 0, sizeof(*net));
	net->home = net->bridge = -1;
	r = become_root();
	if (!r) {
		what = "make a network namespace";
		net->home = r = open_here();
	}
	if (r >= 0)
		net->bridge = r = make(net);
	if (r >= 0) {
		what = "make a bridge with ip(8)";
		r = ip(net, net->bridge, "link add hub type bridge");
	}
	if (!r)
		r = ip(net, net->bridge, "link set hub up");
	for (i = 0; i < n && !r; i++) {
		what = "join a host to the bridge with ip(8)";
		r = make_host(net, i);
	}
	if (!r)
		return 0;
	snprintf(why, why_size, "can't %s: %s", what, strerror(-r));
	net_close(net);
	return r;
}

void net_close(struct net *net)
{
	unsigned i;

	for (i = 0; i < net->n_hosts; i++)
		close(net->host[i]);
	net->n_hosts = 0;
	if (net->bridge >= 0)
		close(net->bridge);
	if (net->home >= 0)
		close(net->home);
	net->home = net->bridge = -1;
}

int net_enter(const struct net *net, unsigned host)
{
	return setns(net->host[host], CLONE_NEWNET) ? -errno : 0;
}

int net_leave(const struct net *net)
{
	return setns(net->home, CLONE_NEWNET) ? -errno : 0;
}

int net_cable(const struct net *net, unsigned host, enum net_end end, bool is_up)
{
	const char *to = is_up ? "up" : "down";

	return end == NET_END_HOST ? ip(net, net->host[host], "link set eth0 %s", to)
				   : ip(net, net->bridge, "link set port%u %s", host, to);
}
