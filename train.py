"""Trains a model from a recipe and evaluates it: `python train.py --config=configs/X.py --workdir=DIR`.

Without flags it trains on the digits that scikit-learn ships, into runs/digits. Every field of the recipe can be set,
as in --config.epochs=10.

On several hosts (--config.distribution=multihost) each runs the same command with its own --process_id.
"""

import os
import signal

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # read by TensorFlow when it is imported, so before anything else


def interrupted(*_):
    """Ends the program with one line where Ctrl-C is pressed while libraries are imported, which takes seconds."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.write(STANDARD_ERROR, b"train.py: interrupted\n")
    os._exit(128 + signal.SIGINT)


STANDARD_ERROR = os.dup(2)  # in place of which others may write meanwhile
if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, interrupted)

from absl import flags

from aa_keras import command_line
from aa_keras.training import Hosts, train_and_evaluate

WORKDIR = flags.DEFINE_string("workdir", None, "Run directory; by default runs/ and the name of the recipe.")
COORDINATOR_ADDRESS = flags.DEFINE_string("coordinator_address", None, "HOST:PORT of process 0, of several hosts.")
NUM_PROCESSES = flags.DEFINE_integer("num_processes", None, "How many processes there are.", lower_bound=1)
PROCESS_ID = flags.DEFINE_integer("process_id", None, "Which of them this is, from 0.", lower_bound=0)
OVERWRITE = flags.DEFINE_bool("overwrite", False, "Replace another run in the run directory.")


def main(config):
    hosts = Hosts.from_flags(COORDINATOR_ADDRESS.value, NUM_PROCESSES.value, PROCESS_ID.value)
    train_and_evaluate(config, WORKDIR.value, OVERWRITE.value, hosts)


if __name__ == "__main__":
    command_line.run(main, default_config="configs/digits_aa_wide_resnet10_2.py")
