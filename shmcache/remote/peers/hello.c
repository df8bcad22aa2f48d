/* SPDX-License-Identifier: Apache-2.0 */
/* hello.c: greetings, hellos, welcomes and their tokens. */
#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "shmcache/remote/peers/hello.h"

/*
 * A token is HMAC-SHA256 over all of the hello but the token itself (a welcome's: over all of
 * the hello), with the secret of the control lane. It holds the nonce, so it is good for one
 * connection, and the number of the lane, so it is good for one lane.
 */
bool hello_refuse(struct hello_refusal *no, enum frame_refusal reason, const char *format, ...)
{
	va_list arguments;

	no->reason = reason;
	va_start(arguments, format);
	vsnprintf(no->sentence, sizeof(no->sentence), format, arguments);
	va_end(arguments);
	return false;
}

int hello_greet(struct frame_greet *greet)
{
	*greet = (struct frame_greet){.magic = FRAME_HELLO_MAGIC, .version = FRAME_VERSION};
	if (getrandom(greet->nonce, sizeof(greet->nonce), GRND_NONBLOCK) != sizeof(greet->nonce))
		return -EAGAIN;
	return 0;
}

bool hello_check_version(uint64_t magic, uint64_t raw_version, struct hello_refusal *no)
{
	if (magic != FRAME_HELLO_MAGIC)
		return hello_refuse(no, FRAME_REFUSE_PROTOCOL, "that is no shmcache broker");
	if (raw_version != FRAME_VERSION)
		return hello_refuse(no, FRAME_REFUSE_VERSION,
			"it speaks version %llu of the protocol, this broker version %u",
			(unsigned long long)raw_version, FRAME_VERSION);
	return true;
}

/* --- tokens ---------------------------------------------------------------------------------- */

static void make_token(uint8_t token[FRAME_TOKEN_SIZE], const char *purpose,
	const struct frame_hello *hello, const uint8_t *secret)
{
	uint8_t text[16 + sizeof(*hello)] = {0};
	unsigned size = FRAME_TOKEN_SIZE;

	memset(token, 0, FRAME_TOKEN_SIZE);
	if (!secret)
		return;
	memcpy(text, purpose, strnlen(purpose, 16));
	memcpy(text + 16, hello, sizeof(*hello));
	/* No algorithm to be had, or no memory: a token that nobody else makes, either. */
	if (!HMAC(EVP_sha256(), secret, FRAME_TOKEN_SIZE, text, sizeof(text), token, &size))
		(void)!getrandom(token, FRAME_TOKEN_SIZE, 0);
}

static void hello_token(
	uint8_t token[FRAME_TOKEN_SIZE], const struct frame_hello *hello, const uint8_t *secret)
{
	struct frame_hello bare = *hello;

	memset(bare.token, 0, sizeof(bare.token));
	make_token(token, "hello", &bare, secret);
}

bool hello_check_token(const struct frame_hello *hello, const uint8_t *secret)
{
	uint8_t token[FRAME_TOKEN_SIZE];

	hello_token(token, hello, secret);
	return !CRYPTO_memcmp(token, hello->token, sizeof(token));
}

/* --- hello ----------------------------------------------------------------------------------- */

void hello_make(struct frame_hello *hello, const struct hello_self *self, const char *to,
	const struct hello_lane *lane, const struct frame_greet *greet, const uint8_t *secret)
{
	memset(hello, 0, sizeof(*hello));
	hello->magic = FRAME_HELLO_MAGIC;
	hello->version = FRAME_VERSION;
	hello->is_data = lane->is_data;
	hello->lane = lane->lane;
	hello->n_lanes = lane->n_lanes;
	hello->incarnation = self->incarnation;
	hello->link = lane->link;
	hello->window = lane->window;
	memcpy(hello->nonce, greet->nonce, sizeof(hello->nonce));
	memcpy(hello->cluster, self->cluster, strnlen(self->cluster, FRAME_NAME_SIZE - 1));
	memcpy(hello->from, self->name, strnlen(self->name, FRAME_NAME_SIZE - 1));
	memcpy(hello->to, to, strnlen(to, FRAME_NAME_SIZE - 1));
	hello_token(hello->token, hello, secret);
}

static bool check_form(const struct frame_hello *raw, struct hello_refusal *no)
{
	if (raw->is_data > 1 || raw->reserved || !raw->n_lanes || raw->lane >= raw->n_lanes ||
		raw->window < FRAME_DATA_MAX)
		return hello_refuse(no, FRAME_REFUSE_PROTOCOL, "a hello that makes no sense");
	if (!frame_name_is_valid(raw->cluster) || !frame_name_is_valid(raw->from) ||
		!frame_name_is_valid(raw->to))
		return hello_refuse(no, FRAME_REFUSE_PROTOCOL, "a hello with a name that is none");
	return true;
}

bool hello_check(const struct frame_hello *raw, const struct hello_self *self,
	const struct frame_greet *greet, const char *peer, struct hello_refusal *no)
{
	if (!hello_check_version(raw->magic, raw->version, no) || !check_form(raw, no))
		return false;
	if (memcmp(raw->nonce, greet->nonce, sizeof(raw->nonce)))
		return hello_refuse(no, FRAME_REFUSE_REPLAY,
			"this hello answers another greeting: a replay");
	if (strcmp(raw->cluster, self->cluster))
		return hello_refuse(no, FRAME_REFUSE_CLUSTER,
			"%s is of the cluster %s, this broker is of %s", raw->from, raw->cluster,
			self->cluster);
	if (strcmp(raw->to, self->name))
		return hello_refuse(no, FRAME_REFUSE_NAME, "%s asks for %s, but this is %s",
			raw->from, raw->to, self->name);
	if (peer[0] && strcmp(peer, raw->from))
		return hello_refuse(no, FRAME_REFUSE_STRANGER,
			"it says that it is %s, its certificate says %s", raw->from, peer);
	if (!strcmp(raw->from, self->name))
		return hello_refuse(no, FRAME_REFUSE_NAME, "there are two members named %s",
			self->name);
	return true;
}

/* --- welcome --------------------------------------------------------------------------------- */

void hello_welcome(struct frame_welcome *welcome, const struct hello_self *self,
	const struct frame_hello *hello, const uint8_t *secret)
{
	*welcome = (struct frame_welcome){
		.incarnation = self->incarnation, .capacity = self->capacity};
	make_token(welcome->token, "welcome", hello, secret);
}

bool hello_check_welcome(const struct frame_welcome *raw, const struct frame_hello *hello,
	const uint8_t *secret)
{
	uint8_t token[FRAME_TOKEN_SIZE];

	make_token(token, "welcome", hello, secret);
	return !CRYPTO_memcmp(token, raw->token, sizeof(token));
}
