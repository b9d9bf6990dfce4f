"""The command `aa-keras train` in a checkout: `python train.py --help` tells what it takes."""

from aa_keras.__main__ import main

if __name__ == "__main__":
    main("train")
