"""The command `aa-keras train` in a checkout: `python train.py --help` lists its flags."""

from aa_keras.__main__ import main

if __name__ == "__main__":
    main("train")
