"""The page, served to a browser until the program is interrupted."""

import contextlib
import errno
import functools
import os
import pathlib
import queue
import secrets
import shutil
import signal
import socket
import tempfile
import threading
from collections.abc import Iterator

from aa_keras.data.image_files import find_images
from aa_keras.demo.functions import PageFunctions
from aa_keras.errors import UserError
from aa_keras.export import Predictor

LOCAL = "127.0.0.1"
EVERYWHERE = ("0.0.0.0", "::")
# The number of images to show, of a folder of examples.
MAX_EXAMPLES = 48
MAX_FILE_SIZE = "100mb"
# Visitors whose query and head are kept.
MAX_SESSIONS = 1000
_PAGE = threading.Lock()


def serve(
    predictor: Predictor,
    title: str = "A network to try",
    about: str = "",
    examples: str | os.PathLike | None = None,
    host: str | None = None,
    port: int | None = None,
):
    """Serves a page to try a network, until Ctrl-C or SIGTERM, and removes the uploaded files then.

    Args:
        predictor: what `aa_keras.export.load_predictor` returns.
        title: title of the page.
        about: what the network is, in Markdown.
        examples: folder of images to try, of which the first 48 are shown; or None.
        host: address to listen at. None takes that of the environment variable `GRADIO_SERVER_NAME`, as Hugging Face
            Spaces set it, or else 127.0.0.1, which this machine alone reaches.
        port: port to listen at. None takes that of `GRADIO_SERVER_PORT`, or else the first free one from 7860.

    Raises:
        UserError: if there is no such address or port, or no image in the folder.
        ModuleNotFoundError: without Gradio, which the extra `demo` installs.

    Example:

    >>> serve(aa_keras.export.load_predictor("runs/digits"))
    """
    _on_signals(signal.SIGTERM, handler=signal.default_int_handler)  # as Ctrl-C does, so that files are removed
    with running(predictor, title, about, examples, host, port) as address:
        listened = host or os.environ.get("GRADIO_SERVER_NAME", LOCAL)
        if listened in EVERYWHERE:
            print(f"Everyone in the networks of this machine can use the page: it listens at {listened}")
        elif listened not in (LOCAL, "localhost", "::1"):
            print(f"Everyone who can reach {listened} can use the page")
        print(f"The page is at {address} (Ctrl-C ends it)", flush=True)
        asked: queue.SimpleQueue = queue.SimpleQueue()  # which handlers of signals may use
        _on_signals(signal.SIGTERM, signal.SIGINT, handler=lambda number, _: asked.put(number))
        asked.get()
    print("The page has ended, and the uploaded files are removed")


@contextlib.contextmanager
def running(
    predictor: Predictor,
    title: str = "A network to try",
    about: str = "",
    examples: str | os.PathLike | None = None,
    host: str | None = None,
    port: int | None = None,
) -> Iterator[str]:
    """A context in which the page is served: yields its address. A process serves one page at a time.

    The arguments are those of `serve`.

    Raises:
        UserError: as `serve` does.
        RuntimeError: if another page is served.
    """
    _check_address(host, port)
    paths = [] if examples is None else find_images([pathlib.Path(examples)])[:MAX_EXAMPLES]
    with (
        _only_page(),
        _upload_folder() as folder,
        _environment(GRADIO_TEMP_DIR=folder, GRADIO_ANALYTICS_ENABLED="False"),
    ):
        from aa_keras.demo.page import build_page  # Gradio, which takes two seconds

        page = build_page(PageFunctions(predictor), title, about, paths)
        try:
            _, address, _ = page.launch(
                server_name=host,
                server_port=port,
                prevent_thread_lock=True,
                quiet=True,
                share=False,
                footer_links=["api"],
                run_history=False,
                enable_monitoring=False,
                max_file_size=MAX_FILE_SIZE,
                state_session_capacity=MAX_SESSIONS,
            )
            yield address
        finally:
            page.close(verbose=False)


@contextlib.contextmanager
def _only_page():
    """A context for one page at a time, since the folder of Gradio's files is that of the process."""
    if not _PAGE.acquire(blocking=False):
        raise RuntimeError("This process serves a page already: end it first, or start another process")
    try:
        yield
    finally:
        _PAGE.release()


@functools.cache
def folder_name() -> str:
    """Returns the path of the folder for uploads: one for the process, since Gradio keeps it for the next page."""
    return os.path.join(tempfile.gettempdir(), f"aa_keras_demo_{secrets.token_hex(8)}")


@contextlib.contextmanager
def _upload_folder():
    """A context with the folder for uploads, of this user alone."""
    os.mkdir(folder_name(), mode=0o700)
    try:
        yield folder_name()
    finally:
        shutil.rmtree(folder_name())


@contextlib.contextmanager
def _environment(**variables):
    """A context with environment variables: Gradio reads its settings from there."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _on_signals(*signals, handler):
    """Sets a handler of signals, which the main thread alone may do."""
    if threading.current_thread() is threading.main_thread():
        for number in signals:
            signal.signal(number, handler)


def _check_address(host, port):
    """Raises UserError unless this machine can listen at an address: Gradio would try a hundred ports first."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host or LOCAL, port or 0, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            tried.bind(address)
    except (OSError, UnicodeError) as error:
        used_by = {errno.EADDRINUSE: "another program uses", errno.EACCES: "only the administrator may use"}
        code = getattr(error, "errno", None)
        if code in used_by:
            raise UserError(f"port must be free. Received: port={port}, which {used_by[code]}") from None
        raise UserError(f"host must be an address of this machine. Received: host={host}") from None
