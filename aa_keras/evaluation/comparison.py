"""A network's cost and results, next to those that are published for it."""

import dataclasses
import inspect

from aa_keras import applications
from aa_keras.applications import paper
from aa_keras.complexity import model_complexity
from aa_keras.evaluation.html_report import Section


@dataclasses.dataclass(frozen=True)
class Comparison:
    """A network's numbers.

    Attributes:
        title: the call that builds the network.
        rows: triples of the name of a number, the number here, and the published one or "".
    """

    title: str
    rows: tuple[tuple[str, str, str], ...]

    def __str__(self):
        numbers = (f"{name} {here}{f' (published: {there})' if there else ''}" for name, here, there in self.rows)
        return f"{self.title}: {'; '.join(numbers)}"

    def section(self) -> Section:
        """Returns it as a section of a report."""
        if any(there for *_, there in self.rows):
            return Section("Compared with published numbers", self.title, table=(("", "here", "published"), *self.rows))
        return Section("Size and cost", self.title, table=(("", "here"), *(row[:2] for row in self.rows)))


def of_network(config, dataset, model) -> Comparison:
    """Returns the size and the cost of a network for which nothing is published.

    Args:
        config: its recipe.
        dataset: the data set that it was evaluated on, with the `image_shape` that the network sees.
        model: the Keras model.
    """
    counted = _counted(config.builder, _changed_arguments(config), model, dataset.image_shape)
    return _comparison(counted, None, "", "", ())


def of_classifier(config, dataset, model, evaluation) -> Comparison:
    """Compares a classifier with the paper's, if the paper has it with this data set.

    Args:
        config: its recipe.
        dataset: the `ImageDataset` that it was evaluated on.
        model: the Keras model.
        evaluation: its `aa_keras.evaluation.classification.Evaluation`.
    """
    arguments = _changed_arguments(config)
    counted = _counted(config.builder, arguments, model, dataset.image_shape)
    found = _published(counted, paper.CLASSIFIERS, dataset.name)
    accuracy = f"{100 * evaluation.top1:.1f} / {100 * evaluation.top5:.1f}"
    return _comparison(counted, found, "top-1 / top-5", accuracy, ("paper_top1", "paper_top5"))


def of_detector(config, dataset, model, evaluation) -> Comparison:
    """Compares a detector with the paper's, likewise; `evaluation` is its `DetectionEvaluation`."""
    arguments = _changed_arguments(config)
    counted = _counted(config.builder, arguments, model, None)
    found = _published(dataclasses.replace(counted, arguments=()), paper.DETECTORS, dataset.name)
    precisions = " / ".join(f"{100 * value:.1f}" for value in (evaluation.ap, evaluation.ap50, evaluation.ap75))
    return _comparison(counted, found, "AP / AP50 / AP75", precisions, ("paper_ap", "paper_ap50", "paper_ap75"))


@dataclasses.dataclass(frozen=True)
class _Counted:
    """What was counted of a network, with the names of `paper.ModelSpec`."""

    builder: str
    arguments: tuple
    parameters: int
    gflops: float
    gflops_without_products: float


def _counted(builder, arguments, model, image_shape):
    complexity = model_complexity(model, image_shape)
    without_products = model_complexity(model, image_shape, attention_products=False)
    counted = (complexity.parameters, complexity.flops / 1e9, without_products.flops / 1e9)
    return _Counted(builder, tuple(arguments.items()), *counted)


def _published(counted, specs, dataset):
    """Returns the spec of the same network for a data set, or None."""
    for spec in specs:
        same = (spec.builder, spec.dataset.name, spec.parameters) == (counted.builder, dataset, counted.parameters)
        if same and round(counted.gflops, 2) == spec.gflops and dict(spec.arguments) == dict(counted.arguments):
            return spec
    return None


def _comparison(counted, spec, measure, measured, fields):
    """Returns the `Comparison` of what was counted and measured with a spec, or with None."""
    title = f"{counted.builder}({', '.join(f'{name}={value!r}' for name, value in counted.arguments)})"
    rows = [("parameters", f"{counted.parameters:,}", _text(getattr(spec, "paper_parameters", None), " M"))]
    flops = _text(getattr(spec, "paper_gflops", None))
    if counted.gflops_without_products != counted.gflops:  # the paper's probably leave these products out
        rows.append(("GFLOPs", _gflops(counted.gflops), ""))
        rows.append(("GFLOPs without attention's products", _gflops(counted.gflops_without_products), flops))
    else:
        rows.append(("GFLOPs", _gflops(counted.gflops), flops))
    results = " / ".join(filter(None, (_text(getattr(spec, field, None)) for field in fields)))
    if results:
        rows.append((measure, measured, results))
    return Comparison(title, tuple(rows))


def _text(number, unit=""):
    return "" if number is None else f"{number}{unit}"


def _gflops(number):
    return f"{number:.2f}" if number >= 0.1 else f"{number:.2g}"


def _changed_arguments(config):
    """Returns the builder's arguments that are not its defaults, except `implementation`, which changes no result."""
    parameters = inspect.signature(getattr(applications, config.builder)).parameters
    arguments = config.builder_arguments.to_dict()
    arguments = {name: tuple(value) if isinstance(value, list) else value for name, value in arguments.items()}
    return {
        name: value
        for name, value in arguments.items()
        if name not in ("implementation", "name") and value != parameters[name].default
    }
