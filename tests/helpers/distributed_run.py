"""Trains the tiny recipe on several devices: `python distributed_run.py WORKDIR DISTRIBUTION [FIELD=JSON ...]`.

Two devices are made of the one CPU where a process has to have several. With HOSTS="ADDRESS NUMBER ID" in the
environment it is one of several processes, which miss each other after HEARTBEAT_TIMEOUT="SECONDS"; with
SQUARES="FOLDER" it trains a detector on the drawn squares in there.
"""

import json
import os
import pathlib
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
_, workdir, distribution, *fields = sys.argv
if distribution == "data_parallel":
    os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=2"
if distribution == "mirrored":
    import tensorflow as tf

    cpus = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(cpus[0], [tf.config.LogicalDeviceConfiguration()] * 2)

sys.path.append(str(pathlib.Path(__file__).parents[1]))
from helpers.detection import detection_config  # noqa: E402
from helpers.training import tiny_config  # noqa: E402

from aa_keras.commands import command_line  # noqa: E402
from aa_keras.training import Hosts, hosts, train_and_evaluate  # noqa: E402

hosts.HEARTBEAT_TIMEOUT = int(os.environ.get("HEARTBEAT_TIMEOUT", hosts.HEARTBEAT_TIMEOUT))


def main(_):
    # A learning rate so low that rounding does not grow into a difference.
    config = tiny_config(learning_rate_per_256=0.05, ema_momentum=0.9, export=False, distribution=distribution)
    if "SQUARES" in os.environ:
        config = detection_config(os.environ["SQUARES"], distribution=distribution, optimizer="sgd")
        config.learning_rate_per_256 = 0.5
    for field in fields:
        name, value = field.split("=", 1)
        config[name] = json.loads(value)
    mine = None
    if "HOSTS" in os.environ:
        address, number, index = os.environ["HOSTS"].split()
        mine = Hosts(address, int(number), int(index))
    train_and_evaluate(config, workdir, hosts=mine)


if __name__ == "__main__":
    del sys.argv[1:]
    command_line.run(main)
