"""Observers of the inputs that the attention layers of a network get."""

import contextlib
import contextvars

# The observers of the running thread alone: a network that serves in another thread is not observed.
_observer: contextvars.ContextVar = contextvars.ContextVar("observer", default=None)


@contextlib.contextmanager
def observed(observer):
    """Within the `with` block, `observer(layer, inputs)` is called with each `SelfAttention2D` that runs."""
    token = _observer.set(observer)
    try:
        yield
    finally:
        _observer.reset(token)


def report(layer, inputs):
    """Passes a layer and its inputs to the observer, if there is one."""
    observer = _observer.get()
    if observer is not None:
        observer(layer, inputs)
