/* SPDX-License-Identifier: Apache-2.0 */
/* strerror.c: a sentence for each result. */
#include <errno.h>
#include <string.h>

#include "clients/shmcache.h"

/*
 * Results that this library gives a meaning of its own are told in its own words; strerror() would
 * say "No child processes" of a handle that crossed a fork.
 */
static const char *outcome_text(int result)
{
	switch (result) {
	case 0:
		return "success";
	case SHMC_MISS:
		return "no such entry";
	case SHMC_EXISTS:
		return "the entry exists already";
	case SHMC_NOSPACE:
		return "no space: all that could make room is held, pinned or reserved";
	case SHMC_QUOTA:
		return "the session's quota of holds, pins, reservations or lanes is used up";
	case SHMC_GONE:
		return "the reservation or pin is gone";
	case SHMC_FAILED:
		return "the broker could not do what was asked of it";
	default:
		return "unknown result";
	}
}

static const char *error_text(int error)
{
	switch (error) {
	case EINVAL:
		return "invalid argument: a name, a key, a size or an option";
	case ENOENT:
		return "no cache of that name";
	case ECONNREFUSED:
		return "no broker serves this cache";
	case ENOTCONN:
		return "the broker is gone";
	case EPROTONOSUPPORT:
		return "the broker is of another version";
	case EACCES:
		return "the broker's configuration does not allow it";
	case ETIMEDOUT:
		return "no answer in time";
	case EUSERS:
		return "the broker has as many sessions as it may";
	case EFBIG:
		return "the value is larger than the limit or the tier";
	case ENOSPC:
		return "the buffer is too small for the value";
	case ECHILD:
		return "the handle is of the parent process: attach anew after a fork";
	case EIO:
		return "the memory of the tier is damaged";
	case EBADMSG:
		return "the broker sent nonsense";
	default:
		break;
	}
	return strerrordesc_np(error);
}

const char *shmc_strerror(int result)
{
	const char *text;

	/* INT_MIN has no negation and is no result */
	if (result >= 0 || result < -4095)
		return outcome_text(result);
	text = error_text(-result);
	return text ? text : "unknown error";
}
