"""Evaluates a trained model on its test images: `python evaluate.py --workdir=DIR`.

Other models: --config=configs/X.py --weights=FILE, or --saved_model=DIR (with --config unless DIR lies in the run
directory that it was exported to).
"""

import os
import signal

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # read by TensorFlow when it is imported, so before anything else


def interrupted(*_):
    """Ends the program with one line where Ctrl-C is pressed while libraries are imported, which takes seconds."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.write(STANDARD_ERROR, b"evaluate.py: interrupted\n")
    os._exit(128 + signal.SIGINT)


STANDARD_ERROR = os.dup(2)  # in place of which others may write meanwhile
if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, interrupted)

from absl import flags

from aa_keras import command_line
from aa_keras.reporting import evaluate_run

WORKDIR = flags.DEFINE_string("workdir", None, "Run directory of a finished run.")
WEIGHTS = flags.DEFINE_string("weights", None, "File of weights, .weights.h5 or .keras, for the model of --config.")
SAVED_MODEL = flags.DEFINE_string("saved_model", None, "Folder of a SavedModel that takes raw uint8 images.")
OUTPUT = flags.DEFINE_string("output", None, "Folder for the results; by default the run directory, or evaluation/.")
DATA_DIR = flags.DEFINE_string("data_dir", None, "Folder of TensorFlow Datasets, instead of where the config says.")


def main(config):
    evaluate_run(config, WORKDIR.value, WEIGHTS.value, SAVED_MODEL.value, OUTPUT.value, DATA_DIR.value)


if __name__ == "__main__":
    command_line.run(main)
