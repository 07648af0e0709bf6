/* A recursion of 4 MB that asks for a block at each level. */
#include <stdlib.h>

static int deeper(int levels) {
    volatile char page[4000];
    page[0] = 1;
    free(malloc(10));
    return (levels > 1 ? deeper(levels - 1) : 0) + page[0];
}

int main(void) {
    return deeper(1000) != 1000;
}
