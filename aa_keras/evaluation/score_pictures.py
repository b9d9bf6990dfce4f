"""Pictures of scores: how reliable a classifier's confidence is, and the ROC curve of two classes."""

from matplotlib.figure import Figure


def plot_reliability(scores, path):
    """Draws the accuracy of predictions against their confidence, with the number of images below.

    Args:
        scores: `aa_keras.evaluation.scores.Scores`.
        path: PNG file to write.
    """
    confidence, accuracy, images = scores.reliability.T
    figure = Figure(figsize=(5, 5.6), layout="constrained")
    axes, counts = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
    axes.plot([0, 1], [0, 1], color="gray", linestyle="--", label="as accurate as confident")
    axes.plot(confidence, accuracy, marker="o", color="#4c78a8", label="predictions")
    axes.set(
        xlim=(0, 1),
        ylim=(0, 1),
        ylabel="accuracy",
        title=f"Reliability; expected calibration error {scores.expected_calibration_error:.1%}",
    )
    axes.legend(loc="upper left")
    axes.grid(alpha=0.3)
    counts.bar(confidence, images, width=0.03, color="#4c78a8")
    counts.set(xlabel="confidence", ylabel="images")
    figure.savefig(path, dpi=120)


def plot_roc(scores, class_names, path):
    """Draws the ROC curve of the second of two classes.

    Args:
        scores: `aa_keras.evaluation.scores.Scores` with a `roc_curve`.
        class_names: names of the two classes.
        path: PNG file to write.
    """
    figure = Figure(figsize=(5, 5), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="gray", linestyle="--")
    axes.plot(*scores.roc_curve, color="#4c78a8")
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), xlabel="false positive rate", ylabel="true positive rate")
    axes.set_title(f"ROC curve of {class_names[1]}; area {scores.roc_auc:.3f}", parse_math=False, fontsize=10)
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=120)
