"""One run on several devices, of one host or of several.

- "mirrored": the devices of one host, with TensorFlow's MirroredStrategy;
- "data_parallel": those of one host, with `keras.distribution.DataParallel` on JAX;
- "multihost": those of several processes, one on each host, likewise on JAX. Each reads its own share of every batch;
  the first one alone writes files, and tells the others what came of it.

All three train as one device would with the same batch: the statistics of batch normalisation are those of the batch of
all devices.
"""

import contextlib
import dataclasses
import faulthandler
import json
import pathlib
import re
import tempfile

import keras
import numpy as np

from aa_keras.errors import UserError

# A process that is silent for so long ends the others; and so long, in seconds, may they wait for each other to begin.
HEARTBEAT_TIMEOUT = 60
START_TIMEOUT = 300


@dataclasses.dataclass(frozen=True)
class Hosts:
    """What a process has to know to find the others, in the terms of `jax.distributed.initialize`.

    Attributes:
        coordinator_address: address and port of the first process, such as "10.0.0.1:1234".
        num_processes: how many processes there are.
        process_id: which one this is, from 0.
    """

    coordinator_address: str
    num_processes: int
    process_id: int

    @classmethod
    def from_flags(cls, coordinator_address, num_processes, process_id):
        """Returns `Hosts`, or None where no flag is given; raises UserError for some but not all, or a bad one."""
        given = (coordinator_address, num_processes, process_id)
        if all(value is None for value in given):
            return None
        if None in given or not re.fullmatch(r".+:\d+", coordinator_address) or process_id >= num_processes:
            raise UserError(
                "--coordinator_address=HOST:PORT, --num_processes and --process_id, from 0 to one less, must be given "
                f"together. Received: --coordinator_address={coordinator_address} --num_processes={num_processes} "
                f"--process_id={process_id}"
            )
        return cls(*given)


def distribution_for(config, hosts=None):
    """Returns the `Distribution` of a recipe's config, for one process after it has found the others.

    Args:
        config: a recipe's config, checked.
        hosts: `Hosts`, where `config.distribution` is "multihost".

    Raises:
        UserError: if there are hosts where there should be none or the reverse, if they do not find each other, or if
            the devices do not divide the batch.
    """
    if (config.distribution == "multihost") != (hosts is not None):
        raise UserError(
            "--coordinator_address, --num_processes and --process_id go with --config.distribution=multihost, and it "
            f"with them. Received: config.distribution={config.distribution!r}, {hosts}"
        )
    distribution = {"none": Distribution, "mirrored": Mirrored, "data_parallel": DataParallel, "multihost": Multihost}[
        config.distribution
    ](*([] if hosts is None else [hosts]))
    if config.batch_size % distribution.devices:
        raise UserError(
            f"config.batch_size must be a multiple of the {distribution.devices} devices of distribution="
            f"{config.distribution!r}. Received: batch_size={config.batch_size}"
        )
    return distribution


class Distribution:
    """A run on one device; and what the others have in common with it.

    Attributes:
        devices: how many devices share a batch.
        shard: pair of integers: which share of each batch this process reads, from 0, and of how many.
    """

    devices = 1
    shard = (0, 1)

    @property
    def is_first(self):
        """Whether this process writes files and prints."""
        return self.shard[0] == 0

    def scope(self):
        """A context in which a model is made, compiled and trained."""
        return contextlib.nullcontext()

    def prepare(self, model):
        """Changes a model so that it trains on all devices as it would on one."""

    def on_first(self, function, *arguments):
        """Calls a function in the first process alone, and returns in all of them what it returned, which is JSON.

        Raises:
            UserError: in all of them, where it raised one or an error of the operating system.
        """
        return function(*arguments)

    def file_of_first(self, path):
        """A context in which every process has a file of the first one's, under the path that it returns."""
        return contextlib.nullcontext(path)

    def losing_hosts(self):
        """A context that raises UserError where another process is lost."""
        return contextlib.nullcontext()


