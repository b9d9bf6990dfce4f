"""The start of the library: quiet where asked to be, and without Keras, whose import takes seconds, for its program."""

import contextlib
import os
import pathlib
import signal
import sys
import tempfile

PROGRAM = "aa-keras"
# In a checkout, they are next to the folder of the library.
SCRIPTS = ("train.py", "evaluate.py")


def is_program():
    """Whether Python runs the program of the library: `aa-keras`, `python -m aa_keras`, or a script of the checkout.

    The program reads its flags before it imports Keras, so that its help and errors in flags appear at once.
    """
    if sys.argv[:1] == ["-m"]:  # while Python looks for the module
        return sys.orig_argv[sys.orig_argv.index("-m") + 1] == "aa_keras"
    script = pathlib.Path(sys.argv[0]) if sys.argv else pathlib.Path()
    if script.stem.removesuffix("-script") == PROGRAM:  # so they end on Windows
        return True
    return script.name in SCRIPTS and script.resolve().parent == pathlib.Path(__file__).resolve().parents[1]


def program_name():
    """Returns the name of the program for its messages."""
    script = pathlib.Path(sys.argv[0]).name
    return script if script in SCRIPTS else PROGRAM


def prepare_program():
    """Keeps TensorFlow quiet, and ends the program with one line where Ctrl-C is pressed while libraries are imported.

    Call it before anything that takes long.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # read by TensorFlow when it is imported
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        return
    standard_error = os.dup(2)  # in place of which others may write meanwhile

    def interrupted(*_):
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        os.write(standard_error, f"{program_name()}: interrupted\n".encode())
        os._exit(128 + signal.SIGINT)

    signal.signal(signal.SIGINT, interrupted)


@contextlib.contextmanager
def quiet_import():
    """Holds back what native code writes to standard error, where TF_CPP_MIN_LOG_LEVEL asks for silence.

    TensorFlow's libraries write half a dozen lines while they are loaded, before they read that variable. If the
    import fails, the lines that were held back are written. Other values of the variable change nothing.
    """
    if os.environ.get("TF_CPP_MIN_LOG_LEVEL") != "3":
        yield
        return
    sys.stderr.flush()
    with tempfile.TemporaryFile() as held_back, contextlib.ExitStack() as restored:
        standard_error = os.dup(2)
        restored.callback(os.close, standard_error)
        os.dup2(held_back.fileno(), 2)
        restored.callback(os.dup2, standard_error, 2)
        try:
            yield
        except BaseException:
            held_back.seek(0)
            os.write(standard_error, held_back.read())
            raise
