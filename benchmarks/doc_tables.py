"""Writes the tables of README.md and docs/ from the specs of the networks and from what the benchmarks measured.

python benchmarks/doc_tables.py                     # seconds
python benchmarks/doc_tables.py --count             # builds and counts the paper's networks, two minutes; `make tables`
python benchmarks/doc_tables.py --check             # writes nothing, and fails where a page differs

A table stands between `<!-- NAME -->` and `<!-- end of NAME -->`; `TABLES` has the function that returns it.
"""

import functools
import json
import os
import pathlib
import re

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import paper_tables
from absl import app, flags
from paper_tables import table

from aa_keras.applications import paper

ROOT = pathlib.Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
ABLATIONS = (
    "digit_neighbours_positions",
    "digits_positions",
    "digit_neighbours_attention_alone_positions",
    "digit_neighbours_ratios",
    "digits_ratios",
)


CHECK = flags.DEFINE_bool("check", False, "Compare with the pages instead of writing them.")
COUNT = flags.DEFINE_bool("count", False, "Build and count the paper's networks.")


def main(_):
    counted = {"paper tables": paper_tables.counted()} if COUNT.value else {}
    for page in TABLES:
        text = with_tables(page, counted)
        if CHECK.value and text != (ROOT / page).read_text(encoding="utf-8"):
            raise SystemExit(f"doc_tables.py: the tables in {page} differ; run it without --check")
        if not CHECK.value:
            (ROOT / page).write_text(text, encoding="utf-8")


def with_tables(page, replaced=None):
    """Returns the text of a page with its tables as they should be.

    Args:
        page: name of a page in `TABLES`.
        replaced: dict of names of tables to texts that take the place of those in `TABLES`.
    """
    text = (ROOT / page).read_text(encoding="utf-8")
    for name, write_table in TABLES[page].items():
        between = re.compile(rf"(?<=<!-- {name} -->\n).*?(?=<!-- end of {name} -->)", re.DOTALL)
        if len(between.findall(text)) != 1:
            raise SystemExit(f"doc_tables.py: {page} must have the comments around the table {name!r} once")
        content = (replaced or {}).get(name) or write_table()
        text = between.sub(lambda _, content=content: f"\n{content.strip()}\n\n", text)
    return text


def main_networks():
    """The paper's main networks, for README.md."""
    main = "WideResNet28_10", "AAWideResNet28_10", "ResNet50", "AAResNet50", "AAResNet101", "AAResNet152"
    data_sets = {"cifar100": "CIFAR-100", "imagenet2012": "ImageNet"}
    rows = [
        (
            f"`{spec.builder}`",
            data_sets[spec.dataset.name],
            f"{spec.parameters / 1e6:.1f} M",
            f"{spec.gflops:.1f}",
            f"{spec.paper_top1} / {spec.paper_top5}",
        )
        for spec in (*paper.WIDE_RESNETS, *paper.RESNETS)
        if spec.builder in main
    ]
    return table(("network", "data set", "parameters", "GFLOPs", "top-1 / top-5 in the paper"), *rows)


def timm_parity():
    return _after_title((RESULTS / "timm_parity.md").read_text(encoding="utf-8"))


def attention(index):
    return (RESULTS / "attention.md").read_text(encoding="utf-8").split("\n\n")[2 * index + 1].strip()


def breakdown():
    """Milliseconds of the steps of an augmented convolution."""
    float32, bfloat16 = map(_read, ("breakdown.json", "mixed_bfloat16/breakdown.json"))
    header = "step", "float32, forward", "and backward", "bfloat16, forward", "and backward"
    columns = [of[column] for of in (float32, bfloat16) for column in ("forward_ms", "training_ms")]
    return table(header, *((name, *(f"{of[name]:.1f}" for of in columns)) for name in float32["forward_ms"]))


def models():
    """Images a second of whole networks, and their ratio to the first network of the same group."""
    of_precisions = [_read(name)["networks"] for name in ("models.json", "mixed_bfloat16/models.json")]
    header = ["network"]
    for precision in ("float32", "mixed_bfloat16"):
        header += [f"inference, {precision}", "ratio", f"training, {precision}", "ratio"]
    rows = []
    for networks in zip(*of_precisions, strict=True):
        name = networks[0]["network"]
        if name in ("ResNet50", "WideResNet28_10"):
            first = networks
        cells = [f"`{name}`{' (6 % fewer FLOPs)' if name.startswith('keras.') else ''}"]
        for network, reference in zip(networks, first, strict=True):
            for what in ("inference", "training"):
                cells += [f"{network[what]:.1f}", f"{network[what] / reference[what]:.2f}"]
        rows.append(cells)
    return table(header, *rows)


