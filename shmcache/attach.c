/* SPDX-License-Identifier: Apache-2.0 */
/* attach.c: who may come in, and what he gets. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "ipc/wire.h"
#include "shmcache/broker.h"
#include "shmcache/process.h"

/*
 * Anybody can connect; who that is, the kernel tells (SO_PEERCRED), and what he may do, the
 * configuration. A connection that does not say hello costs a small struct until its time is over
 * or too many others have come: then the oldest goes, since an honest client says hello at once.
 */
struct handshake {
	struct watch watch;
	struct ucred peer;
	uint64_t deadline_ms;
	struct handshake *next, **link;
};

static struct abi_worker *own_counters(struct broker *b)
{
	return &b->plane.shared->worker[ABI_CONTROL];
}

/* --- hello ------------------------------------------------------------------------------------ */

static void handshake_free(struct broker *b, struct handshake *h)
{
	*h->link = h->next;
	if (h->next)
		h->next->link = h->link;
	else
		b->attach.newest = h->link;
	b->attach.n_handshakes--;
	watch_close(b->epoll, &h->watch);
	free(h);
}

static void refuse(
	struct broker *b, const struct handshake *h, enum wire_refusal refusal, const char *why)
{
	struct wire_refused message = {.refusal = refusal};

	snprintf(message.why, sizeof(message.why), "%s", why);
	wire_send(h->watch.fd, WIRE_REFUSED, &message, sizeof(message), NULL, 0);
	store_count(own_counters(b), ABI_COUNTER_SESSIONS_REFUSED, 1);
	shared_u64_add(&own_counters(b)->refusal[refusal], 1);
	log_warning(b->log, "attach-refused", LOG_I64("pid", h->peer.pid),
		LOG_U64("uid", h->peer.uid), LOG_STR("why", why));
}

