"""The page: components of Gradio, and which handler each event calls."""

import pathlib
from collections.abc import Sequence
from typing import Any

from aa_keras.demo.description import as_markdown
from aa_keras.demo.functions import TOP, PageFunctions
from aa_keras.demo.handlers import Handlers
from aa_keras.errors import importing_extra

with importing_extra():
    import gradio as gr

# Requests that may wait, those of all visitors together; others are answered that the queue is full.
MAX_WAITING = 100
MAX_COLUMNS = 8
MIN_SCORE = 0.5
CENTER = (0.5, 0.5)
# In seconds: uploads and pictures are removed after an hour.
DELETE_EVERY, DELETE_AFTER = 600, 3600
# ORIGIN is the address of the page, which the browser knows.
CURL = """\
FILE=$(curl -s -F files=@image.jpg ORIGIN/gradio_api/upload | cut -d '"' -f 2)
EVENT=$(curl -s ORIGIN/gradio_api/call/predict -H "Content-Type: application/json" \\
  -d '{"data": [{"path": "'"$FILE"'", "meta": {"_type": "gradio.FileData"}}, 0.5]}' | cut -d '"' -f 4)
curl -s -N ORIGIN/gradio_api/call/predict/$EVENT"""
SET_ORIGIN = "text => text.replaceAll('ORIGIN', (location.origin + location.pathname).replace(/[/]+$/, ''))"
# One event at a time, since a network uses all cores. Programs call `predict` alone.
ON_NETWORK: dict[str, Any] = {"preprocess": False, "concurrency_id": "network", "concurrency_limit": 1}
ON_PAGE = {**ON_NETWORK, "api_visibility": "private"}


def build_page(page_functions: PageFunctions, title: str, about: str, examples: Sequence[pathlib.Path]) -> gr.Blocks:
    """Returns the page, which is not served yet. What a network cannot do is not visible.

    Args:
        page_functions: the `PageFunctions` of the network.
        title: title of the page.
        about: what the network is, in Markdown.
        examples: paths of images to try.
    """
    draws, layers, has_classes = page_functions.spec.draws, page_functions.layers, bool(page_functions.names)
    explains_classes = page_functions.explains and has_classes
    with gr.Blocks(title=title, analytics_enabled=False, delete_cache=(DELETE_EVERY, DELETE_AFTER)) as page:
        gr.Markdown(f"# {as_markdown(title)}")
        with gr.Row():
            with gr.Column():
                image = _image_input()
                if examples:
                    paths = [[str(path)] for path in examples]
                    gr.Examples(paths, image, examples_per_page=12, api_visibility="private")
                with gr.Accordion("The network", open=False):
                    gr.Markdown(about)
            with gr.Column():
                message = gr.Markdown(visible=False, elem_id="message")
                boxes = _picture("Boxes", "boxes", visible=draws)
                min_score = gr.Slider(0, 1, MIN_SCORE, label="Minimum score", visible=draws, elem_id="min_score")
                label = "Classes: click one for its Grad-CAM" if explains_classes else "Classes"
                classes = gr.Label(label=label, visible=has_classes, num_top_classes=TOP, elem_id="classes")
                rows = gr.JSON(label="Predictions", visible=not has_classes)
        with gr.Row(visible=page_functions.explains):
            with gr.Column(visible=explains_classes):
                grad_cam = _picture("Grad-CAM", "grad_cam")
            with gr.Column(visible=bool(layers)):
                attention = _picture("Attention: click a pixel to see where it looks", "attention")
        with gr.Column(visible=bool(layers)):
            choices = [(f"{name}, {height}x{width}", name) for name, (height, width) in layers.items()]
            layer = gr.Dropdown(choices, value=page_functions.layer, label="Layer", elem_id="layer")
            heads = gr.Gallery(
                label="All heads of the layer, with the largest attention: click one to enlarge it",
                columns=max(1, min(page_functions.heads, MAX_COLUMNS)),
                height="fit-content",
                object_fit="contain",
                allow_preview=False,
                interactive=False,
                buttons=[],
                elem_id="heads",
            )
        with gr.Accordion("From a program", open=False):
            command = gr.Code(CURL, language="shell", label="curl", interactive=False, elem_id="curl")
            gr.Markdown("*Use via API*, at the end of the page, has the same in Python and in JavaScript.")
        page.load(None, command, command, js=SET_ORIGIN)

        handlers = Handlers(page_functions)
        answers = [message, classes, rows, boxes, grad_cam, attention, heads]
        shown = image.change(handlers.show, [image, min_score], answers, **ON_PAGE)
        if draws:
            min_score.release(handlers.draw, [image, min_score], boxes, **ON_PAGE)
        if layers:
            head, query = gr.State(0), gr.State(CENTER)
            maps = [attention, heads]
            shown.then(handlers.attend, [image, layer, head, query], maps, **ON_PAGE)
            layer.input(handlers.attend, [image, layer, head, query], maps, **ON_PAGE)
            attention.select(handlers.attend_from_pixel, [image, layer, head], [query, *maps], **ON_PAGE)
            heads.select(handlers.attend_in_head, [image, layer, query], [head, *maps], **ON_PAGE)
        if explains_classes:
            shown.then(handlers.explain_best, image, grad_cam, **ON_PAGE)
            classes.select(handlers.explain_clicked, image, grad_cam, **ON_PAGE)
        with gr.Row(visible=False):  # the interface of programs
            program_score = gr.Number(MIN_SCORE, label="min_score")
            predictions, button = gr.JSON(label="predictions"), gr.Button()
        button.click(handlers.predict, [image, program_score], predictions, api_name="predict", **ON_NETWORK)
    return page.queue(max_size=MAX_WAITING, api_open=False)


def _picture(label, elem_id, visible=True):
    """Returns the component of a picture, without the button that would share it on another server."""
    buttons = ["download", "fullscreen"]
    return gr.Image(label=label, interactive=False, format="png", buttons=buttons, visible=visible, elem_id=elem_id)


def _image_input():
    """Returns the component of an uploaded image. Gradio would also fetch any address that a request has instead."""
    image = gr.Image(
        type="filepath",
        image_mode=None,
        sources=["upload", "clipboard", "webcam"],
        webcam_options=gr.WebcamOptions(mirror=False),
        buttons=["fullscreen"],
        label="Image",
        elem_id="image",
    )
    move = image.async_move_resource_to_block_cache

    async def refuse_addresses(path):
        if "://" in str(path):
            raise gr.Error("The image must be uploaded: addresses are not fetched", print_exception=False)
        return await move(path)

    image.async_move_resource_to_block_cache = refuse_addresses
    return image
