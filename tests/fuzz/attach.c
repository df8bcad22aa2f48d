/* SPDX-License-Identifier: Apache-2.0 */
/* attach.c: connections that say anything, in any order, with any descriptors. */
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <urcu.h>

#include "ipc/wire.h"
#include "shmcache/broker.h"
#include "tests/fuzz/fuzz.h"

/*
 * A whole broker, whose control thread is this one: its events are carried out between two steps of
 * the input. A step is a connection, a message of the input's bytes or a good one with some of its
 * bytes changed, descriptors along with it, a hang-up, time running out. At the end of each input
 * all hang up, and the broker must be as it was: no session, no handshake, no descriptor more.
 *
 * Found within 25 seconds when they were put in by hand: descriptors beyond the five that stay
 * open, descriptors of nonsense that stay open, a handshake that is not freed when its client hangs
 * up.
 */
#define N_CLIENTS 4
#define N_FDS_MAX 20

static struct broker broker;
static struct config config;
static struct settings settings;
static struct log out;
static int client[N_CLIENTS];
static char socket_path[CONFIG_PATH_MAX + 1];

static void stop(void)
{
	broker_stop(&broker);
}

static void start(void)
{
	const void *region;
	char why[512];
	size_t size;
	unsigned i;
	int fd;

	rcu_register_thread();
	config_init(&config);
	fuzz_name(config.cache.name, sizeof(config.cache.name), "", "-attach");
	config.cache.persist = false;
	config.dram.size = 1 << 20;
	config.dram.reserve_threads = 1;
	config.session.n_max = 3;
	config.session.lanes = 2;
	config.session.queue = 16;
	config.session.holds = 64;
	config.session.staging_size = 64 << 10;
	config.session.handshakes = 3;
	config_socket_path(&config, socket_path);
	log_init(&out, open("/dev/null", O_WRONLY));
	FUZZ_CHECK(!broker_start(&broker, &config, &settings, &out, why, sizeof(why)), "%s", why);
	atexit(stop);
	/* The region of events stays once there is one: it is not to be counted as left behind. */
	FUZZ_CHECK(!store_subscribe(&broker.store, EVENTS_ALL, &fd, &region, &size), "no events");
	store_unsubscribe(&broker.store, EVENTS_ALL);
	for (i = 0; i < N_CLIENTS; i++)
		client[i] = -1;
}

static void serve(void)
{
	unsigned n;

	for (n = 0; watch_wait(broker.epoll, 0); n++)
		FUZZ_CHECK(n < 10000, "events without end");
}

/* A drain is taken back: it would end us. */
static void undrain(void)
{
	if (!broker.drain.is_on)
		return;
	watch_close(broker.epoll, &broker.drain.timer);
	if (broker.drain.asker >= 0)
		close(broker.drain.asker);
	broker.drain = (struct drain){.timer.fd = -1, .asker = -1};
	broker.is_done = false;
	plane_set_state(&broker.plane, ABI_STATE_SERVING);
}

/* --- steps ----------------------------------------------------------------------------------- */

static void hang_up(unsigned i)
{
	if (client[i] >= 0)
		close(client[i]);
	client[i] = -1;
}

static void connect_one(unsigned i)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	hang_up(i);
	client[i] = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	memcpy(address.sun_path, socket_path, sizeof(socket_path));
	if (connect(client[i], (struct sockaddr *)&address, sizeof(address)))
		hang_up(i);
}

