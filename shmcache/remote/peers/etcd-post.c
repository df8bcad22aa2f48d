/* SPDX-License-Identifier: Apache-2.0 */
/* etcd-post.c: curl's multi interface behind one descriptor. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "shmcache/remote/peers/etcd-post.h"

/*
 * curl tells which sockets it wants watched, and when it wants to be called again; both go into an
 * epoll set of our own, with a timer, which itself is one descriptor in the thread's loop. So
 * neither knows the other.
 *
 * Nothing may be added to or taken out of the multi handle from within curl's callbacks. What comes
 * is only collected there; lines and ends are handed on after curl has returned.
 */
#define CONNECT_MS 1500L
#define EVENTS_MAX 16

uint64_t post_now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void set_timer(struct posts *h)
{
	uint64_t at = h->curl_ms < h->own_ms ? h->curl_ms : h->own_ms;
	struct itimerspec t = {0};

	/* All zero would switch it off. */
	if (at != UINT64_MAX) {
		t.it_value.tv_sec = (time_t)(at / 1000);
		t.it_value.tv_nsec = (long)(at % 1000) * 1000000 + 1;
	}
	(void)timerfd_settime(h->timer, TFD_TIMER_ABSTIME, &t, NULL);
}

static int on_timer(CURLM *multi, long ms, void *context)
{
	struct posts *h = context;

	(void)multi;
	h->curl_ms = ms < 0 ? UINT64_MAX : post_now_ms() + (uint64_t)ms;
	set_timer(h);
	return 0;
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *context, void *socket)
{
	struct epoll_event event = {.data.fd = fd};
	struct posts *h = context;

	(void)easy;
	(void)socket;
	if (what == CURL_POLL_REMOVE) {
		(void)epoll_ctl(h->epoll, EPOLL_CTL_DEL, fd, NULL);
		return 0;
	}
	event.events = (what & CURL_POLL_IN ? EPOLLIN : 0U) | (what & CURL_POLL_OUT ? EPOLLOUT : 0U);
	if (epoll_ctl(h->epoll, EPOLL_CTL_MOD, fd, &event) && errno == ENOENT)
		return epoll_ctl(h->epoll, EPOLL_CTL_ADD, fd, &event);
	return 0;
}

