/* SPDX-License-Identifier: Apache-2.0 */
/* connection.c: the client's side of attach, with a plane and a broker that are the fuzzer's. */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "clients/lib/deadline.h"
#include "clients/lib/session.h"
#include "tests/fuzz/fuzz.h"

/*
 * An input begins with bytes changed in a plane that is good, then come the answers to the hello: a
 * welcome or a refusal with some bytes changed, or any bytes, with any of the regions' descriptors
 * and others. What becomes a session claims its lanes, whose answers are the fuzzer's too. The
 * client gets a session or a failure; whatever came, afterwards no descriptor and no map stays.
 */
#define N_LANES 2
#define N_QUEUE 16
#define REGION_SIZE (1U << 20)
#define N_CHANGES 6

static struct {
	int listener, peer;
	char name[64], object[80], socket[96];
	struct abi_geometry geometry;
	int region, small, null; /* what may be sent along */
} rig;

static void leave(void)
{
	shm_unlink(rig.object);
	unlink(rig.socket);
}

static void listen_at(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	unlink(path);
	rig.listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	FUZZ_CHECK(!bind(rig.listener, (struct sockaddr *)&address, sizeof(address)) &&
			!listen(rig.listener, 4),
		"can't listen on %s", path);
}

/* A region whose bytes are those of a good index, as far as a client looks. */
static int make_region(size_t size)
{
	struct abi_index head = {.magic = ABI_MAGIC, .fingerprint = abi_fingerprint(),
		.size = size};
	int fd = memfd_create("fuzz", MFD_CLOEXEC);

	FUZZ_CHECK(fd >= 0 && !ftruncate(fd, (off_t)size) &&
			pwrite(fd, &head, sizeof(head), 0) == (ssize_t)sizeof(head),
		"no region");
	return fd;
}

static void start(void)
{
	fuzz_name(rig.name, sizeof(rig.name), "", "-connection");
	wire_object_name(rig.name, WIRE_OBJECT_PLANE, rig.object, sizeof(rig.object));
	wire_socket_path(rig.name, rig.socket, sizeof(rig.socket));
	rig.geometry = (struct abi_geometry){.n_lanes = N_LANES, .n_queue = N_QUEUE, .n_holds = 64,
		.n_log = 64, .staging_size = 64 << 10};
	FUZZ_CHECK(!abi_geometry_init(&rig.geometry), "no geometry");
	atexit(leave);
	listen_at(rig.socket);
	rig.region = make_region(REGION_SIZE);
	rig.small = make_region(4096);
	rig.null = open("/dev/null", O_RDWR | O_CLOEXEC);
}

static void bend(void *bytes, size_t size, struct fuzz_input *in)
{
	unsigned n = fuzz_u8(in) % N_CHANGES, off;

	while (n--) {
		off = fuzz_u16(in) % size;
		((uint8_t *)bytes)[off] = fuzz_u8(in);
	}
}

