/* Included before every source that clang-tidy looks at, and by nothing else: tells it what it can't see from one source
 * alone, that error_set returns the status it was given.  Without that it follows paths on which a failure is a success. */
#include "engine/base.h"

#define error_set(error, status, ...) ((void)(error_set)(error, status, __VA_ARGS__), (status))
