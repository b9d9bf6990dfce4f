"""How close `aa-keras predict` comes to what its parts allow, and the memory that it takes.

    python benchmarks/predict.py --folder=FOLDER                  # of JPEGs; some five minutes on two cores
    python benchmarks/predict.py --folder=FOLDER --memory         # and then the memory for 1,000 to 50,000 images

In turns, with all cores: decoding of photographs alone, decoding and resizing alone, the network alone on images in
batches, and the command. The last one is compared with 1 / (seconds of decoding + seconds of the network), without and
with resizing. Networks are ONNX files with random weights. Without a folder, and without `imagenet_samples` in the
folder AA_KERAS_DATA, photographs of 500x375 pixels are generated. More images than the folder has are links.
"""

import contextlib
import io
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from absl import app, flags, logging

FOLDER = flags.DEFINE_string("folder", None, "Folder of JPEGs, searched at any depth.")
SECONDS = flags.DEFINE_float("seconds", 10.0, "Time that the command is to take in a turn.", 1.0)
TURNS = flags.DEFINE_integer("turns", 3, "Turns, of which the best counts.", 1)
MEMORY = flags.DEFINE_bool("memory", False, "Also measure memory.")
OUTPUT = flags.DEFINE_string("output", "benchmarks/results", "Folder of predict.json and predict.md.")

BATCH_SIZE = 32
NUMBERS_FOR_MEMORY = (1_000, 10_000, 50_000)


def main(_):
    import measure

    logging.set_verbosity(logging.ERROR)
    with tempfile.TemporaryDirectory() as temporary:
        temporary = pathlib.Path(temporary)
        found = photographs(temporary)
        networks = export_networks(temporary)
        rows = {name: measured(path, found, temporary) for name, path in networks.items()}
        digits = next(iter(networks.values()))
        numbers = NUMBERS_FOR_MEMORY if MEMORY.value else ()
        memory = {number: peak_memory(digits, linked(found, number, temporary)) for number in numbers}
    table = markdown(rows, memory)
    print(f"{measure.device()}\n{table}")
    output = pathlib.Path(OUTPUT.value)
    output.mkdir(parents=True, exist_ok=True)
    content = {"device": measure.device(), "networks": rows, "megabytes": memory}
    (output / "predict.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    (output / "predict.md").write_text(table + "\n", encoding="utf-8")


def photographs(temporary):
    """Returns the paths of JPEGs."""
    data = os.environ.get("AA_KERAS_DATA")
    folder = FOLDER.value or (data and os.path.join(data, "imagenet_samples"))
    if folder and os.path.isdir(folder):
        return sorted(path for path in pathlib.Path(folder).rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))
    import numpy as np
    from PIL import Image

    generator, paths = np.random.default_rng(0), []
    for number in range(64):
        coarse = generator.integers(0, 256, (24, 32, 3), dtype="uint8")
        paths.append(temporary / f"{number}.jpg")
        Image.fromarray(coarse).resize((500, 375), Image.Resampling.BICUBIC).save(paths[-1], quality=90)
    return paths


def export_networks(temporary):
    """Exports networks to ONNX, and returns their files by name, that of the digits recipe first."""
    from aa_keras.applications import AAWideResNet, AAWideResNet16_4, ResNet50
    from aa_keras.export import export_model

    digits = {"classes": 10, "input_shape": (8, 8, 1), "num_heads": 4, "weights": None}
    networks = {
        "network of the digits, 8x8": AAWideResNet(10, 2, **digits),
        "AAWideResNet16_4, 32x32": AAWideResNet16_4(weights=None),
        "ResNet50, 224x224": ResNet50(weights=None),
    }
    files = {}
    for name, model in networks.items():
        files[name] = temporary / f"{name.split()[0]}.onnx"
        dataset = "none" if "digits" in name else None
        export_model(model, files[name], format="onnx", dataset=dataset, tolerance=1e-2)
    return files


