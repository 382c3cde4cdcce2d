/* Preloaded into a process, this shows it another world: a wall clock that is years ahead, a monotonic clock that runs fifty
 * times as fast, so that what asks the real time finds that waits are over, and other random bytes. What is simulated must not notice (determinism.rs). */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <stddef.h>
#include <sys/types.h>
#include <time.h>

#define YEARS_AHEAD 9
#define TIMES_AS_FAST 50

int clock_gettime(clockid_t clock, struct timespec *time) {
    static int (*real)(clockid_t, struct timespec *);
    static time_t first;
    if (!real) {
        real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    }
    int result = real(clock, time);
    if (result != 0) {
        return result;
    }
    if (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE) {
        time->tv_sec += (time_t)YEARS_AHEAD * 365 * 24 * 3600;
    } else if (clock == CLOCK_MONOTONIC || clock == CLOCK_BOOTTIME) {
        if (first == 0) {
            first = time->tv_sec;
        }
        long long passed = (long long)(time->tv_sec - first) * 1000000000LL + time->tv_nsec;
        time->tv_sec = first + (time_t)(passed * TIMES_AS_FAST / 1000000000LL);
        time->tv_nsec = (long)(passed * TIMES_AS_FAST % 1000000000LL);
    }
    return result;
}

ssize_t getrandom(void *bytes, size_t length, unsigned int flags) {
    static unsigned long long state = 0x9e3779b97f4a7c15ULL;
    (void)flags;
    for (size_t at = 0; at < length; at++) {
        state = state * 6364136223846793005ULL + 1442695040888963407ULL;
        ((unsigned char *)bytes)[at] = (unsigned char)(state >> 56);
    }
    return (ssize_t)length;
}