static void directory_fill(struct session *s, uint64_t epoch, uint64_t start_time)
{
	struct abi_session *d = s->directory;
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	shared_u32_store(&d->pid, (uint32_t)s->pid);
	shared_u32_store(&d->uid, s->uid);
	shared_u32_store(&d->role, s->role);
	shared_u32_store(&d->worker, s->worker->idx);
	shared_u32_store(&d->n_lanes, 0);
	shared_u32_store(&d->broken, 0);
	shared_u64_store(&d->attached_ms, (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000);
	shared_u64_store(&d->pid_start_time, start_time);
	shared_u64_store(&d->pid_ns, process_pid_namespace());
	shared_u64_store(&d->held_since_ms, 0);
	shared_u32_store(&d->state, ABI_SESSION_ATTACHED);
	shared_u64_store(&d->epoch, epoch);
	session_tell_regions(s);
	/* partner: the acquire of whoever reads the directory */
	shared_u64_store_release(&d->id, s->id);
}

/* Onto the broker's list, with a line in the directory. False when it is full. */
static bool enlist(struct broker *b, struct session *s)
{
	uint64_t start_time = process_start_time(s->pid);

	/* Only we make sessions, so what is found holds until we have the line. */
	if (b->n_sessions < b->config->session.n_max && !plane_session_slot(&b->plane))
		formers_make_way(&b->formers);
	pthread_mutex_lock(&b->sessions_lock);
	if (b->n_sessions < b->config->session.n_max)
		s->directory = plane_session_slot(&b->plane);
	if (s->directory) {
		directory_fill(s, shared_u64_load(&b->plane.shared->epoch), start_time);
		s->next = b->sessions;
		s->link = &b->sessions;
		if (s->next)
			s->next->link = &s->next;
		b->sessions = s;
		broker_count_sessions(b, 1);
	}
	pthread_mutex_unlock(&b->sessions_lock);
	/* The first worker sleeps for ever while nobody is attached: now there is upkeep to do. */
	worker_ring(&b->worker[0]);
	return s->directory != NULL;
}

static int tier_descriptor(const struct region *region, uint32_t role)
{
	return role == WIRE_ROLE_WRITER ? region_fd(region) : region_fd_readonly(region);
}

static int send_welcome(struct broker *b, struct session *s, const struct session_descriptors *fds)
{
	struct region *cxl = b->store.tier[ABI_TIER_CXL].region;
	const struct abi_geometry *g = &s->geometry;
	struct wire_welcome message = {
		.session = s->id,
		.epoch = shared_u64_load(&b->plane.shared->epoch),
		.index_size = b->store.index.head->size,
		.dram_size = b->store.tier[ABI_TIER_DRAM].size,
		.cxl_size = b->store.tier[ABI_TIER_CXL].size,
		.cxl_off = cxl ? region_map_off(cxl) : 0,
		.cxl_align = cxl ? region_map_align(cxl) : 0,
		.role = s->role,
		.n_descriptors = cxl ? 5 : 4,
		.n_lanes = g->n_lanes,
		.n_queue = g->n_queue,
		.n_holds = g->n_holds,
		.n_log = g->n_log,
		.staging_size = g->staging_size,
		.line = (uint32_t)(s->directory - b->plane.shared->session),
	};
	int descriptors[] = {
		b->store.index.read_fd,
		fds->request,
		fds->response,
		tier_descriptor(b->store.tier[ABI_TIER_DRAM].region, s->role),
		cxl ? tier_descriptor(cxl, s->role) : -1,
	};

	return wire_send(s->socket.fd, WIRE_WELCOME, &message, sizeof(message), descriptors,
		message.n_descriptors);
}

/* The handshake's descriptor becomes the session's. */
static int watch_session(struct broker *b, struct session *s, struct handshake *h)
{
	int fd = h->watch.fd;

	epoll_ctl(b->epoll, EPOLL_CTL_DEL, fd, NULL);
	h->watch.fd = -1;
	return attach_watch_session(b, s, fd);
}

static void welcome(struct broker *b, struct handshake *h, enum wire_role role)
{
	struct session_descriptors fds;
	struct session *s;
	int r;

	if (b->drain.is_on) {
		refuse(b, h, WIRE_REFUSAL_STOPPING,
			"the broker is being drained: it takes no new sessions and stops when "
			"nothing is held any more");
		return;
	}
	r = session_new(&s, b->config, &fds);
	if (r) {
		refuse(b, h, WIRE_REFUSAL_RESOURCES, "the broker can't make a session: out of memory "
						     "or descriptors");
		return;
	}
	s->kept = fds;
	s->id = ++b->next_session;
	s->pid = h->peer.pid;
	s->uid = h->peer.uid;
	s->role = role;
	s->worker = &b->worker[s->id % b->n_workers];
	s->desk = &b->desk;
	s->tray = &s->worker->tray;
	if (!enlist(b, s)) {
		refuse(b, h, WIRE_REFUSAL_FULL, "the broker has as many sessions as [session] max allows");
		session_free(s);
	} else {
		r = watch_session(b, s, h);
		if (!r)
			r = send_welcome(b, s, &fds);
		store_count(own_counters(b), ABI_COUNTER_SESSIONS, 1);
		log_debug(b->log, "attach", LOG_U64("session", s->id), LOG_I64("pid", s->pid),
			LOG_U64("uid", s->uid), LOG_STR("role", config_role_name((int)role)));
		if (r)
			attach_end_session(b, s);
	}
}

static void hello(struct broker *b, struct handshake *h, const struct wire_hello *hello)
{
	enum wire_role role;
	const char *name;
	char why[128];

	if (hello->magic != ABI_MAGIC || hello->version != ABI_VERSION ||
		hello->fingerprint != abi_fingerprint()) {
		snprintf(why, sizeof(why), "the client library is of version %u, the broker of %u, or "
					   "they were built with another layout", hello->version,
			ABI_VERSION);
		refuse(b, h, WIRE_REFUSAL_VERSION, why);
		return;
	}
	role = (enum wire_role)config_role(b->config, h->peer.uid, h->peer.gid, geteuid());
	if (role == WIRE_ROLE_NONE || hello->role > role) {
		name = role == WIRE_ROLE_NONE ? "not attach" : config_role_name((int)role);
		snprintf(why, sizeof(why), "user %u may %s%s here, see [access] in the configuration",
			h->peer.uid, role == WIRE_ROLE_NONE ? "" : "be no more than ", name);
		refuse(b, h, WIRE_REFUSAL_ACCESS, why);
		return;
	}
	welcome(b, h, hello->role ? hello->role : role);
}

/* What it keeps is no handshake any more. */
static void control(struct broker *b, struct handshake *h, const struct wire_control *message)
{
	if (!control_run(b, h->watch.fd, &h->peer, message))
		return;
	epoll_ctl(b->epoll, EPOLL_CTL_DEL, h->watch.fd, NULL);
	h->watch.fd = -1;
}

static void handshake_ready(struct watch *watch, uint32_t events)
{
	struct handshake *h = (struct handshake *)watch;
	struct broker *b = watch->owner;
	int descriptors[WIRE_DESCRIPTORS_MAX], r;
	union wire_message message;
	size_t n;

	(void)events;
	r = wire_receive(watch->fd, &message, descriptors, &n);
	if (r == -EAGAIN)
		return;
	while (n)
		close(descriptors[--n]);
	if (!r && message.head.type == WIRE_HELLO)
		hello(b, h, &message.hello);
	else if (!r && message.head.type == WIRE_CONTROL)
		control(b, h, &message.control);
	else if (!r || r == -EBADMSG)
		refuse(b, h, WIRE_REFUSAL_VERSION, "that was no hello of this protocol");
	else if (r != -EPIPE)
		refuse(b, h, WIRE_REFUSAL_RESOURCES, "the broker can't read: out of memory");
	handshake_free(b, h);
}

/* --- accept ----------------------------------------------------------------------------------- */

/*
 * No descriptor left: take the client in with the spare one, and close it, so that it is told.
 * False when not even that could be done.
 */
static bool turn_away(struct broker *b)
{
	int fd;

	if (b->attach.spare_fd < 0)
		return false;
	close(b->attach.spare_fd);
	fd = accept4(b->attach.listener.fd, NULL, NULL, SOCK_CLOEXEC);
	if (fd >= 0)
		close(fd);
	b->attach.spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	store_count(own_counters(b), ABI_COUNTER_SESSIONS_REFUSED, 1);
	shared_u64_add(&own_counters(b)->refusal[WIRE_REFUSAL_RESOURCES], 1);
	log_warning(b->log, "attach-refused", LOG_STR("why", "out of descriptors"));
	return fd >= 0;
}

/*
 * Who waits at the door keeps the listener readable. Where he can't be taken in, the machine being
 * out of files or memory, we would go in circles over him: better not to look until the next tick.
 */
static void accept_failed(struct broker *b, int error)
{
	bool is_over = error == EAGAIN || error == EINTR || error == ECONNABORTED;

	if (error == EMFILE || error == ENFILE)
		is_over = turn_away(b);
	if (is_over)
		return;
	epoll_ctl(b->epoll, EPOLL_CTL_DEL, b->attach.listener.fd, NULL);
	b->attach.is_deaf = true;
}

static void listener_ready(struct watch *watch, uint32_t events)
{
	struct broker *b = watch->owner;
	socklen_t size = sizeof(struct ucred);
	struct handshake *h;
	int fd;

	(void)events;
	fd = accept4(watch->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0) {
		accept_failed(b, errno);
		return;
	}
	h = calloc(1, sizeof(*h));
	if (!h || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &h->peer, &size) < 0) {
		free(h);
		close(fd);
		return;
	}
	if (b->attach.n_handshakes >= b->config->session.handshakes)
		handshake_free(b, b->attach.oldest);
	h->watch.fd = fd;
	h->watch.ready = handshake_ready;
	h->watch.owner = b;
	h->deadline_ms = store_now_ms() + b->config->session.hello_timeout_ns / 1000000;
	h->link = b->attach.newest;
	*h->link = h;
	b->attach.newest = &h->next;
	b->attach.n_handshakes++;
	if (watch_add(b->epoll, &h->watch, EPOLLIN)) {
		handshake_free(b, h);
		return;
	}
	/* An honest client's hello is there already, or as good as. */
	handshake_ready(&h->watch, 0);
}

