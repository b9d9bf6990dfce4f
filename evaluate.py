"""The command `aa-keras evaluate` in a checkout: `python evaluate.py --help` tells what it takes."""

from aa_keras.__main__ import main

if __name__ == "__main__":
    main("evaluate")
