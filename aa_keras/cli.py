"""The commands of the program, and their flags."""

import dataclasses
import difflib
import importlib
import sys
from collections.abc import Callable

from absl import flags

import aa_keras
from aa_keras import _startup, command_line
from aa_keras.commands import help_pages

FLAGS = flags.FLAGS


@dataclasses.dataclass(frozen=True)
class Command:
    """A command of the program.

    Attributes:
        summary: what it does, in a sentence.
        details: what else is to be said, or "".
        flags: its own flags, a list of pairs: a function of absl such as `flags.DEFINE_string`, and its arguments.
        run: function of the config, or of None where there is none, that does it.
        default_recipe: the recipe that it takes without --config, or None.
        takes_recipe: whether there is a flag --config.
        operands: what may follow the flags, as the help has it, or "": `run` is handed them, a list, as its argument.
    """

    summary: str
    details: str
    flags: list[tuple[Callable, tuple]]
    run: Callable
    default_recipe: str | None = None
    takes_recipe: bool = True
    operands: str = ""


def _import_quietly(*names):
    """Imports libraries; where Keras has another backend than TensorFlow, TensorFlow still reads images."""
    with _startup.quiet_import():
        for name in names:
            importlib.import_module(name)


def _train(config):
    _import_quietly("keras", "tensorflow")
    from aa_keras.training import Hosts, train_and_evaluate

    hosts = Hosts.from_flags(FLAGS.coordinator_address, FLAGS.num_processes, FLAGS.process_id)
    train_and_evaluate(config, FLAGS.workdir, FLAGS.overwrite, hosts)


def _evaluate(config):
    _import_quietly("keras", "tensorflow")
    from aa_keras.commands.evaluate import evaluate_run

    evaluate_run(config, FLAGS.workdir, FLAGS.weights, FLAGS.saved_model, FLAGS.output, FLAGS.data_dir, FLAGS.report)


def _export(_):
    _import_quietly("keras", "tensorflow")
    from aa_keras.commands.export import export_network

    names = ("workdir", "model", "builder", "weights", "output", "size", "quantize", "calibration", "images")
    flag_values = {name: FLAGS[name].value for name in (*names, "dataset", "labels", "tolerance", "overwrite")}
    export_network(export_format=FLAGS.format, **flag_values)


def _predict(paths):
    _import_quietly("keras", "tensorflow")
    from aa_keras.commands.predict import predict_images

    names = ("workdir", "model", "saved_model", "onnx", "litert", "dataset", "labels", "top", "min_score", "output")
    predict_images(paths, **{name: FLAGS[name].value for name in (*names, "draw", "batch_size")})


def _explain(_):
    _import_quietly("keras", "tensorflow")
    from aa_keras.commands.explain import explain_image

    names = ("image", "workdir", "model", "layer", "query", "output", "html", "dataset", "labels")
    explain_image(**{name: FLAGS[name].value for name in names})


def _models(_):
    _import_quietly("keras")
    from aa_keras.commands.models import print_models

    print_models(FLAGS.filter, FLAGS.pretrained)


def _recipes(_):
    from aa_keras.commands.recipes import print_recipes

    print_recipes(FLAGS.show)


_string, _integer, _switch = flags.DEFINE_string, flags.DEFINE_integer, flags.DEFINE_bool
_float, _choice, _strings = flags.DEFINE_float, flags.DEFINE_enum, flags.DEFINE_multi_string
_WORKDIR = (_string, ("workdir", None, "Run directory of a finished run."))
_MODEL = (_string, ("model", None, "File of a Keras model, .keras; in a run directory, one of the run."))
_DATASET = (
    _string,
    (
        "dataset",
        None,
        "What --model is for, where its name does not tell: imagenet2012, cifar100, coco, bccd, or none for one that "
        "takes pixels of 0 to 255.",
    ),
)
_LABELS = (_string, ("labels", None, "File with the name of a class on each line, for --model or --builder."))

