/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An etcd of a test's own.
 *
 * It is asked here by libcurl's simplest means, which wait, and not by what is tested. Its log lies
 * in the scratch directory beside its data.
 */
#include "tests/support/etcd.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { START_MS = 40000, ASK_MS = 20000 };

bool etcd_is_installed(void)
{
	return !system("command -v etcd >/dev/null 2>&1");
}

/* Nobody has it for now; 0: there is none. */
static unsigned free_port(const char *host)
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	socklen_t len = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	unsigned port = 0;

	if (inet_pton(AF_INET, host, &address.sin_addr) == 1 &&
		!bind(fd, (struct sockaddr *)&address, len) &&
		!getsockname(fd, (struct sockaddr *)&address, &len))
		port = ntohs(address.sin_port);
	if (fd >= 0)
		close(fd);
	return port;
}

int etcd_server_init(struct etcd_server *s, const char *host, const struct etcd_files *files)
{
	unsigned port = free_port(host), peer_port = free_port(host);

	memset(s, 0, sizeof(*s));
	if (!port || !peer_port)
		return -EADDRNOTAVAIL;
	if (files)
		s->files = *files;
	snprintf(s->url, sizeof(s->url), "http%s://%s:%u", files ? "s" : "", host, port);
	snprintf(s->peer_url, sizeof(s->peer_url), "http://%s:%u", host, peer_port);
	return scratch_make(&s->scratch, NULL);
}

static int launch(struct etcd_server *s, const char *data)
{
	char path[PATH_MAX], log[PATH_MAX], cluster[128];
	const char *argv[32] = {"etcd", "--data-dir", scratch_file(&s->scratch, data, path),
		"--listen-client-urls", s->url, "--advertise-client-urls", s->url,
		"--listen-peer-urls", s->peer_url, "--initial-advertise-peer-urls", s->peer_url,
		"--initial-cluster", cluster, "--auth-token-ttl", "3",
		"--bcrypt-cost", "4"};
	struct proc_options options = {.argv = argv, .cpu = PROC_CPU_ANY, .stdin_fd = -1,
		.stdout_fd = -1};
	unsigned n = 17;
	int r;

	snprintf(cluster, sizeof(cluster), "default=%s", s->peer_url);
	if (s->files.certificate) {
		argv[n++] = "--cert-file";
		argv[n++] = s->files.certificate;
		argv[n++] = "--key-file";
		argv[n++] = s->files.key;
		argv[n++] = "--trusted-ca-file";
		argv[n++] = s->files.ca;
		argv[n++] = "--client-cert-auth";
	}
	options.stderr_fd = open(scratch_file(&s->scratch, "log", log),
		O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	if (options.stderr_fd < 0)
		return -errno;
	r = proc_start(&s->proc, &options);
	close(options.stderr_fd);
	return r;
}

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* It answers, whatever it says, and is not still on the way to where it can do something. */
static bool is_serving(struct etcd_server *s)
{
	long status = etcd_server_ask(s, "/v3/kv/range", "{\"key\":\"AA==\"}", NULL);

	return status && status != 503;
}

int etcd_server_start(struct etcd_server *s, const char *data)
{
	uint64_t until_ms = now_ms() + START_MS;
	int r;

	/* A test that failed may have left it running. */
	(void)proc_stop(&s->proc);
	r = launch(s, data);
	while (!r && !is_serving(s)) {
		if (now_ms() > until_ms)
			return -ETIMEDOUT;
		usleep(50000);
		/* A connection that somebody made may have its port for a moment. */
		if (!proc_running(&s->proc)) {
			(void)proc_stop(&s->proc);
			r = launch(s, data);
		}
	}
	return r;
}

void etcd_server_kill(struct etcd_server *s)
{
	(void)kill(s->proc.pid, SIGKILL);
	(void)proc_wait(&s->proc);
}

void etcd_server_end(struct etcd_server *s)
{
	(void)proc_stop(&s->proc);
	if (s->scratch.path[0])
		scratch_remove(&s->scratch);
}

/* --- asking it -------------------------------------------------------------------------------- */

static size_t on_data(char *data, size_t one, size_t n, void *context)
{
	struct etcd_server *s = context;
	size_t used = strlen(s->answer), room = sizeof(s->answer) - 1 - used;

	n *= one;
	memcpy(s->answer + used, data, n < room ? n : room);
	return n;
}

long etcd_server_ask(struct etcd_server *s, const char *path, const char *body, const char *token)
{
	CURL *easy = curl_easy_init();
	struct curl_slist *headers = NULL;
	char whole[128], header[600];
	long status = 0;

	memset(s->answer, 0, sizeof(s->answer));
	snprintf(whole, sizeof(whole), "%s%s", s->url, path);
	if (token) {
		snprintf(header, sizeof(header), "Authorization: %s", token);
		headers = curl_slist_append(NULL, header);
	}
	curl_easy_setopt(easy, CURLOPT_URL, whole);
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");
	curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)ASK_MS);
	curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_data);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, s);
	if (s->files.ca) {
		curl_easy_setopt(easy, CURLOPT_CAINFO, s->files.ca);
		curl_easy_setopt(easy, CURLOPT_SSLCERT, s->files.certificate);
		curl_easy_setopt(easy, CURLOPT_SSLKEY, s->files.key);
	}
	if (!curl_easy_perform(easy))
		curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
	curl_slist_free_all(headers);
	curl_easy_cleanup(easy);
	return status;
}

/* base64, as all keys and values of the gateway are. */
static void encode(const char *text, char *out)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	size_t n = strlen(text), i;

	for (i = 0; i < n; i += 3) {
		unsigned group = (unsigned)(unsigned char)text[i] << 16 |
			(i + 1 < n ? (unsigned)(unsigned char)text[i + 1] << 8 : 0) |
			(i + 2 < n ? (unsigned)(unsigned char)text[i + 2] : 0);

		*out++ = digits[group >> 18];
		*out++ = digits[group >> 12 & 63];
		*out++ = i + 1 < n ? digits[group >> 6 & 63] : '=';
		*out++ = i + 2 < n ? digits[group & 63] : '=';
	}
	*out = '\0';
}

long etcd_server_put(struct etcd_server *s, const char *key, const char *value)
{
	char key64[256], value64[4096], body[4500];

	if (strlen(key) > 180 || (value && strlen(value) > 3000))
		return 0;
	encode(key, key64);
	encode(value ? value : "", value64);
	if (value)
		snprintf(body, sizeof(body), "{\"key\":\"%s\",\"value\":\"%s\"}", key64, value64);
	else
		snprintf(body, sizeof(body), "{\"key\":\"%s\"}", key64);
	return etcd_server_ask(s, value ? "/v3/kv/put" : "/v3/kv/deleterange", body, NULL);
}
