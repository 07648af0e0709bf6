/* Allows its files no more than 300 KiB, beyond which the kernel kills, and allocates on. */
#include <stdlib.h>
#include <sys/resource.h>

int main(void) {
    struct rlimit limit = {300 << 10, 300 << 10};
    if (setrlimit(RLIMIT_FSIZE, &limit)) return 3;
    unsigned long state = 1;
    for (int block = 0; block < 400000; block++) {
        state = state * 6364136223846793005 + 1442695040888963407;
        if (!malloc(state >> 52)) return 4;
    }
}
