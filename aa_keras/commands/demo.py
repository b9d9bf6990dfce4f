"""A page to try a trained network."""

import os
import pathlib

from aa_keras.applications import pretrained
from aa_keras.commands import trained
from aa_keras.demo import serve
from aa_keras.demo.description import describe
from aa_keras.demo.space import save_space
from aa_keras.errors import UserError, require_package
from aa_keras.files import local_path, read_json, size_of
from aa_keras.tasks import task_for
from aa_keras.training.run_directory import is_run

HOST = "127.0.0.1"


def serve_page(
    workdir: str | None = None,
    model: str | None = None,
    builder: str | None = None,
    weights: str | None = None,
    saved_model: str | None = None,
    onnx: str | None = None,
    litert: str | None = None,
    dataset: str | None = None,
    labels: str | None = None,
    examples: str | None = None,
    host: str | None = None,
    port: int | None = None,
    save: str | None = None,
):
    """Serves a page to try a trained network, until it is interrupted; or writes the page as a folder of its own.

    The arguments are the flags of `aa-keras demo`, of which exactly one names a network.

    Raises:
        UserError: if the flags do not name a network, an address to listen at, or a folder.
    """
    require_package("gradio")
    kind, source = trained.named_network(
        workdir=workdir, model=model, builder=builder, saved_model=saved_model, onnx=onnx, litert=litert
    )
    trained.check_companions(builder, weights, model, dataset, labels)
    if save is not None and (host is not None or port is not None):
        raise UserError("--host and --port go without --save, which starts no page")
    examples = None if examples is None else local_path("--examples", examples)
    folder = None if save is None else local_path("--save", save)
    if kind != "builder":
        source = os.path.expanduser(source)
    predictor = trained.predictor_of_flags(kind, source, weights, dataset, labels)
    title = source.partition("(")[0] if kind == "builder" else pathlib.Path(source).resolve().name
    # Paths are those of this machine, which are not for visitors.
    named = title if kind != "builder" else source if weights is None else f"{source}, weights {weights}"
    size = size_of(source) if kind in trained.EXPORTS else None
    about = describe(predictor, named, _accuracy(kind, source, weights, predictor.model), size)
    with trained.naming_flags():
        if folder is None:
            serve(predictor, title, about, examples, host or HOST, port)
            return
        export = (kind, source) if kind in trained.EXPORTS else None
        written = save_space(folder, predictor, title, about, examples, export)
    print(f"{written}: {', '.join(sorted(path.name for path in written.iterdir()))}")


def _accuracy(kind, source, weights, model):
    """Returns the accuracy of a network in words, from its run or its card; "" if neither has it."""
    path = pathlib.Path(source)
    run = path if kind == "workdir" else path.parent
    # Others in a run directory, such as `best.keras`, have not been evaluated.
    is_last = kind == "workdir" or path.name in ("model.keras", "saved_model")
    if kind != "builder" and is_last and is_run(run) and (run / "result.json").is_file():
        return task_for(trained.config_of_run(run)).describe(read_json(run / "result.json"))
    info = getattr(model, "weights_info", None)
    scores, reported = ({}, "") if info is None else (info.scores, info.reported)
    entry = pretrained.named(source.partition("(")[0], weights) if kind == "builder" else None
    if entry is not None:
        scores = dict(entry.scores)
    shown = ", ".join(f"{name} {value:.2f} %" for name, value in scores.items())
    return f"{shown} ({reported})" if shown and reported else shown
