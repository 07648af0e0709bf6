/* Runs on a stack of its own, like a coroutine, in the midst of memory of which the upper part then goes; and a register that walks take for a frame
   pointer still points there, as may be in code without frame pointers. The call that takes the memory away is one that no library sees. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define KIB 1024

void *volatile block;

void allocates(void) {
    block = malloc(100);
    free(block);
    __asm__ volatile("");
}

/* Calls `allocates` with that stack and that frame pointer. */
void on(char *stack, char *frame_pointer);
__asm__("on: push %rbp\n"
        "    push %rbx\n"
        "    mov %rsp, %rbx\n"
        "    mov %rdi, %rsp\n"
        "    mov %rsi, %rbp\n"
        "    call allocates\n"
        "    mov %rbx, %rsp\n"
        "    pop %rbx\n"
        "    pop %rbp\n"
        "    ret\n");

int main(void) {
    char *memory = mmap(0, 256 * KIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return 3;
    on(memory + 32 * KIB, 0);
    if (syscall(SYS_munmap, memory + 64 * KIB, 192 * KIB)) return 4;
    for (int i = 0; i < 3; i++) on(memory + 32 * KIB, memory + 128 * KIB);
}
