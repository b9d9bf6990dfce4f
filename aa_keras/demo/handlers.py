"""What the page's events show: functions of the values of Gradio's components, as the browser sends them."""

import functools

from aa_keras.demo.description import as_markdown
from aa_keras.demo.functions import PageFunctions
from aa_keras.errors import UserError, importing_extra

with importing_extra():
    import gradio as gr


def _in_a_sentence(handler):
    """Lets a handler answer a `UserError` with its sentence."""

    @functools.wraps(handler)  # Gradio reads its annotations
    def wrapped(*values, **keywords):
        try:
            return handler(*values, **keywords)
        except UserError as error:
            raise gr.Error(f"{error}", duration=None, print_exception=False) from None

    return wrapped


class Handlers:
    """Handlers of events. An image is a dictionary with the "path" of an uploaded file, or None.

    Args:
        page_functions: the `PageFunctions` of a network.
    """

    def __init__(self, page_functions: PageFunctions):
        self._page = page_functions

    def show(self, image, min_score):
        """Returns a message, the classes, the rows without classes, the picture with boxes, and three Nones.

        The latter take the explanations of the image before away. Where there is a message, so are the others None.
        """
        nothing = (None,) * 6
        if image is None:
            return _message(""), *nothing
        try:
            path = _path(image)
            seen = self._page.classes(path)
        except UserError as error:
            return _message(f"{as_markdown(str(error))}."), *nothing
        classes = {self._page.names[number]: score for number, score in seen} if self._page.names else None
        rows = None if self._page.names else self._page.predictions(path, min_score)
        message = "" if seen or rows else "There is nothing that the network knows in this image."
        return _message(message), classes, rows, self.draw(image, min_score), None, None, None

    def draw(self, image, min_score):
        """Returns the picture with the boxes of a score of at least `min_score`, for a task that draws."""
        if not self._page.spec.draws or not self._is_readable(image):
            return None
        return self._page.drawn(_path(image), min_score)

    @_in_a_sentence
    def explain_best(self, image):
        """Returns Grad-CAM of the best class; nothing for an image that cannot be read."""
        return self._explain(image, 0) if self._is_readable(image) else None

    @_in_a_sentence
    def explain_clicked(self, image, event: gr.SelectData):
        """Returns Grad-CAM of the class that was clicked, which is one of those of the image."""
        return self._explain(image, event.index)

    @_in_a_sentence
    def attend(self, image, layer, head, query):
        """Returns the attention of the query in a head, and in all heads; nothing for an image that cannot be read."""
        if not self._is_readable(image):
            return None, None
        return self._page.attention(_path(image), layer, head, query)

    @_in_a_sentence
    def attend_from_pixel(self, image, layer, head, event: gr.SelectData):
        """Returns the pixel that was clicked as the query, and its attention in a head and in all heads."""
        column, row = event.index
        height, width = self._page.shown_size(_path(image))
        query = (row + 0.5) / height, (column + 0.5) / width
        return query, *self.attend(image, layer, head, query)

    @_in_a_sentence
    def attend_in_head(self, image, layer, query, event: gr.SelectData):
        """Returns the head that was clicked, and the attention of the query in it and in all heads."""
        return event.index, *self.attend(image, layer, event.index, query)

    @_in_a_sentence
    def predict(self, image, min_score):
        """Returns the predictions for an image: its most probable classes, or its boxes."""
        if image is None:
            raise UserError("An image must be given")
        return self._page.predictions(_path(image), min_score)

    def _is_readable(self, image):
        """Whether there is an image that can be read: `show` has said why not."""
        try:
            return image is not None and bool(self._page.seen(_path(image)))
        except UserError:
            return False

    def _explain(self, image, rank):
        path = _path(image)
        classes = self._page.classes(path)
        if rank >= len(classes):
            return None
        number, score = classes[rank]
        label = f"Grad-CAM of {self._page.names[number]} ({score:.1%})"
        return gr.Image(self._page.grad_cam(path, number), label=label)


def _message(text):
    return gr.Markdown(text, visible=bool(text))


def _path(image):
    """Returns the path of an uploaded file: Gradio has checked that it is one."""
    if not image.get("path"):
        raise UserError("An image must be an uploaded file")
    return image["path"]
