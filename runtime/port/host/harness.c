/* The host's port: the firmware is a process, and a socket from the harness takes the debugger's place. A byte to the harness
 * says that the firmware stands at emu_yield; a byte back lets the firmware go on. Inputs and outputs do not pass through the
 * socket: the harness reads and writes this process's memory. */
#define _POSIX_C_SOURCE 200809L

#include "mailbox.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#if !defined(__SANITIZE_ADDRESS__)
#error "compile firmware for the host with the flags of targets/host.toml, sanitizers included"
#endif

/* The harness's end of the socket, inherited. */
#define SOCKET_VARIABLE "EMU_HARNESS_SOCKET"

extern char end[]; /* from the linker: after the last variable */

int emu_harness_socket(void); /* the harness knows by this symbol that the port is there */

static void give_up(const char *why)
{
    printf("emu: %s\n", why);
    _exit(EXIT_FAILURE);
}

__attribute__((noinline)) int emu_harness_socket(void)
{
    const char *const number = getenv(SOCKET_VARIABLE);
    if (number == NULL) give_up("nothing drives this firmware: start it with `emu run`");
    return atoi(number);
}

__attribute__((constructor)) static void start(void)
{
    const char *const number = getenv(SOCKET_VARIABLE);
    char byte;
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* a killed harness ends this process, even if killed before this line */
    if (number != NULL && recv(atoi(number), &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0) _exit(EXIT_FAILURE);
    setvbuf(stdout, NULL, _IONBF, 0); /* else the text printed before a fault would be lost */
    stderr = stdout;                  /* only the sanitizers use file descriptor 2 */
    if ((uintptr_t)end > UINT32_MAX) give_up("the mailbox has addresses of 32 bits: link with -no-pie");
}

void emu_yield(void)
{
    const int harness = emu_harness_socket();
    char byte = 0;
    if (write(harness, &byte, 1) != 1 || read(harness, &byte, 1) != 1) _exit(EXIT_FAILURE); /* the harness is gone */
}
