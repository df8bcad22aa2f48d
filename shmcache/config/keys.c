/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every key is one row here, and nothing about a key is said anywhere else in code: its default
 * is text that goes through the same parser as the operator's, its limits make both the check
 * and the sentence that explains it, its help is the comment in the example file. A key that is
 * added here is therefore parsed, printed, checked, and demanded of the docs by the tests.
 *
 * Limits are wide: they keep nonsense and overflow out, not taste. What the machine can't give
 * (memory, CPUs, nodes) is found out at start, where the message can name what there is.
 */
#include "shmcache/config/keys.h"

#include <stddef.h>
#include <string.h>

#define FIELD(member) .offset = offsetof(struct config, member)
#define MIB (INT64_C(1) << 20)
#define GIB (INT64_C(1) << 30)
#define MS INT64_C(1000000)
#define SEC (1000 * MS)
#define HOUR (3600 * SEC)
#define PAGE 4096
#define AT_ONCE CONFIG_CHANGE_AT_ONCE
#define NEXT_SESSION CONFIG_CHANGE_NEXT_SESSION
/* What a running broker takes of the cluster it can take of its file. */
#define CLUSTER .is_cluster = true, .change = AT_ONCE

static const char *const huge_pages[] = {"off", "advise", NULL};
static const char *const backends[] = {"auto", "devdax", "numa", "shm", "off", NULL};
static const char *const polls[] = {"adaptive", "busy", "sleep", NULL};
static const char *const roles[] = {"none", "reader", "stager", "writer", NULL};
static const char *const locates[] = {"auto", "directory", "ask", NULL};
static const char *const write_backs[] = {"always", "all-found", "contiguous-prefix", "second-hit",
	"free-space", "off", NULL};
static const char *const securities[] = {"tls", "none", NULL};
static const char *const levels[] = {"error", "warning", "info", "debug", NULL};
static const char *const targets[] = {"stderr", "journal", NULL};

/* The fields of choices are written as unsigned. */
_Static_assert(sizeof(enum config_role) == sizeof(unsigned), "enum of another size");
_Static_assert(sizeof(enum config_write_back) == sizeof(unsigned), "enum of another size");
_Static_assert(sizeof(write_backs) / sizeof(write_backs[0]) == CONFIG_N_WRITE_BACKS + 1, "all named");
_Static_assert(sizeof(enum log_level) == sizeof(unsigned), "enum of another size");