void attach_expire(struct broker *b, uint64_t now_ms)
{
	while (b->attach.oldest && b->attach.oldest->deadline_ms <= now_ms)
		handshake_free(b, b->attach.oldest);
	if (b->attach.is_deaf && !watch_add(b->epoll, &b->attach.listener, EPOLLIN))
		b->attach.is_deaf = false;
}

/*
 * Make way for our socket. We have the lock on the name, so a socket beside our plane is a dead
 * broker's; a configured path may also be that of a broker of another name, which would answer.
 * What is no socket is not ours to remove.
 */
static int clear_path(const struct sockaddr_un *address, char *why, size_t why_size)
{
	struct stat st;
	bool is_dead;
	int fd;

	if (lstat(address->sun_path, &st))
		return 0;
	if (!S_ISSOCK(st.st_mode)) {
		snprintf(why, why_size, "%s is there and no socket: remove it, or choose another "
					"[cache] socket", address->sun_path);
		return -EEXIST;
	}
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	is_dead = connect(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 &&
		errno == ECONNREFUSED;
	close(fd);
	if (!is_dead) {
		snprintf(why, why_size, "another process has %s: choose another [cache] socket",
			address->sun_path);
		return -EADDRINUSE;
	}
	unlink(address->sun_path);
	return 0;
}

int attach_open(struct broker *b, const char *path, char *why, size_t why_size)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct attach *a = &b->attach;
	int r;

	a->oldest = NULL;
	a->newest = &a->oldest;
	a->n_handshakes = 0;
	a->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	a->listener.ready = listener_ready;
	a->listener.owner = b;
	a->listener.fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	/* Accepted connections inherit it: see session_lane_open(). */
	(void)setsockopt(a->listener.fd, SOL_SOCKET, SO_PASSRIGHTS, &(int){0}, sizeof(int));
	why[0] = '\0';
	r = a->listener.fd < 0 ? -errno : clear_path(&address, why, why_size);
	if (!r && !bind(a->listener.fd, (struct sockaddr *)&address, sizeof(address))) {
		if (!chmod(path, 0666) && !listen(a->listener.fd, 512) &&
			!watch_add(b->epoll, &a->listener, EPOLLIN))
			return 0;
		r = -errno;
		unlink(path);
	} else if (!r) {
		r = -errno;
	}
	if (!why[0])
		snprintf(why, why_size, "can't listen on %s: %s", path, strerror(-r));
	watch_close(b->epoll, &a->listener);
	attach_close(b, path);
	return r;
}

void attach_close(struct broker *b, const char *path)
{
	while (b->attach.oldest)
		handshake_free(b, b->attach.oldest);
	if (b->attach.listener.fd >= 0)
		unlink(path);
	watch_close(b->epoll, &b->attach.listener);
	if (b->attach.spare_fd >= 0)
		close(b->attach.spare_fd);
	b->attach.spare_fd = -1;
}
