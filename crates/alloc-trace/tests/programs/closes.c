/* Closes all files, as daemons do, and puts its own under the numbers. */
#include "log.h"
#include <fcntl.h>
#include <stdlib.h>

int main(int count, char **arguments) {
    if (count != 2) return 2;
    if (!malloc(5)) return 3;
    for (int file = 3; file < 1100; file++) close(file);
    for (int file = 3; file < 1000; file++)
        if (open(arguments[1], O_RDWR | O_CREAT, 0600) < 0) return 4;
    for (int block = 0; block < 50000; block++) if (!malloc(5)) return 3;
}