static void send_bytes(unsigned i, const void *bytes, size_t size, unsigned n_fds)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int) * N_FDS_MAX)];
	} control = {0};
	struct iovec iov = {.iov_base = (void *)bytes, .iov_len = size};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	int fds[N_FDS_MAX];
	unsigned f;

	if (n_fds) {
		for (f = 0; f < n_fds; f++)
			fds[f] = client[i];
		msg.msg_control = control.bytes;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
		CMSG_FIRSTHDR(&msg)->cmsg_level = SOL_SOCKET;
		CMSG_FIRSTHDR(&msg)->cmsg_type = SCM_RIGHTS;
		CMSG_FIRSTHDR(&msg)->cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
		memcpy(CMSG_DATA(CMSG_FIRSTHDR(&msg)), fds, sizeof(int) * n_fds);
	}
	(void)!sendmsg(client[i], &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* A good message but for some bytes. */
static void send_bent(unsigned i, struct fuzz_input *in, enum wire_type type)
{
	union wire_message m = {.hello = {.head = {type, sizeof(m.hello)}, .magic = ABI_MAGIC,
		.fingerprint = abi_fingerprint(), .version = ABI_VERSION}};
	size_t size = type == WIRE_LANE_OPEN ? sizeof(m.lane_open) :
		type == WIRE_SUBSCRIBE	     ? sizeof(m.subscribe) :
		type == WIRE_WAIT	     ? sizeof(m.wait) :
					       sizeof(m.hello);
	unsigned n = fuzz_u8(in) % 4, off;

	if (type != WIRE_HELLO) {
		memset((char *)&m + sizeof(m.head), 0, sizeof(m) - sizeof(m.head));
		m.head.size = (uint32_t)size;
	}
	if (type == WIRE_SUBSCRIBE)
		m.subscribe.kinds = EVENTS_ALL;
	while (n--) {
		off = fuzz_u8(in) % sizeof(m.hello);
		((uint8_t *)&m)[off] = fuzz_u8(in);
	}
	send_bytes(i, &m, size, 0);
}

static void send_any(unsigned i, struct fuzz_input *in)
{
	unsigned n_fds = fuzz_u8(in) % (N_FDS_MAX + 1);
	size_t size = fuzz_u16(in) % 1200;
	uint8_t bytes[1200];

	fuzz_take(in, bytes, size);
	send_bytes(i, bytes, size, n_fds);
}

/* What comes back is well-formed whatever was sent. */
static void receive(unsigned i)
{
	int descriptors[WIRE_DESCRIPTORS_MAX], r;
	union wire_message message;
	size_t n;

	r = wire_receive(client[i], &message, descriptors, &n);
	FUZZ_CHECK(r == 0 || r == -EAGAIN || r == -EPIPE, "%s", strerror(-r));
	while (n)
		close(descriptors[--n]);
}

/* What an attached client may ask for. */
static const enum wire_type asked[4] = {WIRE_LANE_OPEN, WIRE_SUBSCRIBE, WIRE_WAIT, WIRE_LANE_OPEN};

static void step(struct fuzz_input *in)
{
	uint8_t what = fuzz_u8(in);
	unsigned i = what >> 3 & (N_CLIENTS - 1);

	switch (what & 7) {
	case 0:
		connect_one(i);
		break;
	case 1:
		send_any(i, in);
		break;
	case 2:
		connect_one(i);
		send_bent(i, in, WIRE_HELLO);
		break;
	case 3:
		send_bent(i, in, WIRE_HELLO);
		break;
	case 4:
		send_bent(i, in, asked[what >> 5 & 3]);
		break;
	case 5:
		hang_up(i);
		break;
	case 6:
		if (client[i] >= 0)
			receive(i);
		break;
	default:
		attach_expire(&broker, UINT64_MAX);
		break;
	}
	/* Sometimes several steps are there at once. */
	if (!(what & 0x80))
		serve();
}

static void check_rest(unsigned n_fds)
{
	unsigned i, n = 0;

	for (i = 0; i < N_CLIENTS; i++)
		hang_up(i);
	serve();
	undrain();
	attach_expire(&broker, UINT64_MAX);
	FUZZ_CHECK(!broker.attach.n_handshakes, "%u handshakes", broker.attach.n_handshakes);
	/* The worker takes leave of a session in its own time. */
	while (shared_u64_load(&broker.plane.shared->gauge[ABI_GAUGE_SESSIONS_NOW]) ||
		fuzz_count_fds() != n_fds) {
		usleep(100);
		serve();
		FUZZ_CHECK(++n < 50000, "sessions or descriptors stay: %u, were %u", fuzz_count_fds(),
			n_fds);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = {data, size};
	unsigned n, n_fds;

	if (!broker.config)
		start();
	serve();
	n_fds = fuzz_count_fds();
	for (n = 0; in.left && n < 200; n++)
		step(&in);
	check_rest(n_fds);
	return 0;
}
