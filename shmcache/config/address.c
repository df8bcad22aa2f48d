/* SPDX-License-Identifier: Apache-2.0 */
/*
 * address.c: where other brokers are, as the configuration says it.
 *
 * No names of hosts: what they mean may change, and a broker does not wait for a resolver. A list
 * is kept as text, checked once and without its blanks, so that it is printed as it is kept; who
 * needs its parts takes them apart by the same functions that have checked it.
 */
#include "shmcache/config/keys.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

/* 0 for what is no port. */
static unsigned parse_port(const char *text)
{
	size_t n = strspn(text, "0123456789");
	int port = n && n <= 5 && !text[n] ? atoi(text) : 0;

	return port > 65535 ? 0 : (unsigned)port;
}

static bool parse_host(const char *host, size_t len, uint16_t port, struct sockaddr_storage *to)
{
	bool is_ip6 = len > 1 && host[0] == '[' && host[len - 1] == ']';
	struct sockaddr_in ip4 = {.sin_family = AF_INET, .sin_port = htons(port)};
	struct sockaddr_in6 ip6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
	char text[INET6_ADDRSTRLEN];

	host += is_ip6;
	len -= is_ip6 ? 2 : 0;
	if (len >= sizeof(text))
		return false;
	memcpy(text, host, len);
	text[len] = '\0';
	memset(to, 0, sizeof(*to));
	if (is_ip6) {
		if (inet_pton(AF_INET6, text, &ip6.sin6_addr) != 1)
			return false;
		memcpy(to, &ip6, sizeof(ip6));
		return true;
	}
	if (inet_pton(AF_INET, text, &ip4.sin_addr) != 1)
		return false;
	memcpy(to, &ip4, sizeof(ip4));
	return true;
}

static const char *parse_endpoint(const char *text, struct sockaddr_storage *to)
{
	const char *colon = strrchr(text, ':');
	unsigned port = parse_port(colon ? colon + 1 : text);

	if (!port)
		return "has no port from 1 to 65535";
	if (!colon)
		return parse_host("127.0.0.1", 9, (uint16_t)port, to) ? NULL : "is wrong";
	if (!parse_host(text, (size_t)(colon - text), (uint16_t)port, to))
		return "has no numeric address before the port";
	return NULL;
}

const char *endpoint_check(const char *text)
{
	struct sockaddr_storage address;

	return parse_endpoint(text, &address);
}

int config_endpoint(const char *text, struct sockaddr_storage *address, socklen_t *len)
{
	if (parse_endpoint(text, address))
		return -EINVAL;
	if (len)
		*len = address->ss_family == AF_INET ? sizeof(struct sockaddr_in)
						     : sizeof(struct sockaddr_in6);
	return 0;
}

bool config_is_loopback(const struct sockaddr_storage *address)
{
	struct sockaddr_in6 ip6;
	struct sockaddr_in ip4;

	if (address->ss_family == AF_INET) {
		memcpy(&ip4, address, sizeof(ip4));
		return ntohl(ip4.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
	}
	memcpy(&ip6, address, sizeof(ip6));
	return address->ss_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&ip6.sin6_addr);
}

/* The list without its blanks. False: one stands where it would part what is one word. */
static bool squeeze(const char *text, char *list)
{
	char *to = list;

	for (; *text; text++) {
		if (*text != ' ' && *text != '\t')
			*to++ = *text;
		else if (to != list && to[-1] != ',' && text[1] && !strchr(" \t,", text[1]))
			return false;
	}
	*to = '\0';
	return true;
}

/* Copies the part of @list up to the comma and moves *@list behind that. False: it is too long. */
static bool take_part(const char **list, char *part, size_t size)
{
	size_t n = strcspn(*list, ",");

	if (n >= size)
		return false;
	memcpy(part, *list, n);
	part[n] = '\0';
	*list += n + ((*list)[n] == ',');
	return true;
}

static const char *check_member(const char *part, struct config_member *m)
{
	const char *equals = strchr(part, '=');
	size_t n = equals ? (size_t)(equals - part) : 0;

	if (!equals)
		return "has a member without a name; write NAME=ADDRESS:PORT";
	if (n == 0 || n > CONFIG_NAME_MAX ||
			strspn(part, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") != n)
		return "has a member whose name is none";
	memcpy(m->name, part, n);
	m->name[n] = '\0';
	if (strlen(equals + 1) > CONFIG_PATH_MAX || !strchr(equals + 1, ':') ||
			endpoint_check(equals + 1))
		return "has a member without a numeric address and a port";
	strcpy(m->endpoint, equals + 1);
	return NULL;
}

bool config_member_next(const char **at, struct config_member *member)
{
	char part[CONFIG_LIST_MAX + 1];

	return **at && take_part(at, part, sizeof(part)) && !check_member(part, member);
}

/* Is one of the members before @end called so? */
static bool is_named(const char *list, const char *end, const char *name)
{
	struct config_member m;

	while (list < end && config_member_next(&list, &m))
		if (!strcmp(m.name, name))
			return true;
	return false;
}

static bool has_empty_part(const char *list)
{
	size_t len = strlen(list);

	return len && (list[0] == ',' || list[len - 1] == ',' || strstr(list, ",,"));
}

const char *members_parse(const char *text, char *field)
{
	char part[CONFIG_LIST_MAX + 1];
	struct config_member m;
	const char *wrong;

	if (!squeeze(text, field))
		return "has a blank where a comma or nothing belongs";
	if (has_empty_part(field))
		return "has a comma without a member";
	for (const char *at = field, *begin = at; *at; begin = at) {
		take_part(&at, part, sizeof(part));
		wrong = check_member(part, &m);
		if (wrong)
			return wrong;
		if (is_named(field, begin, m.name))
			return "has two members of one name";
	}
	return NULL;
}

static bool is_url(const char *part)
{
	size_t n = strncmp(part, "http://", 7) == 0 ? 7 : strncmp(part, "https://", 8) == 0 ? 8 : 0;

	if (!n || !part[n] || part[n] == '/')
		return false;
	for (; *part; part++)
		if ((unsigned char)*part <= ' ' || (unsigned char)*part >= 0x7f || strchr("\"\\;", *part))
			return false;
	return true;
}

const char *urls_parse(const char *text, char *field)
{
	char part[CONFIG_LIST_MAX + 1];

	if (!squeeze(text, field))
		return "has a blank where a comma or nothing belongs";
	if (has_empty_part(field))
		return "has a comma without a URL";
	for (const char *at = field; *at;) {
		take_part(&at, part, sizeof(part));
		if (!is_url(part))
			return "has a part that is no http:// or https:// URL";
	}
	return NULL;
}
