"""Trains variants of a recipe with the same seeds and compares them, as the paper's ablations do.

    python benchmarks/ablate.py --sweep=positions --config=digit_neighbours_aa_wide_resnet10_1
    python benchmarks/ablate.py --sweep=ratios --config=digits_aa_wide_resnet10_2 --seeds=0,1,2 --parallel=2

Sweeps: "positions", the encodings of positions; "ratios", kappa = upsilon from no attention to nothing else; "models",
the plain network, squeeze-and-excitation, gather-excite and attention. Each run is a process and has a run directory
of its own, so that the same command resumes where it was stopped. Fields of the recipe are set as for train.py. It
writes runs.csv, table.md and plot.png.
"""

import concurrent.futures
import csv
import inspect
import json
import multiprocessing
import os
import pathlib
import statistics

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from absl import flags

from aa_keras import applications
from aa_keras.commands import command_line
from aa_keras.errors import UserError

SWEEPS = ("positions", "ratios", "models")
RATIOS = (0.25, 0.5, 0.75, 1.0)
COLUMNS = ("variant", "seed", "top1", "top5", "cross_entropy", "parameters", "flops", "training_seconds")

SWEEP = flags.DEFINE_enum("sweep", None, SWEEPS, "What varies.", required=True)
SEEDS = flags.DEFINE_list("seeds", ["0", "1", "2"], "Seeds that each variant is trained with.")
PARALLEL = flags.DEFINE_integer("parallel", 1, "Runs at a time.", lower_bound=1)
WORKDIR = flags.DEFINE_string("workdir", "runs/ablations", "Folder of the run directories.")
OUTPUT = flags.DEFINE_string("output", None, "Folder of the table and the plot; by default where the runs are.")


def main(config):
    if not all(seed.isdigit() for seed in SEEDS.value) or not SEEDS.value:
        raise UserError(f"--seeds must be whole numbers with commas between. Received: --seeds={','.join(SEEDS.value)}")
    folder = pathlib.Path(WORKDIR.value) / f"{config.name}_{SWEEP.value}"
    rows, failures = train_all(config, variants(SWEEP.value, config), [int(seed) for seed in SEEDS.value], folder)
    output = pathlib.Path(OUTPUT.value or folder)
    output.mkdir(parents=True, exist_ok=True)
    write_csv(rows, output / "runs.csv")
    if failures:
        raise UserError(
            f"{len(failures)} of {len(rows) + len(failures)} runs failed, and the same command tries them again; the "
            f"others are in {output / 'runs.csv'}. The first: {failures[0]}"
        )
    table = markdown(rows)
    (output / "table.md").write_text(table, encoding="utf-8")
    plot(rows, f"{config.name}: {SWEEP.value}", output / "plot.png")
    print(f"\n{table}\n{output}: plot.png, runs.csv, table.md")


def variants(sweep, config):
    """Returns the changes of each variant of a sweep to a config: a dict of names to (builder, arguments).

    Raises:
        UserError: if the config's builder is not of an augmented network.
    """
    builder, arguments = config.builder, config.builder_arguments.to_dict()
    if builder not in applications.__all__ or not builder.startswith("AA"):
        raise UserError(f"config.builder must be of an augmented network, AA... Received: builder={builder!r}")
    if sweep == "positions":
        encodings = (None, "sinusoidal", "coordinates", "relative")
        return {str(name).lower(): (builder, {**arguments, "position_encoding": name}) for name in encodings}
    if sweep == "ratios":
        ratios = {f"{ratio}": {"key_ratio": ratio, "value_ratio": ratio} for ratio in RATIOS}
        changes = {"no attention": {"attention_stages": ()}, **ratios}
        return {name: (builder, {**arguments, **change}) for name, change in changes.items()}
    chosen = {}
    for prefix, name in (("", "plain"), ("SE", "squeeze-excite"), ("GE", "gather-excite"), ("AA", "attention")):
        other = prefix + builder.removeprefix("AA")
        if other in applications.__all__:
            known = inspect.signature(getattr(applications, other)).parameters
            chosen[name] = other, {key: value for key, value in arguments.items() if key in known}
    return chosen


