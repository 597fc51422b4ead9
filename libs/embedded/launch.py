"""Becomes another program that ends when its supervisor does: DEATH_SIGNAL SUPERVISOR_PID UID:GID -- PROGRAM ARGS.

A file of its own, run by path with `python -I -S`, because the alternative (code between fork and exec in a process
with threads) can deadlock. Drops to the account first: a change of credentials forgets the death signal.
"""

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1
EXIT_CANNOT_EXECUTE = 126


def main(arguments: list[str]) -> int:
    """Drop privileges, ask the kernel for the death signal, and become the program."""
    death_signal, supervisor_pid, account = int(arguments[0]), int(arguments[1]), arguments[2]
    program = arguments[4:]
    if account != "-":
        uid, gid = (int(part) for part in account.split(":"))
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
        os.umask(0o077)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, death_signal, 0, 0, 0)
        if os.getppid() != supervisor_pid:  # it died before the signal was asked for
            return EXIT_CANNOT_EXECUTE
    try:
        os.execv(program[0], program)  # noqa: S606 - the supervisor chose the program; there is no shell to fool
    except OSError as error:
        sys.stderr.write(f"cannot execute {program[0]}: {error.strerror}\n")
    return EXIT_CANNOT_EXECUTE


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
