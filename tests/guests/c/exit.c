/* Says good-bye on both outputs, then ends with a code. */
#include "common.h"

int main(int argc, char **argv)
{
    printf("out\n");
    fprintf(stderr, "err\n");
    exit(atoi(argument(argc, argv, 1, "0")));
}
