"""One run on several devices, of one host or of several.

- "mirrored": the devices of one host, with TensorFlow's MirroredStrategy;
- "data_parallel": the devices of one host, with `keras.distribution.DataParallel` on JAX;
- "multihost": the devices of several processes, one on each host, likewise on JAX. Each process reads its own share of
  every batch; the first one alone writes files, and sends the others the outcome.

All three train as one device would with the same batch: the statistics of batch normalization are those of the batch
of all devices.
"""

import contextlib
import json
import pathlib
import re
import tempfile

import keras

from aa_keras._keras_compat import all_layers
from aa_keras.errors import LostProcess, UserError
from aa_keras.training.cluster import detected_hosts
from aa_keras.training.hosts import alone, bytes_of_first, join, text_of_first, texts_of_all

# Words in XLA's messages about a lost process, from its communication libraries or its status codes.
_LOST = "Gloo|NCCL|UNAVAILABLE|DEADLINE_EXCEEDED|ABORTED|oordination|eartbeat"


def distribution_for(config, hosts=None):
    """Returns the `Distribution` of a recipe's config, for one process after it has found the others.

    Args:
        config: a recipe's config, checked.
        hosts: `Hosts` if `config.distribution` is "multihost"; None for those of the cluster that JAX detects.

    Raises:
        UserError: if hosts are given for another distribution, if none are detected, if they do not find each other, or
            if the devices do not divide the batch.
    """
    if config.distribution == "multihost":
        hosts = hosts or detected_hosts()
    elif hosts is not None:
        raise UserError(
            "--coordinator_address, --num_processes and --process_id go with --config.distribution=multihost. "
            f"Received: config.distribution={config.distribution!r}, {hosts}"
        )
    distribution = {"none": Distribution, "mirrored": Mirrored, "data_parallel": DataParallel, "multihost": Multihost}[
        config.distribution
    ](*([] if hosts is None else [hosts]))
    if config.batch_size != "auto" and config.batch_size % distribution.devices:
        raise UserError(
            f"config.batch_size must be a multiple of the {distribution.devices} devices of distribution="
            f"{config.distribution!r}. Received: batch_size={config.batch_size}"
        )
    return distribution


class Distribution:
    """A run on one device, and the base of the other distributions.

    Attributes:
        devices: number of devices that share a batch.
        shard: pair of integers: which share of each batch this process reads, from 0, and of how many.
    """

    devices = 1
    shard = (0, 1)

    @property
    def is_first(self):
        """Whether this process writes files and prints."""
        return self.shard[0] == 0

    def scope(self):
        """Returns a context in which a model is made, compiled and trained."""
        return contextlib.nullcontext()

    def prepare(self, model):
        """Changes a model so that it trains on all devices as it would on one."""

    def check_same(self, what, values):
        """Raises UserError in all processes if one of them has other values; `values` is a dictionary of JSON."""

    def on_first(self, function, *arguments):
        """Calls a function in the first process alone, and returns its result, which is JSON, in all processes.

        Raises:
            UserError: in all processes, if it raised one or an error of the operating system.
        """
        return function(*arguments)

    def file_of_first(self, path):
        """Returns a context in which every process has a file of the first one, under the path that it returns."""
        return contextlib.nullcontext(path)

    def losing_hosts(self):
        """Returns a context that raises LostProcess if another process is lost."""
        return contextlib.nullcontext()


class Mirrored(Distribution):
    """MirroredStrategy on all GPUs of TensorFlow, or without GPUs on its (logical) CPUs."""

    def __init__(self):
        import tensorflow as tf

        devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
        self._strategy = tf.distribute.MirroredStrategy([device.name for device in devices])
        self.devices = len(devices)

    def scope(self):
        return self._strategy.scope()

    def prepare(self, model):
        # Not in the builders: saved models are rebuilt without it, and so can train on JAX, which refuses the argument.
        for layer in all_layers(model):
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.synchronized = True


class DataParallel(Distribution):
    """`keras.distribution.DataParallel` on all devices of JAX."""

    def __init__(self):
        self.devices = len(keras.distribution.list_devices())
        # Each process reads its own share, so that Keras has nothing to distribute.
        self._parallel = keras.distribution.DataParallel(auto_shard_dataset=False)

    def scope(self):
        return self._parallel.scope()


class Multihost(DataParallel):
    """The same on the devices of several processes."""

    def __init__(self, hosts):
        import jax

        join(hosts)
        super().__init__()
        self.shard = (hosts.process_id, hosts.num_processes)
        if jax.local_device_count() * hosts.num_processes != self.devices:
            raise UserError(
                f"all {hosts.num_processes} processes must have as many devices. Received: {jax.local_device_count()} "
                f"in process {hosts.process_id}, of {self.devices} in all"
            )

    def check_same(self, what, values):
        ours, of_first = (json.loads(text) for text in (json.dumps(values), text_of_first(json.dumps(values))))
        mismatch = ""
        for name in sorted(ours | of_first, reverse=True):
            if ours.get(name) != of_first.get(name):
                mismatch = (
                    f"all processes must have the same {what}. Received: {name} {ours.get(name)!r:.100} in process "
                    f"{self.shard[0]}, {of_first.get(name)!r:.100} in process 0"
                )
        for received in texts_of_all(mismatch):
            if received:
                raise UserError(received)

    def on_first(self, function, *arguments):
        answer = {}
        if self.is_first:
            try:
                with alone():
                    answer = {"returned": function(*arguments)}
            except (UserError, OSError) as error:
                answer = {"error": str(error)}
        answer = json.loads(text_of_first(json.dumps(answer)))
        if "error" in answer:
            raise UserError(answer["error"])
        return answer["returned"]

    @contextlib.contextmanager
    def file_of_first(self, path):
        content = bytes_of_first(path.read_bytes() if self.is_first else b"")
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
            if not re.search(_LOST, str(error)):
                raise
            reason = " ".join(str(error).split())[:200]
            raise LostProcess(
                f"another of the {self.shard[1]} processes ended, or cannot be reached: the same commands resume "
                f"from the last checkpoint. {reason}"
            ) from None