class Mirrored(Distribution):
    """MirroredStrategy on all GPUs of TensorFlow, or else on its (logical) CPUs."""

    def __init__(self):
        import tensorflow as tf

        devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
        self._strategy = tf.distribute.MirroredStrategy([device.name for device in devices])
        self.devices = len(devices)

    def scope(self):
        return self._strategy.scope()

    def prepare(self, model):
        # Not in the builders: what is saved is built anew, and so can be trained on JAX, which refuses the argument.
        for layer in model._flatten_layers():
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.synchronized = True


class DataParallel(Distribution):
    """`keras.distribution.DataParallel` on all devices of JAX."""

    def __init__(self):
        self.devices = len(keras.distribution.list_devices())
        # Each process reads its own share, so that there is nothing left to do for Keras.
        self._parallel = keras.distribution.DataParallel(auto_shard_dataset=False)

    def scope(self):
        return self._parallel.scope()


class Multihost(DataParallel):
    """The same on the devices of several processes."""

    def __init__(self, hosts):
        import jax

        # Where a process hangs, XLA says so and aborts the others; the stacks of threads would bury what it says.
        faulthandler.disable()
        try:
            # As `keras.distribution.initialize` does, which leaves out the heartbeats.
            jax.distributed.initialize(
                hosts.coordinator_address,
                hosts.num_processes,
                hosts.process_id,
                initialization_timeout=START_TIMEOUT,
                heartbeat_timeout_seconds=HEARTBEAT_TIMEOUT,
                shutdown_timeout_seconds=HEARTBEAT_TIMEOUT,
            )
        except (RuntimeError, ValueError) as error:
            raise UserError(
                f"the {hosts.num_processes} processes did not find each other at --coordinator_address="
                f"{hosts.coordinator_address} within {START_TIMEOUT} seconds: {error}"
            ) from None
        super().__init__()
        self.shard = (hosts.process_id, hosts.num_processes)

    def on_first(self, function, *arguments):
        answer = {}
        if self.is_first:
            try:
                with _alone():
                    answer = {"returned": function(*arguments)}
            except (UserError, OSError) as error:
                answer = {"error": str(error)}
        answer = json.loads(_bytes_of_first(json.dumps(answer).encode()))
        if "error" in answer:
            raise UserError(answer["error"])
        return answer["returned"]

    @contextlib.contextmanager
    def file_of_first(self, path):
        content = _bytes_of_first(path.read_bytes() if self.is_first else b"")
        if self.is_first:
            yield path
            return
        with tempfile.TemporaryDirectory() as folder:
            copy = pathlib.Path(folder) / path.name
            copy.write_bytes(content)
            yield copy

    @contextlib.contextmanager
    def losing_hosts(self):
        import jax

        try:
            yield
        except jax.errors.JaxRuntimeError as error:
            if "RESOURCE_EXHAUSTED" in str(error):
                raise
            reason = " ".join(str(error).split())[:200]
            raise UserError(
                f"another of the {self.shard[1]} processes ended, or cannot be reached: the same commands go on behind "
                f"the last checkpoint. {reason}"
            ) from None


@contextlib.contextmanager
def _alone():
    """A context in which a variable may be made in one process, as Keras does even where it saves; else it would wait
    for the others to make it too."""
    distribution = keras.distribution.distribution()
    keras.distribution.set_distribution(None)
    try:
        yield
    finally:
        keras.distribution.set_distribution(distribution)


def _bytes_of_first(content):
    """Returns the bytes that the first process has, in every process; all of them have to call it."""
    from jax.experimental import multihost_utils

    length = int(multihost_utils.broadcast_one_to_all(np.array(len(content), np.int32)))
    padded = np.zeros(length, np.uint8)  # broadcasting wants arrays of one size
    padded[: len(content)] = np.frombuffer(content, np.uint8)[:length]
    return np.asarray(multihost_utils.broadcast_one_to_all(padded)).astype(np.uint8).tobytes()