static void make_plane(struct fuzz_input *in)
{
	/* With room for a session directory that nobody looks at. */
	static _Alignas(struct abi_plane) uint8_t bytes[sizeof(struct abi_plane) + 4096];
	struct abi_plane *p = (void *)bytes;
	int fd;

	memset(bytes, 0, sizeof(bytes));
	p->magic = ABI_MAGIC;
	p->version = ABI_VERSION;
	p->fingerprint = abi_fingerprint();
	p->size = sizeof(bytes);
	memcpy(p->socket_path, rig.socket, strlen(rig.socket));
	shared_u64_store(&p->epoch, 7);
	shared_u32_store(&p->state, ABI_STATE_SERVING);
	shared_u32_store(&p->fence_needed, fuzz_u8(in) & 1);
	/* Its head and the names are all that attach looks at. */
	bend(bytes, 512, in);
	shm_unlink(rig.object);
	fd = shm_open(rig.object, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	FUZZ_CHECK(fd >= 0 && write(fd, bytes, sizeof(bytes)) == (ssize_t)sizeof(bytes),
		"no plane");
	if (fuzz_u8(in) == 1)
		FUZZ_CHECK(!ftruncate(fd, fuzz_u16(in)), "no short plane");
	close(fd);
}

/* --- the broker's answers --------------------------------------------------------------------- */

static void send_with(const void *bytes, size_t size, const int *fds, unsigned n)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int) * 8)];
	} control = {0};
	struct iovec iov = {.iov_base = (void *)bytes, .iov_len = size};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	if (n) {
		msg.msg_control = control.bytes;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * n);
		CMSG_FIRSTHDR(&msg)->cmsg_level = SOL_SOCKET;
		CMSG_FIRSTHDR(&msg)->cmsg_type = SCM_RIGHTS;
		CMSG_FIRSTHDR(&msg)->cmsg_len = CMSG_LEN(sizeof(int) * n);
		memcpy(CMSG_DATA(CMSG_FIRSTHDR(&msg)), fds, sizeof(int) * n);
	}
	(void)!sendmsg(rig.peer, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* The right descriptors, unless a byte says otherwise. */
static unsigned choose_fds(struct fuzz_input *in, int fds[8], unsigned n_right)
{
	uint8_t how = fuzz_u8(in);
	unsigned i, n = how & 0x80 ? how & 7 : n_right;

	for (i = 0; i < n; i++)
		fds[i] = how & 0x40 ? (fuzz_u8(in) & 1 ? rig.small : rig.null) : rig.region;
	return n;
}

static void answer(struct fuzz_input *in)
{
	const struct abi_geometry *g = &rig.geometry;
	union wire_message m = {.welcome = {.session = 1, .epoch = 7, .index_size = REGION_SIZE,
		.dram_size = REGION_SIZE, .role = WIRE_ROLE_WRITER, .n_descriptors = 4,
		.n_lanes = g->n_lanes, .n_queue = g->n_queue, .n_holds = g->n_holds,
		.n_log = g->n_log, .staging_size = g->staging_size}};
	size_t size = sizeof(m.welcome);
	unsigned n_fds = 4;
	int fds[8];

	m.head.type = WIRE_WELCOME;
	switch (fuzz_u8(in) % 8) {
	case 0:
		return; /* silence */
	case 1:
		memset(&m, 'x', sizeof(m.refused));
		m.head.type = WIRE_REFUSED;
		m.refused.refusal = fuzz_u8(in);
		size = sizeof(m.refused);
		n_fds = 0;
		break;
	case 2:
		memset(&m, 0, sizeof(m));
		m.head.type = WIRE_LANE;
		m.lane.lane = fuzz_u8(in) % 4;
		m.lane.status = fuzz_u8(in) % 8 ? ABI_STATUS_OK : fuzz_u8(in);
		size = sizeof(m.lane);
		n_fds = 1;
		break;
	case 3:
		size = fuzz_u16(in) % sizeof(m);
		fuzz_take(in, &m, size);
		break;
	default:
		break;
	}
	if (size >= sizeof(m.head) && fuzz_u8(in) != 1)
		m.head.size = (uint32_t)size;
	bend(&m, size ? size : 1, in);
	send_with(&m, size, fds, choose_fds(in, fds, n_fds));
}

/* --- the client ------------------------------------------------------------------------------- */

static void use(struct session *session, struct fuzz_input *in)
{
	struct lane *lane;
	unsigned i;
	int r;

	for (i = 0; i < 4; i++) {
		if (rig.peer >= 0)
			answer(in);
		r = session_lane_claim(session, i + 1, DEADLINE_NOW, &lane);
		FUZZ_CHECK(r <= 0 || r == SHMC_QUOTA, "%d", r);
		/* A lane's maps are there from end to end. */
		if (!r)
			FUZZ_CHECK(lane->idx < session->geometry.n_lanes, "lane %u", lane->idx);
	}
	session_free(session, false);
}

static void attach(struct fuzz_input *in)
{
	struct connection_welcome welcome;
	struct connection c;
	struct session *session;
	char text[64];
	struct reason why = {text, sizeof(text)};
	int r, i;

	r = connection_begin(&c, rig.name, WIRE_ROLE_NONE, &why);
	for (i = 0; !r && i < 4; i++) {
		r = connection_step(&c, &welcome, &why);
		if (r != -EAGAIN)
			break;
		r = 0;
		if (rig.peer < 0)
			rig.peer = accept4(rig.listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (rig.peer >= 0)
			answer(in);
	}
	if (r || i == 4) {
		FUZZ_CHECK(r <= 0, "%d", r);
		connection_end(&c);
		return;
	}
	if (!session_new(&session, &c, &welcome, 0, &why))
		use(session, in);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = {data, size};
	unsigned n_fds;
	int fd;

	if (!rig.name[0])
		start();
	n_fds = fuzz_count_fds();
	rig.peer = -1;
	make_plane(&in);
	attach(&in);
	if (rig.peer >= 0)
		close(rig.peer);
	/* Whoever connected and was not taken in. */
	while ((fd = accept4(rig.listener, NULL, NULL, SOCK_CLOEXEC)) >= 0)
		close(fd);
	FUZZ_CHECK(fuzz_count_fds() == n_fds, "%u descriptors, were %u", fuzz_count_fds(), n_fds);
	return 0;
}
