"""The program `aa-keras`, also as `python -m aa_keras`."""

import sys


def main(command=None):
    """Runs a command, by default the one that the first argument names.

    Args:
        command: its name, for a script that has but one.
    """
    try:
        from aa_keras import cli
    except ModuleNotFoundError as error:
        sys.exit(f'aa-keras: the package {error.name} is missing: pip install "aa-keras[train]" installs what it needs')
    cli.main(command)


if __name__ == "__main__":
    main()
