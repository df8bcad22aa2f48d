/* SPDX-License-Identifier: Apache-2.0 */
/* header.cc: the public header is C++ too: it compiles there, and its functions link. */
#include "clients/shmcache.h"

#include <cerrno>
#include <cstdio>
#include <cstring>

#define EXPECT(condition)                                                                          \
	if (!(condition)) {                                                                        \
		std::fprintf(stderr, "line %d: %s\n", __LINE__, #condition);                       \
		return 1;                                                                          \
	}

static int visit(void *context, const struct shmc_entry *entry)
{
	*static_cast<size_t *>(context) += entry->value_size;
	return 0;
}

int main()
{
	char why[128] = "";
	struct shmc_attach_options options = {};
	struct shmc_request request = {};
	struct shmc *cache = nullptr;
	shmc_visit_fn *fn = visit;

	options.why = why;
	options.why_size = sizeof(why);
	options.role = SHMC_ROLE_READER;
	request.operation = SHMC_OP_PUT;
	request.options.tier = SHMC_TIER_DRAM;
	EXPECT(fn != nullptr);
	EXPECT(shmc_attach(&cache, "not a name", &options) == -EINVAL);
	EXPECT(std::strlen(why) > 0);
	EXPECT(cache == nullptr);
	EXPECT(shmc_execute(cache, &request, 1, -3) == -EINVAL);
	EXPECT(std::strlen(shmc_strerror(SHMC_NOSPACE)) > 0);
	shmc_detach(cache);
	return 0;
}
