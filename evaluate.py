"""The command `aa-keras evaluate` in a checkout: `python evaluate.py --help` lists its flags."""

from aa_keras.__main__ import main

if __name__ == "__main__":
    main("evaluate")