const struct key keys[] = {
	{"cache", "name", KEY_NAME, FIELD(cache.name), .min = 1, .max = CONFIG_NAME_MAX,
		.value = "shmcache",
		.help = "The name by which clients attach, and the first part of the names of "
			"all that the broker keeps in /dev/shm."},
	{"cache", "persist", KEY_BOOL, FIELD(cache.persist),
		.change = AT_ONCE, .value = "on",
		.help = "Whether the cached values stay in /dev/shm when the broker stops, for "
			"the next one to serve. If off, a broker that stops leaves nothing."},
	{"cache", "socket", KEY_PATH, FIELD(cache.socket), .max = CONFIG_PATH_MAX,
		.zero = "/dev/shm/NAME.sock", .value = "",
		.help = "The socket on which clients say hello. Beside the shared memory it can "
			"be reached from a container that shares only /dev/shm."},

	{"dram", "size", KEY_SIZE, FIELD(dram.size), .min = MIB, .max = 256 * GIB,
		.multiple = PAGE, .zero = "a quarter of what is free in /dev/shm", .value = "0",
		.help = "The memory for values, reserved at start. Rounded down to pages of "
			"4 KiB."},
	{"dram", "node", KEY_INT, FIELD(dram.node), .min = -1, .max = 1023, .value = "-1",
		.help = "The NUMA node that this memory comes from; -1 leaves it to the kernel."},
	{"dram", "huge_pages", KEY_CHOICE, FIELD(dram.huge_pages), .choices = huge_pages,
		.value = "off",
		.help = "Whether to ask the kernel for huge pages, which it gives as far as "
			"/sys/kernel/mm/transparent_hugepage/shmem_enabled allows."},
	{"dram", "reserve_threads", KEY_COUNT, FIELD(dram.reserve_threads), .min = 1,
		.max = 1024, .zero = "one per CPU", .value = "0",
		.help = "How many threads reserve the memory at start."},

	{"cxl", "backend", KEY_CHOICE, FIELD(cxl.backend), .choices = backends, .value = "auto",
		.help = "What the second tier lies on: a device /dev/daxX.Y, shared memory on a "
			"NUMA node without CPUs, or plain shared memory that stands in for CXL. "
			"auto takes the first of them that the machine has, but the stand-in "
			"only where size is set; see shmcached --probe."},
	{"cxl", "size", KEY_SIZE, FIELD(cxl.size), .min = MIB, .max = 256 * GIB,
		.multiple = PAGE,
		.zero = "all of a device, half of a node, of the stand-in as much as dram.size",
		.value = "0",
		.help = "The memory for values in the second tier. On a device it is rounded down "
			"to the device's alignment, elsewhere to pages of 4 KiB."},
	{"cxl", "device", KEY_PATH, FIELD(cxl.device), .max = CONFIG_PATH_MAX,
		.zero = "the first that fits", .value = "",
		.help = "The device, such as /dev/dax0.0. What is on it is lost, unless this "
			"cache wrote it. auto leaves alone what is persistent memory or holds "
			"another cache; what is named here is taken."},
	{"cxl", "node", KEY_INT, FIELD(cxl.node), .min = -1, .max = 1023, .value = "-1",
		.help = "The NUMA node; -1 is the first that has memory and no CPUs."},
	{"cxl", "size_threshold", KEY_SIZE, FIELD(cxl.threshold), .min = 1, .max = GIB,
		.zero = "none", .value = "0",
		.help = "Values of this size and larger go to the second tier first, where the "
			"client does not say otherwise."},
	{"cxl", "policy", KEY_NAME, FIELD(cxl.policy), .max = CONFIG_POLICY_MAX,
		.zero = "that of [eviction]", .value = "",
		.help = "Which entries of the second tier go first when it is full."},
	{"cxl", "demote_at", KEY_PERCENT, FIELD(cxl.demote_at_percent), .min = 1, .max = 100,
		.value = "95%",
		.help = "How full the DRAM tier is when values begin to move to the second tier "
			"ahead of need."},
	{"cxl", "demote_to", KEY_PERCENT, FIELD(cxl.demote_to_percent), .min = 1, .max = 100,
		.zero = "5% less than demote_at", .value = "0",
		.help = "How full the DRAM tier is when that ends."},
	{"cxl", "promote_after", KEY_COUNT, FIELD(cxl.promote_after), .min = 1, .max = 1000,
		.zero = "never", .value = "2",
		.help = "After how many hits a value of the second tier moves to DRAM."},
	{"cxl", "promote_rate", KEY_SIZE, FIELD(cxl.promote_rate), .min = MIB,
		.max = 1024 * GIB, .zero = "no limit", .value = "256MiB",
		.help = "How many bytes may be moved so in a second."},

	{"index", "size_max", KEY_SIZE, FIELD(index.size_max), .min = MIB, .max = 256 * GIB,
		.multiple = PAGE, .zero = "as much as dram.size", .value = "0",
		.help = "The most memory that the index may grow to. Small values need as much "
			"index as data; beyond this limit entries are evicted."},

	{"eviction", "policy", KEY_NAME, FIELD(eviction.policy), .max = CONFIG_POLICY_MAX,
		.zero = "the default of this version", .value = "",
		.help = "Which entries go first when memory is short."},
	{"eviction", "batch", KEY_COUNT, FIELD(eviction.batch),
		.change = AT_ONCE, .min = 1, .max = 65536,
		.value = "64",
		.help = "How many entries are evicted at once: each batch costs one round of "
			"reclaim, whatever its size."},

	{"broker", "workers", KEY_COUNT, FIELD(broker.workers), .min = 1, .max = 16,
		.value = "1", .help = "How many threads serve the clients' rings."},
	{"broker", "poll", KEY_CHOICE, FIELD(broker.poll),
		.change = AT_ONCE, .choices = polls,
		.value = "adaptive",
		.help = "How a worker without work waits: adaptive looks again for as long as "
			"spin says and then sleeps; busy never sleeps and takes a whole CPU; "
			"sleep never looks twice."},
	{"broker", "spin", KEY_DURATION, FIELD(broker.spin_ns),
		.change = AT_ONCE, .min = 0, .max = SEC,
		.value = "50us",
		.help = "How long a worker that polls adaptively looks again before it sleeps; "
			"forty times as long after it has reserved a block, for the commit."},
	{"broker", "round", KEY_COUNT, FIELD(broker.round),
		.change = AT_ONCE, .min = 1, .max = 4096,
		.value = "32",
		.help = "How many requests a worker takes from one ring before it turns to the "
			"next one, so that no client starves another."},
	{"broker", "cpus", KEY_CPUS, FIELD(broker.cpus),
		.change = AT_ONCE, .zero = "any", .value = "",
		.help = "The CPUs that workers may run on."},
	{"broker", "restart_grace", KEY_DURATION, FIELD(broker.restart_grace_ns), .min = 0,
		.max = HOUR, .value = "10s",
		.help = "How long a broker that finds a warm cache keeps all that was in it for "
			"clients of the one before whose views it can't see, as they are other "
			"users'. Who has not attached again by then loses his views."},

	{"session", "max", KEY_COUNT, FIELD(session.n_max),
		.change = AT_ONCE, .min = 1, .max = 4096,
		.value = "256", .help = "How many clients may be attached at once."},
	{"session", "lanes", KEY_COUNT, FIELD(session.lanes),
		.change = NEXT_SESSION, .min = 1, .max = 256,
		.value = "64",
		.help = "How many lanes one client may have: a lane serves one of its threads."},
	{"session", "queue", KEY_COUNT, FIELD(session.queue),
		.change = NEXT_SESSION, .min = 16, .max = 4096,
		.power_of_two = true, .value = "256",
		.help = "How many requests a lane holds."},
	{"session", "holds", KEY_COUNT, FIELD(session.holds),
		.change = NEXT_SESSION, .min = 64, .max = 65536,
		.power_of_two = true, .value = "1024",
		.help = "How many values one lane may hold views of at the same time."},
	{"session", "staging", KEY_SIZE, FIELD(session.staging_size),
		.change = NEXT_SESSION, .min = 64 * 1024,
		.max = 64 * MIB, .multiple = PAGE, .value = "1MiB",
		.help = "The area of each lane through which small values are put. Rounded down "
			"to pages of 4 KiB."},
	{"session", "reservations", KEY_COUNT, FIELD(session.reservations),
		.change = NEXT_SESSION, .min = 1,
		.max = 65536, .value = "64",
		.help = "How many reserved blocks one client may have open."},
	{"session", "reserved_max", KEY_PERCENT, FIELD(session.reserved_percent),
		.change = NEXT_SESSION, .min = 0,
		.max = 100, .value = "25%",
		.help = "The share of a tier that one client's open reservations may take."},
	{"session", "pinned_max", KEY_PERCENT, FIELD(session.pinned_percent),
		.change = NEXT_SESSION, .min = 0,
		.max = 100, .value = "25%",
		.help = "The share of a tier that one client may pin."},
	{"session", "held_max", KEY_PERCENT, FIELD(session.held_percent),
		.change = AT_ONCE, .min = 1,
		.max = 100, .value = "50%",
		.help = "The share of a tier that one client's views may keep from being reused, "
			"counting values that are gone otherwise; who holds more is cut off when "
			"the room is wanted."},
	{"session", "pin_time_max", KEY_DURATION, FIELD(session.pin_time_max_ns),
		.change = NEXT_SESSION, .min = SEC,
		.max = 8760 * HOUR, .value = "1h", .help = "How long a pin may last."},
	{"session", "hello_timeout", KEY_DURATION, FIELD(session.hello_timeout_ns),
		.change = AT_ONCE,
		.min = 10 * MS, .max = HOUR, .value = "5s",
		.help = "How long a connection may take to say hello before it is closed."},
	{"session", "handshakes", KEY_COUNT, FIELD(session.handshakes),
		.change = AT_ONCE, .min = 1, .max = 4096,
		.value = "64",
		.help = "How many connections may exist that have not said hello yet."},

	{"access", "owner", KEY_CHOICE, FIELD(access.owner),
		.change = NEXT_SESSION, .choices = roles,
		.value = "writer",
		.help = "The role of clients that run as the broker's own user, or as root."},
	{"access", "other", KEY_CHOICE, FIELD(access.other),
		.change = NEXT_SESSION, .choices = roles,
		.value = "none", .help = "The role of clients that no other rule names."},

	{"remote", "listen", KEY_ENDPOINT, FIELD(remote.listen), .max = CONFIG_PATH_MAX,
		.zero = "nowhere", .value = "",
		.help = "Where other brokers reach this one; a port alone is one of 127.0.0.1."},
	{"remote", "advertise", KEY_ENDPOINT, FIELD(remote.advertise), .max = CONFIG_PATH_MAX,
		.zero = "what listen says", .value = "",
		.help = "The address that is told to others by way of etcd, where listen is one "
			"that stands for all addresses, or is translated on the way."},
	{"remote", "name", KEY_NAME, FIELD(remote.name), .max = CONFIG_NAME_MAX,
		.zero = "none, and no peers", .value = "",
		.help = "The name of this broker among its peers, which no other may have. Its "
			"certificate is for this name."},
	{"remote", "cluster", KEY_NAME, FIELD(remote.cluster), .min = 1,
		.max = CONFIG_NAME_MAX, .value = "shmcache",
		.help = "The name of the cluster. Brokers of another cluster are refused."},
	{"remote", "members", KEY_MEMBERS, FIELD(remote.members), .max = CONFIG_LIST_MAX,
		.zero = "none", .value = "",
		.help = "The brokers of the cluster. The same list may stand on all of them: this "
			"broker's own name in it is passed over."},
	{"remote", "etcd", KEY_URLS, FIELD(remote.etcd), .max = CONFIG_LIST_MAX,
		.zero = "none", .value = "",
		.help = "The members of an etcd, from which the brokers learn of each other, "
			"instead of members."},
	{"remote", "etcd_prefix", KEY_PATH, FIELD(remote.etcd_prefix), .min = 1,
		.max = CONFIG_PATH_MAX, .value = "/shmcache",
		.help = "Where in etcd the clusters are; each has a directory of its own there."},
	{"remote", "etcd_user", KEY_NAME, FIELD(remote.etcd_user), .max = CONFIG_NAME_MAX,
		.zero = "none", .value = "",
		.help = "The user of this broker at etcd, where etcd asks for users."},
	{"remote", "etcd_password_file", KEY_PATH, FIELD(remote.etcd_password_file),
		.max = CONFIG_PATH_MAX, .zero = "none", .value = "",
		.help = "The file whose first line is that user's password."},
	{"remote", "etcd_ca", KEY_PATH, FIELD(remote.etcd_ca), .max = CONFIG_PATH_MAX,
		.zero = "what ca says", .value = "",
		.help = "The file with the certificate of the CA that etcd's own are of, for URLs "
			"that begin with https."},
	{"remote", "etcd_certificate", KEY_PATH, FIELD(remote.etcd_certificate),
		.max = CONFIG_PATH_MAX, .zero = "what certificate says", .value = "",
		.help = "The file with the certificate that is shown to etcd."},
	{"remote", "etcd_key", KEY_PATH, FIELD(remote.etcd_key), .max = CONFIG_PATH_MAX,
		.zero = "what key says", .value = "",
		.help = "The file with the private key of that certificate."},
	{"remote", "locate", KEY_CHOICE, FIELD(remote.locate), CLUSTER, .choices = locates,
		.value = "auto",
		.help = "How it is found out who has a value: by a directory that is spread over "
			"the members, or by asking all of them at once. auto asks where there are "
			"at most three members, and uses the directory where there are more."},
	{"remote", "write_back", KEY_CHOICE, FIELD(remote.write_back), CLUSTER,
		.choices = write_backs, .value = "always",
		.help = "What of that which was fetched is cached here: always, all of it; "
			"all-found, batches of which nothing was missed; contiguous-prefix, of a "
			"batch what stands before the first miss; second-hit, what was fetched "
			"before; free-space, what fits without an eviction; off, nothing. A client "
			"may choose otherwise for a request. What is not cached is delivered all "
			"the same."},
	{"remote", "lanes", KEY_COUNT, FIELD(remote.lanes), CLUSTER, .min = 1, .max = 16,
		.value = "2",
		.help = "How many connections for values there are to each peer, beside one for "
			"everything else."},
	{"remote", "window", KEY_SIZE, FIELD(remote.window_size), CLUSTER, .min = MIB, .max = GIB,
		.value = "16MiB",
		.help = "How many bytes a peer may send on one connection before this broker has "
			"taken the first of them."},
	{"remote", "timeout", KEY_DURATION, FIELD(remote.timeout_ns), CLUSTER, .min = 10 * MS,
		.max = HOUR, .value = "5s",
		.help = "How long a fetch may take, all of it, where the client does not say."},
	{"remote", "absent_for", KEY_DURATION, FIELD(remote.absent_for_ns), CLUSTER, .min = MS,
		.max = 60 * SEC, .zero = "not at all", .value = "100ms",
		.help = "How long it is remembered that nobody has a value: a put at another "
			"broker may be missed for so long after it was asked for."},
	{"remote", "fetches", KEY_COUNT, FIELD(remote.fetches), .change = AT_ONCE, .min = 1,
		.max = 4096, .value = "64",
		.help = "How many values may be on their way at once; others wait for their turn."},
	{"remote", "deliver_max", KEY_PERCENT, FIELD(remote.deliver_percent), .min = 1,
		.max = 100, .value = "25%",
		.help = "The share of the memory for values that may be taken by values which are "
			"on their way here, and of each tier by those which are on their way to "
			"peers. What a client has and does not release counts for held_max."},
	{"remote", "security", KEY_CHOICE, FIELD(remote.security), .choices = securities,
		.value = "tls",
		.help = "tls: peers show each other certificates of the cluster's own CA. none: "
			"whoever reaches the port is a peer, which is refused for other than "
			"loopback addresses; see insecure_network."},
	{"remote", "insecure_network", KEY_BOOL, FIELD(remote.insecure_network), .value = "off",
		.help = "Whether security = none is meant for other than loopback addresses, too: "
			"everybody in that network can read, and put, every value."},
	{"remote", "ca", KEY_PATH, FIELD(remote.ca), .max = CONFIG_PATH_MAX, .zero = "none",
		.value = "",
		.help = "The file with the certificate of the cluster's CA; see shmcache pki."},
	{"remote", "certificate", KEY_PATH, FIELD(remote.certificate), .max = CONFIG_PATH_MAX,
		.zero = "none", .value = "",
		.help = "The file with this broker's certificate."},
	{"remote", "key", KEY_PATH, FIELD(remote.key), .max = CONFIG_PATH_MAX, .zero = "none",
		.value = "", .help = "The file with the private key of that certificate."},
	{"remote", "data_tls", KEY_BOOL, FIELD(remote.data_tls), CLUSTER, .value = "on",
		.help = "Whether values are encrypted on their way, too. If off, who is at the "
			"other end is still proved, but the network can read and change values."},
	{"remote", "congestion", KEY_NAME, FIELD(remote.congestion),
		.max = CONFIG_CONGESTION_MAX, .zero = "what the kernel has for all", .value = "",
		.help = "The congestion control of connections to peers, such as reno or bbr: one of "
			"/proc/sys/net/ipv4/tcp_allowed_congestion_control."},

	{"metrics", "listen", KEY_ADDRESS, FIELD(metrics.listen),
		.change = AT_ONCE, .max = CONFIG_PATH_MAX, .zero = "nowhere", .value = "",
		.help = "Where to serve /metrics, /healthz and a live page over HTTP; a port alone "
			"is one of 127.0.0.1."},

	{"log", "level", KEY_CHOICE, FIELD(log.level),
		.change = AT_ONCE, .choices = levels, .value = "info",
		.help = "What is logged: events of this level and of those before it."},
	{"log", "target", KEY_CHOICE, FIELD(log.target),
		.change = AT_ONCE, .choices = targets,
		.value = "stderr",
		.help = "Lines go to standard error either way; journal puts their priority "
			"before them where a journal reads it."},
};

const unsigned n_keys = sizeof(keys) / sizeof(keys[0]);

_Static_assert(sizeof(keys) / sizeof(keys[0]) <= CONFIG_KEYS_MAX, "set_at is too small");

const char *config_write_back_name(enum config_write_back policy)
{
	return write_backs[policy];
}

const struct key *key_find(const char *section, const char *name)
{
	for (const struct key *k = keys; k < keys + n_keys; k++)
		if (!strcmp(k->section, section) && !strcmp(k->name, name))
			return k;
	return NULL;
}

bool key_has_section(const char *section)
{
	for (const struct key *k = keys; k < keys + n_keys; k++)
		if (!strcmp(k->section, section))
			return true;
	return false;
}
