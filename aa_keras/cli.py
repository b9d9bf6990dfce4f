"""The commands of the program, and their flags."""

import difflib
import importlib
import sys

from absl import flags

import aa_keras
from aa_keras import _startup
from aa_keras.commands import command_line, help_pages, options
from aa_keras.errors import UserError

FLAGS = flags.FLAGS


def _import_quietly(*names):
    """Imports libraries; where Keras has another backend than TensorFlow, TensorFlow still reads images."""
    with _startup.quiet_import():
        for name in names:
            importlib.import_module(name)


def _values(command):
    """Returns the values of a command's own flags, by name."""
    return {flag[0]: FLAGS[flag[0]].value for _, flag in COMMANDS[command].flags}


def _train(config):
    _import_quietly("keras", "tensorflow")
    from aa_keras.training import Hosts, check_before_training, train_and_evaluate

    if FLAGS.dry_run:
        check_before_training(config, FLAGS.workdir, FLAGS.overwrite, FLAGS.output)
        return
    if FLAGS.output is not None:
        raise UserError(f"--output is the folder of the pictures of --dry_run. Received: --output={FLAGS.output} alone")
    hosts = Hosts.from_flags(FLAGS.coordinator_address, FLAGS.num_processes, FLAGS.process_id)
    train_and_evaluate(config, FLAGS.workdir, FLAGS.overwrite, hosts)


def _evaluate(config):
    _import_quietly("keras", "tensorflow")
    from aa_keras.commands.evaluate import evaluate_run

    evaluate_run(config, **_values("evaluate"))


def _export(_):
    _import_quietly("keras", "tensorflow")
    from aa_keras.commands.export import export_network

    values = _values("export")
    export_network(export_format=values.pop("format"), **values)


def _predict(paths):
    _import_quietly("keras", "tensorflow")
    from aa_keras.commands.predict import SKIPPED, predict_images

    counts = predict_images(paths, **_values("predict"))
    return SKIPPED if counts.skipped else 0


def _explain(_):
    _import_quietly("keras", "tensorflow")
    from aa_keras.commands.explain import explain_image

    explain_image(**_values("explain"))


def _demo(_):
    _import_quietly("keras", "tensorflow")
    from aa_keras.commands.demo import serve_page

    serve_page(**_values("demo"))


def _models(_):
    _import_quietly("keras")
    from aa_keras.commands.models import print_models

    print_models(FLAGS.filter, FLAGS.pretrained)


def _recipes(_):
    from aa_keras.commands.recipes import print_recipes

    print_recipes(FLAGS.show)


