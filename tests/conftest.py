"""What holds for every test."""

import signal


def pytest_configure() -> None:
    """Let SIGINT interrupt, here and in child processes, also where a script runs the tests in the background."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