COMMANDS = {
    "train": Command(
        "Trains a network by a recipe and evaluates it.",
        "Without flags it trains on the digits that scikit-learn ships, into runs/digits. The same command given again "
        "goes on from the last finished epoch. On several hosts (--config.distribution=multihost) each runs the same "
        "command: with its own --process_id, or without where JAX detects the cluster, as of Slurm.",
        [
            (_string, ("workdir", None, "Run directory; by default runs/ and the name of the recipe.")),
            (_switch, ("overwrite", False, "Replace another run in the run directory.")),
            (_string, ("coordinator_address", None, "HOST:PORT of process 0, of several hosts.")),
            (_integer, ("num_processes", None, "How many processes there are.", 1)),
            (_integer, ("process_id", None, "Which of them this is, from 0.", 0)),
        ],
        _train,
        default_recipe="digits_aa_wide_resnet10_2",
    ),
    "evaluate": Command(
        "Evaluates a trained network on its test images.",
        "One of --workdir, --weights (with --config) and --saved_model (with --config, unless it lies in the run "
        "directory that it was exported to) says which.",
        [
            _WORKDIR,
            (_string, ("weights", None, "Weights for the model of --config: a file, timm/NAME, hf://USER/REPOSITORY.")),
            (_string, ("saved_model", None, "Folder of a SavedModel that takes raw uint8 images.")),
            (_string, ("output", None, "Folder for the results; by default the run directory, or evaluation/.")),
            (_string, ("data_dir", None, "Folder of TensorFlow Datasets, instead of where the config says.")),
            (_switch, ("report", False, "Write report.html, too: recipe, curves, results and pictures in one file.")),
        ],
        _evaluate,
    ),
    "export": Command(
        "Exports a trained network as a SavedModel, for ONNX Runtime or for LiteRT.",
        "One of --workdir, --model and --builder says which. Raw uint8 images go in, in batches of any number, and "
        "probabilities or boxes come out. The export is asked about some images in a process of its own, by its own "
        "runtime alone; where it answers otherwise than the network, nothing is written.",
        [
            _WORKDIR,
            _MODEL,
            (_string, ("builder", None, "Network of the zoo, such as AAResNet50 or 'AAMnasNet(alpha=1.0)'.")),
            (_string, ("weights", None, "Weights for --builder: a name, a file, timm/NAME, hf://USER/REPOSITORY.")),
            (_choice, ("format", "saved_model", ["saved_model", "onnx", "litert"], "What to write.")),
            (_string, ("output", None, "Where to write: a folder for a SavedModel, else a file.")),
            (_string, ("size", None, "HEIGHTxWIDTH of the images that the network is to take, instead of its own.")),
            (_choice, ("quantize", "none", ["none", "float16", "int8"], "For LiteRT: weights of fewer bits.")),
            (_string, ("calibration", None, "Folder of images, for --quantize=int8 of activations, too.")),
            (_string, ("images", None, "Folder of images to compare on, instead of drawn ones.")),
            _DATASET,
            _LABELS,
            (_float, ("tolerance", None, "Largest difference of a probability that is no error.", 0.0)),
            (_switch, ("overwrite", False, "Replace an export that is there.")),
        ],
        _export,
        takes_recipe=False,
    ),
    "predict": Command(
        "Tells what a trained network sees in images.",
        "One of --workdir, --model, --saved_model, --onnx and --litert says which. Images are files, or folders of "
        "them, at any depth.",
        [
            _WORKDIR,
            _MODEL,
            (_string, ("saved_model", None, "Folder of a SavedModel that export or train wrote.")),
            (_string, ("onnx", None, "File that export wrote.")),
            (_string, ("litert", None, "File that export wrote.")),
            _DATASET,
            _LABELS,
            (_integer, ("top", 5, "How many classes to name.", 1)),
            (_float, ("min_score", 0.5, "Least score of the boxes to tell of.", 0.0, 1.0)),
            (_string, ("output", None, "File for the answers, .csv or .json (of boxes, COCO's), instead of a table.")),
            (_string, ("draw", None, "Folder for pictures of the images with their boxes.")),
            (_integer, ("batch_size", 32, "Images at a time.", 1)),
        ],
        _predict,
        takes_recipe=False,
        operands="IMAGE_OR_FOLDER ...",
    ),
    "explain": Command(
        "Shows what a trained network looks at in an image.",
        "One of --workdir and --model says which. Pictures are written of where pixels look in each head of a layer, "
        "of all layers, of how far heads look, and of what speaks for the most probable classes; with --html a page to "
        "explore attention with, in a browser. Pixels are those of the image as the network takes it.",
        [
            (_string, ("image", None, "File of the image.")),
            _WORKDIR,
            _MODEL,
            (_string, ("layer", None, "Name of the layer; by default the deepest of those of the largest maps.")),
            (_strings, ("query", None, "Y,X of a pixel that looks; may be given several times. By default a grid.")),
            (_string, ("output", None, "Folder for the pictures; by default explanation/, unless there is --html.")),
            (_string, ("html", None, "File of the page, .html.")),
            _DATASET,
            _LABELS,
        ],
        _explain,
        takes_recipe=False,
    ),
    "models": Command(
        "Lists the networks of the zoo: parameters, FLOPs, trained weights.",
        "",
        [
            (_string, ("filter", "*", "What names have to match, such as 'AA*', or a part of them.")),
            (_switch, ("pretrained", False, "Only those with trained weights.")),
        ],
        _models,
        takes_recipe=False,
    ),
    "recipes": Command(
        "Lists the recipes that come with the library.",
        "A file of your own is a recipe, too: begin with what --show prints, and pass its path to --config.",
        [(_string, ("show", None, "Print the file of the recipe of this name."))],
        _recipes,
        takes_recipe=False,
    ),
}


def main(command=None):
    """Runs a command of the program, by default the one that the first argument names."""
    program, arguments = _startup.program_name(), sys.argv[1:]
    if command is None:
        command, *arguments = arguments or ["--help"]
        if command in ("-h", "--help", "-help", "help"):
            print(help_pages.overview(COMMANDS))
            return
        if command == "--version":
            print(aa_keras.__version__)
            return
        if command not in COMMANDS:
            similar = difflib.get_close_matches(command, COMMANDS, n=1)
            hint = f'Did you mean "{similar[0]}"?' if similar else f"There are {', '.join(COMMANDS)}."
            sys.exit(f"{program}: there is no command {command!r}. {hint}")
        program = f"{program} {command}"
    chosen = COMMANDS[command]
    if {"-h", "--help", "-help", "--helpshort", "--helpfull"} & set(arguments):
        print(help_pages.help_page(program, chosen))
        return
    for define, flag in chosen.flags:
        define(*flag)
    sys.argv[:] = [program, *arguments]
    command_line.run(chosen.run, chosen.default_recipe, chosen.takes_recipe, bool(chosen.operands))
