"""Latency and throughput of exports in their runtimes, with one thread and with two: `exports.py --latency`.

A process for each number of threads measures all exports of a network in turns, in each batch; the best turn counts.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

BATCHES = (1, 8, 32)
THREADS = (1, 2)
# Names of builders, each followed by its plain twin.
NETWORKS = ("AAWideResNet16_4", "WideResNet16_4", "AAResNet50", "ResNet50")
FORMATS = {"saved_model": "SavedModel", "onnx": "ONNX", "litert": "LiteRT"}


def measured(turns):
    """Exports the networks, and returns seconds for a batch, by (network, format), by threads, and by batch."""
    with tempfile.TemporaryDirectory() as folder:
        found = {}
        for name in NETWORKS:
            export(name, folder)
            for threads in THREADS:
                arguments = [folder, name, str(threads), str(turns)]
                done = subprocess.run([sys.executable, __file__, *arguments], check=True, stdout=subprocess.PIPE)
                for export_format, times in json.loads(done.stdout).items():
                    found.setdefault(f"{name}/{export_format}", {})[str(threads)] = times
                    print(name, export_format, threads, times, flush=True)
    return found


def export(name, folder):
    from aa_keras import applications
    from aa_keras.export import export_model

    model = getattr(applications, name)(weights=None)
    for export_format in FORMATS:
        # What networks with random weights return depends on rounding.
        export_model(model, path_of(folder, name, export_format), format=export_format, tolerance=1.0)


def path_of(folder, name, export_format):
    return str(pathlib.Path(folder) / f"{name}.{export_format}")


def measure_in_turns(folder, name, threads, turns):
    """Prints the seconds of a network for a batch, by format and by batch, as JSON."""
    import measure
    import numpy as np
    import tensorflow as tf

    from aa_keras.export import runtimes

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    runs = {}
    for export_format in FORMATS:
        arguments = {} if export_format == "saved_model" else {"threads": threads}
        runs[export_format] = runtimes.RUNTIMES[export_format](path_of(folder, name, export_format), **arguments)
    size = (32, 32) if "Wide" in name else (224, 224)
    times = {export_format: {} for export_format in FORMATS}
    for batch in BATCHES:
        images = np.random.default_rng(0).integers(0, 256, (batch, *size, 3), dtype="uint8")
        best = measure.best_of_turns(runs, images, turns)
        for export_format, seconds in best.items():
            times[export_format][str(batch)] = seconds
    print(json.dumps(times))


def markdown(found):
    """Returns a table: milliseconds for one image, images a second in batches, and the share of the plain twin."""
    columns = [f"{batch}, {threads} thread{'s' * (threads > 1)}" for threads in THREADS for batch in BATCHES]
    lines = [
        f"| network | runtime | {' | '.join(columns)} | speed of the plain twin |",
        f"|{' --- |' * (len(columns) + 3)}",
    ]
    for position, name in enumerate(NETWORKS):
        plain = NETWORKS[position | 1]
        for export_format, runtime in FORMATS.items():
            times, twin = found[f"{name}/{export_format}"], found[f"{plain}/{export_format}"]
            cells = [cell(times[str(threads)][str(batch)], batch) for threads in THREADS for batch in BATCHES]
            most, batch = str(THREADS[-1]), str(BATCHES[-1])
            ratio = "" if name == plain else f"{times[most][batch] / twin[most][batch]:.2f}x"
            lines.append(f"| {name} | {runtime} | {' | '.join(cells)} | {ratio} |")
    return "\n".join(lines)


def cell(seconds, batch):
    return f"{1e3 * seconds:.1f} ms" if batch == 1 else f"{batch / seconds:.0f}/s"


if __name__ == "__main__":
    folder, name, threads, turns = sys.argv[1:]
    measure_in_turns(folder, name, int(threads), int(turns))
