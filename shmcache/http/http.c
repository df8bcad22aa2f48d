/* SPDX-License-Identifier: Apache-2.0 */
/* http.c: metrics and the live page over HTTP. */
#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <urcu.h>

#include "shmcache/http/http.h"
#include "shmcache/http/status.h"
#include "shmcache/metrics.h"
#include "shmcache/page.h"

/*
 * One thread, and no lock of the broker's: it reads the plane, and the index in liburcu sections.
 * So the worst that a client of this port can do is to keep the others of this port waiting. How
 * many there may be, how much memory one costs, and how long one may be silent is limited; what is
 * answered is made before it is sent, so a client that reads slowly holds nothing but its own copy.
 *
 * libmicrohttpd has threads of its own, but a thread that reads the index must be known to liburcu.
 * So it runs on ours, with its epoll set beside the bell that ends us.
 */
#define CONNECTIONS_MAX 32
#define CONNECTION_MEMORY (32U << 10)
#define SILENCE_MAX 10 /* seconds */

struct http {
	struct MHD_Daemon *daemon;
	struct http_source source;
	struct lookup index;
	pthread_t thread;
	int bell; /* eventfd: the end */
	char path[108]; /* of a Unix socket, or empty */
	bool is_loopback;
};

/* --- answers ---------------------------------------------------------------------------------- */

static void write_metrics(FILE *out, const struct http *http)
{
	metrics_write(out, http->source.plane);
	if (http->source.write_more)
		http->source.write_more(http->source.context, out);
}

static void write_status(FILE *out, const struct http *http)
{
	status_write(out, http->source.plane);
	if (http->source.write_status)
		http->source.write_status(http->source.context, out);
	fputs("}\n", out);
}

static void write_map(FILE *out, const struct http *http)
{
	status_write_map(out, http->source.plane, &http->index);
}

static const struct page {
	const char *path, *type;
	void (*write)(FILE *out, const struct http *http);
} pages[] = {
	{"/metrics", "text/plain; version=0.0.4; charset=utf-8", write_metrics},
	{"/status.json", "application/json", write_status},
	{"/map.json", "application/json", write_map},
};

static enum MHD_Result send_response(struct MHD_Connection *connection, unsigned status,
	const char *type, struct MHD_Response *response)
{
	enum MHD_Result r;

	if (!response)
		return MHD_NO;
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
	MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
	MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
	MHD_add_response_header(response, "Content-Security-Policy",
		"default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
		"connect-src 'self'; img-src data:; frame-ancestors 'none'");
	r = MHD_queue_response(connection, status, response);
	MHD_destroy_response(response);
	return r;
}

static enum MHD_Result send_text(
	struct MHD_Connection *connection, unsigned status, const char *text)
{
	return send_response(connection, status, "text/plain; charset=utf-8",
		MHD_create_response_from_buffer(strlen(text), (void *)text, MHD_RESPMEM_MUST_COPY));
}

static enum MHD_Result send_page(
	struct http *http, struct MHD_Connection *connection, const struct page *page)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return MHD_NO;
	page->write(out, http);
	if (fclose(out)) {
		free(text);
		return MHD_NO;
	}
	return send_response(connection, MHD_HTTP_OK, page->type,
		MHD_create_response_from_buffer(size, text, MHD_RESPMEM_MUST_FREE));
}

/*
 * A page from elsewhere may not read what we answer, unless its own name leads here: whoever owns a
 * name can have it stand for 127.0.0.1, after the page is loaded. The browser then says that name,
 * which is none of those that this host has for itself. Other addresses than the loopback have
 * names that we don't know; HTTP/1.0 may come without one, and then from no browser.
 */
static bool is_local_name(const char *host)
{
	char name[INET6_ADDRSTRLEN + 2];
	struct in6_addr address;
	size_t n;

	host += *host == '[';
	n = strcspn(host, "]:");
	/* An address of the longer kind has colons of its own. */
	if (strchr(host, ']'))
		n = strcspn(host, "]");
	if (!n || n >= sizeof(name))
		return false;
	memcpy(name, host, n);
	name[n] = '\0';
	return !strcasecmp(name, "localhost") || inet_pton(AF_INET, name, &address) == 1 ||
		inet_pton(AF_INET6, name, &address) == 1;
}

