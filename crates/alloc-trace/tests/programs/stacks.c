/* Three functions deep. */
#include <stdlib.h>

__attribute__((noinline)) void *inner(void) {
    void *block = malloc(4321);
    __asm__ volatile("" ::"r"(block));
    return block;
}

__attribute__((noinline)) void *outer(void) {
    void *block = inner();
    __asm__ volatile("" ::"r"(block));
    return block;
}

int main(void) { return outer() == 0; }
