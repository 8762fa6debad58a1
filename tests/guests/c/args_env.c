/* Prints its arguments and its environment. */
#include "common.h"

extern char **environ;

int main(int argc, char **argv)
{
    for (int i = 0; i < argc; i++)
        printf("argument %d: %s\n", i, argv[i]);
    for (char **entry = environ; entry && *entry; entry++)
        printf("environment: %s\n", *entry);
    return 0;
}
