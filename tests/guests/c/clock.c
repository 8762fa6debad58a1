/* Tells both clocks, sleeps, and tells how long that took by the monotonic one. */
#include "common.h"

int main(int argc, char **argv)
{
    long sleep_ms = atol(argument(argc, argv, 1, "100"));
    struct timespec real, resolution;
    clock_gettime(CLOCK_REALTIME, &real);
    clock_getres(CLOCK_MONOTONIC, &resolution);
    uint64_t start = now_ns();
    printf("realtime %lld.%09ld\nmonotonic %llu\nresolution %ld\n", real.tv_sec, real.tv_nsec,
           (unsigned long long)start, resolution.tv_nsec);
    struct timespec pause = {.tv_sec = sleep_ms / 1000, .tv_nsec = sleep_ms % 1000 * 1000000};
    int error = clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
    if (error)
        die("clock_nanosleep", error);
    uint64_t slept = now_ns() - start;
    printf("slept %llu ns\n", (unsigned long long)slept);
    return slept >= (uint64_t)sleep_ms * 1000000 ? 0 : 1;
}
