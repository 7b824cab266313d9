"""The errors that a user can act on; each carries the exit code of the command line."""


class EmuError(Exception):
    """An expected failure: one clear line for the user, never a traceback."""

    exit_code = 1


class InputError(EmuError):
    """Bad usage or bad input (a file, a shape, a value): exit code 2."""

    exit_code = 2


class MissingToolError(EmuError):
    """The environment lacks something; the message names the command that installs it: exit code 3."""

    exit_code = 3