static enum MHD_Result send_health(struct http *http, struct MHD_Connection *connection)
{
	const char *wrong = http->source.health(http->source.context);

	return wrong ? send_text(connection, MHD_HTTP_SERVICE_UNAVAILABLE, wrong)
		     : send_text(connection, MHD_HTTP_OK, "ok\n");
}

static enum MHD_Result answer(void *context, struct MHD_Connection *connection, const char *url,
	const char *method, const char *version, const char *upload, size_t *upload_size,
	void **state)
{
	struct http *http = context;
	const char *host;
	size_t i;

	(void)version;
	(void)upload;
	(void)state;
	host = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_HOST);
	if (http->is_loopback && host && !is_local_name(host))
		return send_text(connection, MHD_HTTP_FORBIDDEN,
			"on the loopback this answers to localhost and to addresses alone\n");
	if (strcmp(method, MHD_HTTP_METHOD_GET) && strcmp(method, MHD_HTTP_METHOD_HEAD))
		return send_text(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET and HEAD\n");
	/* Nobody uploads anything here. */
	if (*upload_size)
		return MHD_NO;
	if (!strcmp(url, "/"))
		return send_response(connection, MHD_HTTP_OK, "text/html; charset=utf-8",
			MHD_create_response_from_buffer(sizeof(page_html), (void *)page_html,
				MHD_RESPMEM_PERSISTENT));
	if (!strcmp(url, "/healthz"))
		return send_health(http, connection);
	for (i = 0; i < sizeof(pages) / sizeof(pages[0]); i++)
		if (!strcmp(url, pages[i].path))
			return send_page(http, connection, &pages[i]);
	return send_text(connection, MHD_HTTP_NOT_FOUND,
		"there are: / /metrics /healthz /status.json /map.json\n");
}

/* --- the socket ------------------------------------------------------------------------------- */

union address {
	struct sockaddr any;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
	struct sockaddr_un un;
};

/*
 * "PORT" (of the loopback), "A.B.C.D:PORT", "[ADDRESS]:PORT", "/PATH". Checked by the
 * configuration.
 */
static socklen_t parse(const char *listen, union address *a)
{
	const char *colon = strrchr(listen, ':'), *host = listen;
	uint16_t port = htons((uint16_t)atoi(colon ? colon + 1 : listen));
	char text[INET6_ADDRSTRLEN + 2] = "127.0.0.1";

	memset(a, 0, sizeof(*a));
	if (listen[0] == '/') {
		a->un.sun_family = AF_UNIX;
		snprintf(a->un.sun_path, sizeof(a->un.sun_path), "%s", listen);
		return sizeof(a->un);
	}
	if (colon) {
		host += listen[0] == '[';
		snprintf(text, sizeof(text), "%.*s", (int)(colon - host - (listen[0] == '[')), host);
	}
	if (inet_pton(AF_INET, text, &a->in.sin_addr) == 1) {
		a->in.sin_family = AF_INET;
		a->in.sin_port = port;
		return sizeof(a->in);
	}
	if (inet_pton(AF_INET6, text, &a->in6.sin6_addr) == 1) {
		a->in6.sin6_family = AF_INET6;
		a->in6.sin6_port = port;
		return sizeof(a->in6);
	}
	return 0;
}

static bool is_loopback(const union address *a)
{
	return (a->any.sa_family == AF_INET && ntohl(a->in.sin_addr.s_addr) >> 24 == 127) ||
		(a->any.sa_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&a->in6.sin6_addr));
}

/* A socket file that nobody answers on is one that was left behind. */
static void clear_path(const union address *a, socklen_t size)
{
	struct stat st;
	int fd;

	if (a->any.sa_family != AF_UNIX || lstat(a->un.sun_path, &st) || !S_ISSOCK(st.st_mode))
		return;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return;
	if (connect(fd, &a->any, size) < 0 && errno == ECONNREFUSED)
		unlink(a->un.sun_path);
	close(fd);
}

