/* Mappings and the heap's end, moved by the program itself. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int main(void) {
    char *pages = mmap(0, 10 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED) return 3;
    if (munmap(pages + 4096, 4096)) return 4;
    char *more = mremap(pages + 2 * 4096, 8 * 4096, 20 * 4096, MREMAP_MAYMOVE);
    if (more == MAP_FAILED) return 5;
    more[20 * 4096 - 1] = 1;
    errno = 0;
    if (mmap(0, 0, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED || errno != EINVAL) return 6;
    if (munmap(pages + 1, 4096) != -1) return 7;
    if (sbrk(8192) == (void *)-1 || sbrk(-4096) == (void *)-1) return 8;
    /* 1 page of `pages` and 20 of `more` are left. */
}
