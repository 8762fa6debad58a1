/* Answers compared with the ones that the ABI names; each that is another is printed. */
#ifndef EXPECT_H
#define EXPECT_H

#include <wasi/api.h>

#include "common.h"

static int failures;

static void check(int line, const char *call, int answer, int expected)
{
    if (answer == expected)
        return;
    printf("line %d: %s: %d (%s), not %d (%s)\n", line, call, answer, strerror(answer), expected, strerror(expected));
    failures++;
}

#define EXPECT(expected, call) check(__LINE__, #call, (call), expected)

/* Two numbers that must be the same. */
#define SAME(expected, value) compare(__LINE__, #value, (long long)(value), (long long)(expected))

static void compare(int line, const char *what, long long value, long long expected)
{
    if (value == expected)
        return;
    printf("line %d: %s is %lld, not %lld\n", line, what, value, expected);
    failures++;
}

/* Says how it went; the exit code. */
static int verdict(void)
{
    printf(failures ? "%d answers are wrong\n" : "every answer is as it should be\n", failures);
    return failures != 0;
}

#endif