def train_all(config, chosen, seeds, folder):
    """Trains every variant with every seed, each in a process of its own, whose memory and threads end with it.

    Returns:
        A row of results for each run that ended well, and a line for each that did not.
    """
    tasks = [(name, seed) for seed in seeds for name in chosen]
    rows, failures = {}, []
    with concurrent.futures.ThreadPoolExecutor(PARALLEL.value) as pool:
        futures = {}
        for name, seed in tasks:
            builder, arguments = chosen[name]
            run_config = config.copy_and_resolve_references()
            with run_config.unlocked():
                run_config.seed, run_config.builder, run_config.export = seed, builder, False
                run_config.builder_arguments = type(run_config)(arguments)
            workdir = folder / f"{name.replace(' ', '_')}_seed{seed}"
            futures[pool.submit(train_in_a_process, run_config, workdir)] = name, seed
        for future in concurrent.futures.as_completed(futures):
            name, seed = futures[future]
            result, failure = future.result()
            if failure is not None:
                failures.append(f"{name}, seed {seed}: {failure}")
                print(failures[-1], flush=True)
                continue
            rows[name, seed] = {**{column: result.get(column) for column in COLUMNS}, "variant": name, "seed": seed}
            print(f"{len(rows)} of {len(tasks)}: {name}, seed {seed}: top-1 {result['top1']:.4f}", flush=True)
    return [rows[name, seed] for name in chosen for seed in seeds if (name, seed) in rows], failures


def train_in_a_process(config, workdir):
    """Returns the result of a run and None, or None and why it failed."""
    process = multiprocessing.get_context("spawn").Process(target=train, args=(config, str(workdir)))
    process.start()
    process.join()
    if process.exitcode == 0:
        return json.loads((workdir / "result.json").read_text(encoding="utf-8")), None
    log = pathlib.Path(f"{workdir}.txt")
    last = log.read_text(encoding="utf-8").strip().splitlines()[-1:] if log.exists() else []
    return None, f"the run ended with status {process.exitcode}; the end of {log}: {''.join(last)}"


def train(config, workdir):
    """Trains one run in this process, with its output in a text file next to its directory."""
    import contextlib

    from aa_keras.training import train_and_evaluate

    log = pathlib.Path(f"{workdir}.txt")
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a", encoding="utf-8") as file, contextlib.redirect_stdout(file):
        try:
            train_and_evaluate(config, workdir)
        except UserError as error:
            print(error)
            raise SystemExit(1) from None


def write_csv(rows, path):
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)


def by_variant(rows):
    """Returns the rows of each variant, a dict in the order of the sweep."""
    return {name: [row for row in rows if row["variant"] == name] for name in dict.fromkeys(r["variant"] for r in rows)}


def markdown(rows):
    """Returns a table of the mean over seeds of each variant's test accuracy, with its standard deviation."""
    seeds = len({row["seed"] for row in rows})
    lines = [
        f"| variant | parameters | MFLOPs | top-1, mean of {seeds} seeds | standard deviation | lowest to highest |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, of_variant in by_variant(rows).items():
        top1 = [100 * row["top1"] for row in of_variant]
        spread = f"{statistics.stdev(top1):.2f}" if len(top1) > 1 else ""
        first = of_variant[0]
        lines.append(
            f"| {name} | {first['parameters']:,} | {first['flops'] / 1e6:.1f} | {statistics.mean(top1):.2f} | {spread} "
            f"| {min(top1):.2f} to {max(top1):.2f} |"
        )
    return "\n".join(lines) + "\n"


def plot(rows, title, path):
    """Draws the accuracy of every run, and the mean of each variant."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    grouped = by_variant(rows)
    figure, axis = pyplot.subplots(figsize=(1.5 + 1.2 * len(grouped), 4), layout="constrained")
    for position, of_variant in enumerate(grouped.values()):
        top1 = [100 * row["top1"] for row in of_variant]
        axis.plot([position] * len(top1), top1, "o", color="tab:blue", alpha=0.6)
        axis.hlines(statistics.mean(top1), position - 0.25, position + 0.25, color="tab:orange", linewidth=2)
    axis.set_xticks(range(len(grouped)), grouped)
    axis.set(title=title, ylabel="test top-1, %: runs, and their mean")
    axis.grid(axis="y", alpha=0.3)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


if __name__ == "__main__":
    command_line.run(main)
