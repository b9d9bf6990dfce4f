"""The program `aa-keras`, also as `python -m aa_keras`."""

import sys

from aa_keras._startup import program_name
from aa_keras.errors import missing_extra


def main(command=None):
    """Runs a command, by default the one that the first argument names.

    Args:
        command: its name, for a script with a single command.
    """
    try:
        from aa_keras import cli
    except ModuleNotFoundError as error:
        message = missing_extra(error)
        if message is None:
            raise
        sys.exit(f"{program_name()}: {message}")
    cli.main(command)


if __name__ == "__main__":
    main()
