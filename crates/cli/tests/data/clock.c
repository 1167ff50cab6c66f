// The wall clock as it would be on a machine whose clock is set wrong; no other clock changes.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>

int clock_gettime(clockid_t clock, struct timespec *at) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int done = real(clock, at);
    const char *ahead = getenv("CLOCK_AHEAD_SECONDS");
    if (done == 0 && clock == CLOCK_REALTIME && ahead) at->tv_sec += atol(ahead);
    return done;
}