COMMANDS = {
    "train": options.Command(
        "Trains a network with a recipe and evaluates it.",
        "Without flags it trains on the digits that scikit-learn ships, into runs/digits. The same command given again "
        "resumes after the last finished epoch. On several hosts (--config.distribution=multihost) each host runs the "
        "same command: with its own --process_id, or without it where JAX detects the cluster, for example Slurm.",
        [
            (options.string, ("workdir", None, "Run directory; by default runs/NAME, with the name of the recipe.")),
            (options.switch, ("overwrite", False, "Replace another run in the run directory.")),
            (
                options.switch,
                ("dry_run", False, "Check everything, train a few steps, print what to expect, and write nothing."),
            ),
            (
                options.string,
                ("output", None, "With --dry_run: folder for augmented.png, images as the network gets them."),
            ),
            (options.string, ("coordinator_address", None, "HOST:PORT of process 0, to train on several hosts.")),
            (options.integer, ("num_processes", None, "Number of processes.", 1)),
            (options.integer, ("process_id", None, "Number of this process, from 0.", 0)),
        ],
        _train,
        default_recipe="digits_aa_wide_resnet10_2",
    ),
    "evaluate": options.Command(
        "Evaluates a trained network on its test images.",
        "The network is that of --workdir, of --weights (with --config), or an export, which runs in its own runtime "
        "(with --config, unless it is in the run directory that it was exported to).",
        [
            options.WORKDIR,
            (
                options.string,
                ("weights", None, "Weights for the model of --config: a file, timm/NAME, hf://USER/REPOSITORY."),
            ),
            *options.EXPORTS,
            (options.string, ("output", None, "Folder for the results; by default the run directory, or evaluation/.")),
            (
                options.string,
                (
                    "data_dir",
                    None,
                    "Folder of the data, instead of the config's; other images are all evaluated.",
                ),
            ),
            (
                options.switch,
                ("report", False, "Also write report.html: recipe, curves, results and pictures in one file."),
            ),
            (
                options.integer,
                ("bootstrap", 0, "For detectors: samples of the images for 95 % intervals of AP, such as 200.", 0),
            ),
        ],
        _evaluate,
    ),
    "export": options.Command(
        "Exports a trained network as a SavedModel, for ONNX Runtime or for LiteRT.",
        "The network is that of --workdir, --model or --builder. The export takes raw uint8 images, in batches of any "
        "size, and returns probabilities or boxes. It is first run on some images in a separate process, with its own "
        "runtime alone; if its predictions differ from those of the network, nothing is written.",
        [
            *options.NETWORK,
            (options.choice, ("format", "saved_model", ["saved_model", "onnx", "litert"], "Format to write.")),
            (options.string, ("output", None, "Folder of the SavedModel, or file in the other formats, to write.")),
            (
                options.string,
                ("size", None, "HEIGHTxWIDTH of the images that the export takes, instead of the network's own."),
            ),
            (options.choice, ("quantize", "none", ["none", "float16", "int8"], "For LiteRT: weights with fewer bits.")),
            (
                options.string,
                ("calibration", None, "Folder of images, to quantize activations too with --quantize=int8."),
            ),
            (options.string, ("images", None, "Folder of images to compare on, instead of random ones.")),
            options.DATASET,
            options.LABELS,
            (options.number, ("tolerance", None, "Largest difference of a probability that is accepted.", 0.0)),
            (options.switch, ("overwrite", False, "Replace an existing export.")),
        ],
        _export,
        takes_recipe=False,
    ),
    "predict": options.Command(
        "Prints what a trained network sees in images.",
        "The network is that of --workdir, --model, --builder, --saved_model, --onnx or --litert. Images are files, or "
        "folders, which are searched at any depth. Those that cannot be read are named and skipped, and the status of "
        "the program is 3 then.",
        [
            *options.NETWORK,
            *options.EXPORTS,
            options.DATASET,
            options.LABELS,
            (options.integer, ("top", 5, "Number of classes to print for each image.", 1)),
            (options.number, ("min_score", 0.5, "Least score of the boxes to print.", 0.0, 1.0)),
            (
                options.string,
                (
                    "output",
                    None,
                    "File for the predictions instead of a table: .csv and .jsonl grow with them; .json, with boxes as "
                    "in COCO, is written at the end.",
                ),
            ),
            (options.switch, ("resume", False, "Continue --output after the last batch that it has.")),
            (options.switch, ("overwrite", False, "Replace an existing --output.")),
            (options.string, ("draw", None, "Folder for pictures of the images with their boxes.")),
            (options.integer, ("batch_size", 32, "Number of images in a batch.", 1)),
            (
                options.string,
                ("examples", None, "Folder to write three handwritten digits into, to try --workdir=runs/digits."),
            ),
        ],
        _predict,
        takes_recipe=False,
        operands="IMAGE_OR_FOLDER ...",
    ),
    "explain": options.Command(
        "Shows what a trained network looks at in an image.",
        "The network is that of --workdir, --model or --builder. Pictures show where pixels look in each head of a "
        "layer, the same for all layers, how far heads look, and what speaks for the most probable classes. --html "
        "writes a page to explore attention in a browser. Pixels are those of the image that the network takes.",
        [
            (options.string, ("image", None, "File of the image.")),
            *options.NETWORK,
            (
                options.string,
                ("layer", None, "Name of the layer; by default the deepest of those with the largest maps."),
            ),
            (
                options.strings,
                ("query", None, "Y,X of a pixel to look from; may be given several times. By default a grid."),
            ),
            (
                options.string,
                ("output", None, "Folder for the pictures; by default explanation/, or none with --html."),
            ),
            (options.string, ("html", None, "File of the page, .html.")),
            options.DATASET,
            options.LABELS,
        ],
        _explain,
        takes_recipe=False,
    ),
    "demo": options.Command(
        "Serves a page to try a trained network in a browser.",
        "The network is that of --workdir, --model, --builder, --saved_model, --onnx or --litert. The page shows its "
        "classes or boxes and, unless it is an export, Grad-CAM and attention. Only this machine reaches it without "
        "--host.",
        [
            *options.NETWORK,
            *options.EXPORTS,
            options.DATASET,
            options.LABELS,
            (options.string, ("examples", None, "Folder of images to offer on the page.")),
            (
                options.string,
                ("host", None, "Address to listen at, 127.0.0.1 by default; 0.0.0.0 lets others use the page."),
            ),
            (options.integer, ("port", None, "Port to listen at, by default the first free one from 7860.", 1, 65535)),
            (
                options.string,
                ("save", None, "Folder to write the page into instead, for `python app.py` or a Hugging Face Space."),
            ),
        ],
        _demo,
        takes_recipe=False,
    ),
    "models": options.Command(
        "Lists the networks of the library: parameters, FLOPs, trained weights.",
        "",
        [
            (options.string, ("filter", "*", "Pattern that names must match, such as 'AA*', or a part of a name.")),
            (options.switch, ("pretrained", False, "Only those with trained weights.")),
        ],
        _models,
        takes_recipe=False,
    ),
    "recipes": options.Command(
        "Lists the recipes that come with the library.",
        "A file of your own can be a recipe: start from what --show prints, and pass its path to --config.",
        [(options.string, ("show", None, "Name of a recipe whose file to print."))],
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
            hint = f'Did you mean "{similar[0]}"?' if similar else f"The commands are {', '.join(COMMANDS)}."
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
