"""Keeps TensorFlow's import quiet for those who asked for it."""

import contextlib
import os
import sys
import tempfile


@contextlib.contextmanager
def quiet_import():
    """Holds back what native code writes to standard error, where TF_CPP_MIN_LOG_LEVEL asks for silence.

    TensorFlow's libraries write half a dozen lines while they are loaded, before they read that variable. What was
    held back is written after all when the import fails. Other values of the variable change nothing.
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
