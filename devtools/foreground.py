"""`python devtools/foreground.py COMMAND...`: gives COMMAND the terminal's Ctrl-C to itself.

make ends with a signal once it has seen Ctrl-C, however well its recipe ended. A command in the
terminal's foreground group of its own gets the signal alone, and make returns its exit code.
"""

import os
import signal
import sys


def main() -> int:
    command = sys.argv[1:]
    terminal = _terminal_in_our_hands()
    if terminal is None:
        os.execvp(command[0], command)
    return _run_in_foreground(command, terminal)


def _terminal_in_our_hands() -> int | None:
    try:
        terminal = os.open("/dev/tty", os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return None
    return terminal if os.tcgetpgrp(terminal) == os.getpgrp() else None


def _run_in_foreground(command: list[str], terminal: int) -> int:
    # Without this the return of the terminal, asked for from the background, would stop us.
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    child = os.posix_spawnp(
        command[0], command, os.environ, setpgroup=0, setsigdef=[signal.SIGTTOU]
    )
    os.tcsetpgrp(terminal, child)
    # make passes SIGTERM on to us only; a closed terminal tells make's own group.
    for stop in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(stop, lambda number, _frame: os.kill(child, number))
    try:
        _, status = os.waitpid(child, 0)
    finally:
        os.tcsetpgrp(terminal, os.getpgrp())
    return os.waitstatus_to_exitcode(status) % 256


if __name__ == "__main__":
    sys.exit(main())
