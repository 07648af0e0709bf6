/* Calls itself something that a terminal would obey, and that ends lines. */
#include <stdlib.h>
#include <sys/prctl.h>

int main(void) {
    if (prctl(PR_SET_NAME, "a\033[31m\nb")) return 3;
    free(malloc(100));
}