def memory():
    """The peak of training steps, in GiB."""
    measured = _read("memory.json")
    rows = [
        (title, str(auto["batch_size"]), *(f"{each['gigabytes']:.1f} GiB" for each in (auto, dense)))
        for title, auto, dense in zip(
            ('`AAWideResNet28_10`, where "auto" is dense', "`AAResNet50`, all four stages augmented, unpooled"),
            measured[::2],
            measured[1::2],
            strict=True,
        )
    ]
    return table(("network", "batch", '"auto"', '"dense"'), *rows)


def precision():
    return _after_title((RESULTS / "precision.md").read_text(encoding="utf-8"))


def exports():
    return (RESULTS / "exports.md").read_text(encoding="utf-8")


def export_latency():
    return (RESULTS / "export_latency.md").read_text(encoding="utf-8")


def predict():
    return (RESULTS / "predict.md").read_text(encoding="utf-8")


def demo():
    """How long the page takes to answer, and its memory."""
    measured = _read("demo.json")
    asked = measured["requests"]
    first, second = asked["seconds"]
    before, between, after = asked["megabytes"]
    rows = [(name, f"{seconds:.2f} s") for name, seconds in measured["seconds"].items()]
    rows += [
        (
            f"{asked['asked']} requests at once: answered",
            f"{asked['answered']}, in {first:.1f} s; again, in {second:.1f} s",
        ),
        ("memory before, between and after them", f"{before:,}, {between:,} and {after:,} MB"),
    ]
    return table((measured["device"].split(", Keras")[0], ""), *rows)


def scaling():
    """Images a second with more devices, and their ratio to one."""
    cases = _read("scaling.json")["cases"]
    rates = [case["images_a_second"] for case in cases]
    rows = [(case["case"], f"{rate:.1f}", f"{rate / rates[0]:.2f}") for case, rate in zip(cases, rates, strict=True)]
    return table(("devices", "images a second", "ratio"), *rows)


def augmented_digits():
    """The accuracy of networks before and after `augment`."""
    rows = [
        (
            "yes" if each["batch_normalization"] else "no",
            f"{each['value_ratio']}",
            *(f"{each[name]:.1%}" for name in ("trained", "augmented", "fine_tuned")),
        )
        for each in _read("augment_digits.json")
    ]
    return table(("batch normalization", "upsilon", "before", "augmented", "5 epochs later"), *rows)


def explorer_pages():
    """The sizes of pages to explore attention with."""
    rows = [
        (
            f"`{each['network']}`{', ' + each['weights'] if each['weights'] else ', random weights'}",
            f"{each['layers']}",
            f"{each['thinned_layers'] or ''}",
            f"{each['megabytes']:.2f} MB",
        )
        for each in _read("explorer_pages.json")
    ]
    return table(("network", "layers", "thinned", "page"), *rows)


def backend_tools(backend):
    """What a backend's tools do with networks."""
    networks = ("plain", "auto", "dense", "blockwise")
    rows = [
        (each["tool"], *(each[name] if each[name] == "yes" else f"no: `{each[name]}`" for name in networks))
        for each in _read("backend_tools.json")
        if each["backend"] == backend
    ]
    return table(("", "plain network", 'augmented, "auto"', '"dense"', '"blockwise"'), *rows)


def ablation(name):
    return (RESULTS / "ablations" / name / "table.md").read_text(encoding="utf-8")


def _read(name):
    return json.loads((RESULTS / name).read_text(encoding="utf-8"))


def _after_title(text):
    return text.split("\n\n", 1)[1]


# {page: {name of a table: function that returns it}}
TABLES = {
    "README.md": {"main networks": main_networks},
    "docs/layers.md": {"augmented digits": augmented_digits},
    "docs/explaining.md": {"explorer pages": explorer_pages},
    "docs/backends.md": {
        f"tools of {backend}": functools.partial(backend_tools, backend) for backend in ("tensorflow", "jax", "torch")
    },
    "docs/models.md": {"paper tables": paper_tables.markdown},
    "docs/weights.md": {"timm parity": timm_parity},
    "docs/exporting.md": {"exports": exports, "latency": export_latency, "predict": predict},
    "docs/demo.md": {"demo": demo},
    "docs/distributed.md": {"scaling": scaling},
    "docs/performance.md": {
        "attention of AAResNet50": functools.partial(attention, 0),
        "attention of AAWideResNet28_10": functools.partial(attention, 1),
        "models": models,
        "memory": memory,
        "breakdown": breakdown,
        "precision": precision,
    },
    "docs/results.md": {f"ablation {name}": functools.partial(ablation, name) for name in ABLATIONS},
}


if __name__ == "__main__":
    app.run(main)