static int open_socket(struct http *http, const char *listen_on)
{
	union address a;
	socklen_t size = parse(listen_on, &a);
	int fd, r;

	if (!size)
		return -EINVAL;
	clear_path(&a, size);
	fd = socket(a.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
	if (bind(fd, &a.any, size) || listen(fd, CONNECTIONS_MAX)) {
		r = -errno;
		close(fd);
		return r;
	}
	http->is_loopback = is_loopback(&a);
	if (a.any.sa_family == AF_UNIX)
		snprintf(http->path, sizeof(http->path), "%s", listen_on);
	return fd;
}

/* --- the thread ------------------------------------------------------------------------------- */

static int timeout_of(struct MHD_Daemon *daemon)
{
	MHD_UNSIGNED_LONG_LONG ms;

	if (MHD_get_timeout(daemon, &ms) != MHD_YES)
		return -1;
	return ms > 60000 ? 60000 : (int)ms;
}

static unsigned n_connections(struct MHD_Daemon *daemon)
{
	return MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_CURRENT_CONNECTIONS)->num_connections;
}

/*
 * At its limit of connections libmicrohttpd takes the listening socket out of the epoll set, and
 * puts it back at the beginning of the run after the one that cleaned a connection up. So there has
 * to be one.
 */
static void run(struct MHD_Daemon *daemon)
{
	unsigned before;

	do {
		before = n_connections(daemon);
		MHD_run(daemon);
	} while (n_connections(daemon) < before);
}

static void *http_main(void *argument)
{
	struct http *http = argument;
	int epoll = MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
	struct pollfd fds[] = {{.fd = http->bell, .events = POLLIN}, {.fd = epoll, .events = POLLIN}};

	rcu_register_thread();
	do {
		run(http->daemon);
		/* Not a reader while it waits: nobody's grace period is ours to prolong. */
	} while (poll(fds, 2, timeout_of(http->daemon)) >= 0 && !fds[0].revents);
	rcu_unregister_thread();
	return NULL;
}

static int start_thread(struct http *http)
{
	sigset_t all, before;
	int r;

	/* The control thread's signals are its own. */
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &before);
	r = -pthread_create(&http->thread, NULL, http_main, http);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (!r)
		pthread_setname_np(http->thread, "http");
	return r;
}

static void http_free(struct http *http)
{
	if (http->daemon)
		MHD_stop_daemon(http->daemon);
	if (http->bell >= 0)
		close(http->bell);
	if (http->path[0])
		unlink(http->path);
	free(http);
}

int http_start(struct http **out, const char *listen, const struct http_source *source, char *why,
	size_t why_size)
{
	struct http *http = calloc(1, sizeof(*http));
	int fd = -1, r = -ENOMEM;

	if (!http)
		goto fail;
	http->source = *source;
	lookup_init(&http->index, source->index);
	http->bell = eventfd(0, EFD_CLOEXEC);
	r = fd = http->bell < 0 ? -errno : open_socket(http, listen);
	if (fd < 0)
		goto fail;
	http->daemon = MHD_start_daemon(MHD_USE_EPOLL, 0, NULL, NULL, answer, http,
		MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS_MAX,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY,
		MHD_OPTION_CONNECTION_TIMEOUT, SILENCE_MAX, MHD_OPTION_END);
	if (!http->daemon) {
		close(fd);
		r = -ENOMEM;
		goto fail;
	}
	r = start_thread(http);
	if (r)
		goto fail;
	*out = http;
	return 0;
fail:
	snprintf(why, why_size, "can't serve metrics on %s: %s", listen, strerror(-r));
	if (http)
		http_free(http);
	return r;
}

void http_stop(struct http *http)
{
	if (!http)
		return;
	(void)!write(http->bell, &(uint64_t){1}, 8);
	pthread_join(http->thread, NULL);
	http_free(http);
}
