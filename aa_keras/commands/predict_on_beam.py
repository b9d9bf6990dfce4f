"""Predicts with Apache Beam, on as many machines as its runner has.

    python -m aa_keras.commands.predict_on_beam --network=digits.onnx --images='photographs/**' --output=predicted/part

Further flags are Beam's own: see docs/clusters.md.
"""

import argparse
import dataclasses
import pathlib
import sys
import tempfile

import apache_beam as beam
from apache_beam.io import fileio
from apache_beam.io.filesystem import BeamIOError
from apache_beam.io.filesystems import FileSystems
from apache_beam.metrics import Metrics, MetricsFilter
from apache_beam.ml.inference.base import ModelHandler, RunInference
from apache_beam.options.pipeline_options import PipelineOptions

from aa_keras.commands.predict import SKIPPED
from aa_keras.commands.trained import naming_flags
from aa_keras.commands.writers import as_csv, csv_lines
from aa_keras.data.decoding import CorruptImageError
from aa_keras.data.reading import ImageReader
from aa_keras.errors import UserError, described
from aa_keras.export import Prediction, load_predictor
from aa_keras.files import ANY_TEXT


class PredictorHandler(ModelHandler):
    """Lets `RunInference` predict with a network of `aa_keras.export.load_predictor`.

    It takes pairs of the name of an image and its pixels, a uint8 array (height, width, channels), and returns a
    `Prediction` for each.

    Args:
        path: as `load_predictor` takes it, on each machine that runs the pipeline; or a file on a file system that Beam
            knows, such as "gs://bucket/digits.onnx".
        batch_size: number of images in a batch.
    """

    def __init__(self, path: str, batch_size: int = 32):
        super().__init__()
        self._path, self._batch_size = path, batch_size

    def load_model(self):
        if "://" not in self._path or self._path.startswith("hf://"):
            return load_predictor(self._path)
        with tempfile.TemporaryDirectory() as folder:
            copy = pathlib.Path(folder) / pathlib.Path(self._path).name
            with FileSystems.open(self._path) as file:
                copy.write_bytes(file.read())
            return load_predictor(copy)

    def run_inference(self, batch, model, inference_args=None):
        outputs = model.predict([image for _, image in batch])
        return [Prediction(name, image.shape[:2], each) for (name, image), each in zip(batch, outputs, strict=True)]

    def batch_elements_kwargs(self):
        return {"min_batch_size": self._batch_size, "max_batch_size": self._batch_size}


class Decode(beam.DoFn):
    """Decodes files into pairs of name and pixels; those that cannot be read go to the output "skipped".

    Args:
        turn: whether to turn images as their EXIF data ask: `ServingSpec.turns_images`.
    """

    def __init__(self, turn):
        super().__init__()
        self._turn = turn

    def setup(self):
        self._reader = ImageReader(self._turn)

    def process(self, file):
        name = file.metadata.path
        try:
            image = self._reader.decode(name, file.read())
        except CorruptImageError as error:
            Metrics.counter("aa_keras", "skipped").inc()
            yield beam.pvalue.TaggedOutput("skipped", _encoded(csv_lines([(name, error)])))
        else:
            Metrics.counter("aa_keras", "read").inc()
            yield name, image


def predict(handler, spec, patterns, output, top=5, min_score=0.5, options=None):
    """Predicts with the images that match patterns, and writes CSV in shards: OUTPUT-00000-of-00002.csv and so on.

    The names of images that cannot be read, with the reason, are in OUTPUT.skipped-*.csv.

    Args:
        handler: `PredictorHandler`.
        spec: the network's `ServingSpec`.
        patterns: patterns of paths on any file system that Beam knows; "**" stands for folders of any depth.
        output: what the paths of the results begin with.
        top: number of the most probable classes for each image.
        min_score: least score of the boxes.
        options: Beam's `PipelineOptions`.

    Returns:
        The numbers of the images that were read and skipped.
    """

    def lines(prediction):
        kept = dataclasses.replace(prediction, outputs=spec.confident(prediction.outputs, min_score))
        text = as_csv(spec, [kept], top)
        return [_encoded(text)] if text else []

    def write(path, *columns):
        return beam.io.WriteToText(path, ".csv", header=",".join(columns), coder=beam.coders.BytesCoder())

    pipeline = beam.Pipeline(options=options)
    files = pipeline | beam.Create(patterns) | fileio.MatchAll() | beam.Reshuffle() | fileio.ReadMatches()
    decoded = files | beam.ParDo(Decode(spec.turns_images)).with_outputs("skipped", main="images")
    predictions = decoded.images | RunInference(handler)
    predictions | beam.FlatMap(lines) | "Write predictions" >> write(output, *spec.columns)
    decoded.skipped | "Write skipped" >> write(f"{output}.skipped", "image", "reason")
    result = pipeline.run()
    result.wait_until_finish()
    counters = result.metrics().query(MetricsFilter().with_namespace("aa_keras"))["counters"]
    counts = {counter.key.metric.name: counter.committed for counter in counters}
    return counts.get("read", 0), counts.get("skipped", 0)


def _encoded(lines):
    """Returns lines of CSV as Beam writes them, which ends the last one."""
    return lines.removesuffix("\n").encode("utf-8", errors=ANY_TEXT)


def _require_files(pattern):
    try:
        (found,) = FileSystems.match([pattern], limits=[1])
    except (ValueError, BeamIOError) as error:
        raise UserError(f"--images={pattern} cannot be read: {described(error)}") from None
    if not found.metadata_list:
        raise UserError(f"--images must match files. Received: --images={pattern}, which matches none")


def main(arguments=None):
    """Runs the program, and returns its status: 0, or that of `aa-keras predict` if images were skipped."""
    parser = argparse.ArgumentParser(
        prog=f"python -m {__spec__.name}",
        description=__doc__.splitlines()[0],
        epilog="Further flags are Beam's own, such as --runner: see docs/clusters.md.",
        allow_abbrev=False,
    )
    parser.add_argument("--network", required=True, help="as aa_keras.export.load_predictor takes it, or gs://...")
    parser.add_argument("--images", required=True, action="append", help="pattern of paths; may be given several times")
    parser.add_argument("--output", required=True, help="what the paths of the CSV files begin with")
    parser.add_argument("--top", type=int, default=5, help="number of classes for each image (5)")
    parser.add_argument("--min_score", type=float, default=0.5, help="least score of boxes (0.5)")
    parser.add_argument("--batch_size", type=int, default=32, help="number of images in a batch (32)")
    values, of_beam = parser.parse_known_args(arguments)
    if min(values.top, values.batch_size) < 1:
        parser.error("--top and --batch_size must be 1 or more")
    try:
        for pattern in values.images:
            _require_files(pattern)
        handler = PredictorHandler(values.network, values.batch_size)
        with naming_flags(path="network"):
            spec = handler.load_model().spec
        options = PipelineOptions(of_beam)
        read, skipped = predict(handler, spec, values.images, values.output, values.top, values.min_score, options)
    except UserError as error:
        sys.exit(f"{parser.prog}: {error}")
    print(f"{values.output}-*: {read:,} images read" + (f", {skipped:,} skipped" if skipped else ""))
    return SKIPPED if skipped else 0


if __name__ == "__main__":
    # Workers import what they run by the name of its module, which this is not while it is a program.
    from aa_keras.commands import predict_on_beam

    sys.exit(predict_on_beam.main())
