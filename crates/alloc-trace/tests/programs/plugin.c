/* A library whose one function is called as NAME says. */
#include <stdlib.h>

__attribute__((noinline)) void *NAME(void) {
    void *block = malloc(123);
    __asm__ volatile("" ::"r"(block));
    return block;
}

void *entry(void) {
    void *block = NAME();
    __asm__ volatile("" ::"r"(block));
    return block;
}