int posts_init(struct posts *h)
{
	struct epoll_event event = {.events = EPOLLIN};
	int r = -ENOMEM;

	*h = (struct posts){.curl_ms = UINT64_MAX, .own_ms = UINT64_MAX, .epoll = -1, .timer = -1};
	/* Counted, and safe beside other threads since 7.84. */
	if (curl_global_init(CURL_GLOBAL_DEFAULT))
		return -ENOMEM;
	h->has_curl = true;
	h->epoll = epoll_create1(EPOLL_CLOEXEC);
	h->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	event.data.fd = h->timer;
	if (h->epoll < 0 || h->timer < 0 ||
		epoll_ctl(h->epoll, EPOLL_CTL_ADD, h->timer, &event))
		r = -errno;
	else
		h->multi = curl_multi_init();
	if (!h->multi) {
		posts_deinit(h);
		return r;
	}
	curl_multi_setopt(h->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
	curl_multi_setopt(h->multi, CURLMOPT_SOCKETDATA, h);
	curl_multi_setopt(h->multi, CURLMOPT_TIMERFUNCTION, on_timer);
	curl_multi_setopt(h->multi, CURLMOPT_TIMERDATA, h);
	return 0;
}

void posts_deinit(struct posts *h)
{
	if (h->multi)
		curl_multi_cleanup(h->multi);
	if (h->has_curl)
		curl_global_cleanup();
	if (h->timer >= 0)
		close(h->timer);
	if (h->epoll >= 0)
		close(h->epoll);
	h->has_curl = false;
	h->multi = NULL;
	h->timer = h->epoll = -1;
}

void posts_wake_at(struct posts *h, uint64_t ms)
{
	h->own_ms = ms;
	set_timer(h);
}

/* --- requests --------------------------------------------------------------------------------- */

/* A short count has curl give up: an answer that has no end is none. */
static size_t on_data(char *data, size_t one, size_t n, void *context)
{
	struct post *r = context;
	size_t n_max = r->n_max ? r->n_max : 4096;
	char *grown;

	n *= one;
	if (n > POST_ANSWER_MAX - r->n)
		return 0;
	while (n_max < r->n + n + 1)
		n_max *= 2;
	if (n_max > r->n_max) {
		grown = realloc(r->data, n_max);
		if (!grown)
			return 0;
		r->data = grown;
		r->n_max = n_max;
	}
	memcpy(r->data + r->n, data, n);
	r->n += n;
	r->data[r->n] = '\0';
	return n;
}

static const char *file_or_null(const char *file)
{
	return file && file[0] ? file : NULL;
}

int post_init(struct post *r, struct posts *h, const struct post_files *files)
{
	r->posts = h;
	r->easy = curl_easy_init();
	if (!r->easy)
		return -ENOMEM;
	curl_easy_setopt(r->easy, CURLOPT_PRIVATE, r);
	curl_easy_setopt(r->easy, CURLOPT_WRITEFUNCTION, on_data);
	curl_easy_setopt(r->easy, CURLOPT_WRITEDATA, r);
	curl_easy_setopt(r->easy, CURLOPT_ERRORBUFFER, r->curl_error);
	curl_easy_setopt(r->easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(r->easy, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(r->easy, CURLOPT_NOPROXY, "*");
	curl_easy_setopt(r->easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(r->easy, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS);
	/*
	 * Else curl would wait for the thread that asks for an address, which may take half a
	 * minute.
	 */
	curl_easy_setopt(r->easy, CURLOPT_QUICK_EXIT, 1L);
	/* A stream may be silent for hours: only so is a host that is gone found out. */
	curl_easy_setopt(r->easy, CURLOPT_TCP_KEEPALIVE, 1L);
	curl_easy_setopt(r->easy, CURLOPT_TCP_KEEPIDLE, 5L);
	curl_easy_setopt(r->easy, CURLOPT_TCP_KEEPINTVL, 2L);
	if (file_or_null(files->ca))
		curl_easy_setopt(r->easy, CURLOPT_CAINFO, files->ca);
	curl_easy_setopt(r->easy, CURLOPT_SSLCERT, file_or_null(files->certificate));
	curl_easy_setopt(r->easy, CURLOPT_SSLKEY, file_or_null(files->key));
	return 0;
}

void post_deinit(struct post *r)
{
	post_stop(r);
	if (r->easy)
		curl_easy_cleanup(r->easy);
	free(r->data);
	r->easy = NULL;
	r->data = NULL;
}

/* What it was sent with. */
static void let_go(struct post *r)
{
	curl_slist_free_all(r->headers);
	free(r->body);
	r->headers = NULL;
	r->body = NULL;
}

static int add_header(struct post *r, const char *name, const char *value)
{
	char *text = malloc(strlen(name) + strlen(value) + 1);
	struct curl_slist *longer = NULL;

	if (text) {
		strcpy(text, name);
		strcat(text, value);
		longer = curl_slist_append(r->headers, text);
	}
	free(text);
	if (longer)
		r->headers = longer;
	return longer ? 0 : -ENOMEM;
}

int post_send(struct post *r, const char *url, const char *body, const char *token,
	long timeout_ms)
{
	int status;

	post_stop(r);
	r->n = 0;
	r->error[0] = r->curl_error[0] = '\0';
	r->is_untrusted = false;
	r->is_stream = !timeout_ms;
	r->body = strdup(body);
	status = r->body ? add_header(r, "Content-Type: ", "application/json") : -ENOMEM;
	/* curl would wait for a "100 Continue" with a long body. */
	if (!status)
		status = add_header(r, "Expect:", "");
	if (!status && token)
		status = add_header(r, "Authorization: ", token);
	if (status) {
		let_go(r);
		return status;
	}
	curl_easy_setopt(r->easy, CURLOPT_URL, url);
	curl_easy_setopt(r->easy, CURLOPT_HTTPHEADER, r->headers);
	curl_easy_setopt(r->easy, CURLOPT_POSTFIELDS, r->body);
	curl_easy_setopt(r->easy, CURLOPT_TIMEOUT_MS, timeout_ms);
	if (curl_multi_add_handle(r->posts->multi, r->easy)) {
		let_go(r);
		return -ENOMEM;
	}
	r->is_running = true;
	if (r->is_stream)
		r->posts->stream = r;
	return 0;
}

void post_stop(struct post *r)
{
	if (r->is_running)
		curl_multi_remove_handle(r->posts->multi, r->easy);
	r->is_running = false;
	if (r->posts && r->posts->stream == r)
		r->posts->stream = NULL;
	let_go(r);
}

/* The whole lines of what a stream has brought. */
static void hand_lines(struct post *r)
{
	char *end;
	size_t size;

	while (r->is_running && r->n && (end = memchr(r->data, '\n', r->n))) {
		char *line = r->data;

		*end = '\0';
		size = (size_t)(end - line) + 1;
		/* The line may stop the request; its bytes are there until the next. */
		r->line(r, line);
		if (!r->is_running)
			return;
		r->n -= size;
		memmove(r->data, r->data + size, r->n + 1);
	}
}

/*
 * A server that refuses our certificate says so in an alert, which with TLS 1.3 comes when the
 * handshake is over for us, and is followed by the end of the connection: it looks as if reading
 * had failed. What we have sent by then makes that end a reset, which may overtake the alert.
 */
static const char *refusal(struct post *r, CURLcode code, const char *text)
{
	curl_off_t handshake_us = 0;
	long n_connects = 0;

	if (code != CURLE_SSL_CONNECT_ERROR && code != CURLE_RECV_ERROR && code != CURLE_SEND_ERROR)
		return "";
	if (strstr(text, " alert "))
		return "it does not accept our certificate: ";
	if (code == CURLE_SSL_CONNECT_ERROR)
		return "no TLS with it (is its certificate of the CA that we have?): ";
	curl_easy_getinfo(r->easy, CURLINFO_APPCONNECT_TIME_T, &handshake_us);
	curl_easy_getinfo(r->easy, CURLINFO_NUM_CONNECTS, &n_connects);
	if (!handshake_us || !n_connects || r->n)
		return "";
	return "it hung up after the handshake (does it accept our certificate?): ";
}

/* Into @error: what is wrong, and at whose end. */
static void explain(struct post *r, CURLcode code)
{
	const char *text = r->curl_error[0] ? r->curl_error : curl_easy_strerror(code);
	const char *who;

	if (code == CURLE_PEER_FAILED_VERIFICATION)
		who = "its certificate is not accepted: ";
	else if (code == CURLE_SSL_CERTPROBLEM || code == CURLE_SSL_CACERT_BADFILE)
		who = "our own certificates are of no use: ";
	else
		who = refusal(r, code, text);
	r->is_untrusted = *who != '\0';
	snprintf(r->error, sizeof(r->error), "%s%s", who, text);
}

static void hand_end(struct post *r, CURLcode code)
{
	long status = 0;

	if (r->is_stream && r->is_running)
		hand_lines(r);
	if (!r->is_running)
		return;
	if (!code)
		curl_easy_getinfo(r->easy, CURLINFO_RESPONSE_CODE, &status);
	else
		explain(r, code);
	post_stop(r);
	r->done(r, status, r->n ? r->data : "");
}

static void hand_out(struct posts *h)
{
	struct post *r;
	CURLMsg *message;
	int n;

	while ((message = curl_multi_info_read(h->multi, &n))) {
		CURLcode code = message->data.result;

		if (message->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&r);
		hand_end(r, code);
	}
}

void posts_run(struct posts *h)
{
	struct epoll_event events[EVENTS_MAX];
	int n = epoll_wait(h->epoll, events, EVENTS_MAX, 0), running, i;
	uint64_t ticks;

	for (i = 0; i < n; i++) {
		int what = (events[i].events & EPOLLIN ? CURL_CSELECT_IN : 0) |
			(events[i].events & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
			(events[i].events & (EPOLLERR | EPOLLHUP) ? CURL_CSELECT_ERR : 0);

		if (events[i].data.fd != h->timer)
			curl_multi_socket_action(h->multi, events[i].data.fd, what, &running);
	}
	if (read(h->timer, &ticks, sizeof(ticks)) > 0 || h->curl_ms <= post_now_ms()) {
		if (h->curl_ms <= post_now_ms()) {
			h->curl_ms = UINT64_MAX;
			curl_multi_socket_action(h->multi, CURL_SOCKET_TIMEOUT, 0, &running);
		}
		set_timer(h);
	}
	if (h->stream)
		hand_lines(h->stream);
	hand_out(h);
}