def measured(path, found, temporary):
    """Returns images a second: of decoding alone, of a network alone, and of the command, the best of several turns."""
    from aa_keras.commands.predict import predict_images
    from aa_keras.data.reading import ImageReader, map_in_order
    from aa_keras.export import load_predictor

    predictor, read = load_predictor(path), ImageReader()
    batch = [predictor.spec.preprocess(read(image))[0] for image in found[:BATCH_SIZE]]

    def decode(paths):
        for _ in map_in_order(read, paths, ahead=BATCH_SIZE):
            pass

    def decode_and_resize(paths):
        for _ in map_in_order(lambda image: predictor.spec.preprocess(read(image)), paths, ahead=BATCH_SIZE):
            pass

    def infer(paths):
        import numpy as np

        images = np.stack(batch)
        for _ in range(-(-len(paths) // BATCH_SIZE)):
            predictor.run(images)

    def predict(paths):
        with contextlib.redirect_stdout(io.StringIO()):
            predict_images(list(map(str, paths)), onnx=str(path), output=str(temporary / "a.csv"), overwrite=True)

    parts = {"decoding": decode, "decoding and resizing": decode_and_resize, "network": infer, "command": predict}
    best = {}
    few = (found * BATCH_SIZE)[: 4 * BATCH_SIZE]
    seconds = max(seconds_of(part, few) for part in parts.values()) / len(few)  # which also warms up
    number = max(len(few), int(SECONDS.value / seconds) // BATCH_SIZE * BATCH_SIZE)
    paths = linked(found, number, temporary)
    for _ in range(TURNS.value):
        for name, part in parts.items():
            best[name] = max(best.get(name, 0), number / seconds_of(part, paths))
    return best


def seconds_of(part, paths):
    begin = time.perf_counter()
    part(paths)
    return time.perf_counter() - begin


def linked(found, number, temporary):
    """Returns paths of links to photographs in a folder of their own."""
    folder = temporary / f"{number}_links"
    folder.mkdir(exist_ok=True)
    paths = [folder / f"{index:06}.jpg" for index in range(number)]
    for index, path in enumerate(paths):
        if not path.is_symlink():
            path.symlink_to(found[index % len(found)])
    return paths


def peak_memory(network, paths):
    """Returns the peak memory of the command for a folder in megabytes."""
    folder = paths[0].parent
    command = [sys.executable, "-m", "aa_keras", "predict", f"--onnx={network}", f"--output={folder}.csv", str(folder)]
    process, peak = subprocess.Popen(command, stdout=subprocess.DEVNULL), 0
    # Not `os.wait4`, whose figure has the memory of this process, too.
    while process.poll() is None:
        found = re.search(r"VmHWM:\s*(\d+) kB", pathlib.Path(f"/proc/{process.pid}/status").read_text(encoding="ascii"))
        peak = max(peak, int(found[1]) if found else 0)
        time.sleep(0.05)
    if process.returncode:
        raise RuntimeError(f"{command} failed")
    return peak * 1024 / 1e6


def markdown(rows, memory):
    """Returns a table of the measurements, and one of the memory if it was measured."""
    lines = [
        "| ONNX | decoding | decoding and resizing | network | `aa-keras predict` | of decoding and network | with "
        "resizing |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, row in rows.items():
        figures = " | ".join(f"{row[part]:.0f}" for part in ("decoding", "decoding and resizing", "network", "command"))
        shares = " | ".join(
            f"{row['command'] * (1 / row[reading] + 1 / row['network']):.2f}"
            for reading in ("decoding", "decoding and resizing")
        )
        lines.append(f"| {name} | {figures} | {shares} |")
    if memory:
        lines += ["", "| images | peak memory |", "| --- | --- |"]
        lines += [f"| {number:,} | {megabytes:,.0f} MB |" for number, megabytes in memory.items()]
    return "\n".join(lines)


if __name__ == "__main__":
    app.run(main)
