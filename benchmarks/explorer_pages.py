"""The size of the page that `aa-keras explain --builder=NETWORK --image=FILE --html=PAGE` writes.

python benchmarks/explorer_pages.py        # two minutes on two cores; writes benchmarks/results/explorer_pages.json

The image is a smooth one in random colours. Without trained weights, networks have random ones, and batch statistics of
such images.
"""

import json
import os
import pathlib
import re
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from PIL import Image

from aa_keras.commands.explain import explain_image
from aa_keras.export.servable import drawn_images

RESULT = pathlib.Path(__file__).parent / "results" / "explorer_pages.json"
# Builders, with the weights of the library, if it has some.
NETWORKS = {
    "AAWideResNet(10, 2, num_heads=4, input_shape=(8, 8, 3), classes=10)": None,
    "AAWideResNet16_4": "cifar100",
    "AAWideResNet28_10": None,
    "AAResNet50": None,
    "AAResNet152": None,
}


def main():
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        image, page = pathlib.Path(folder) / "image.png", pathlib.Path(folder) / "page.html"
        Image.fromarray(drawn_images((256, 340), 3, 1)[0]).save(image)
        for builder, weights in NETWORKS.items():
            explain_image(str(image), builder=builder, weights=weights, html=str(page))
            text = page.read_text(encoding="utf-8")
            (data,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
            layers = json.loads(data)["layers"]
            rows.append(
                {
                    "network": builder,
                    "weights": weights,
                    "layers": len(layers),
                    "thinned_layers": sum(max(layer["strips"]) > 1 for layer in layers),
                    "megabytes": round(len(text.encode()) / 1e6, 3),
                }
            )
            print(rows[-1], flush=True)
    RESULT.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
