"""What `train.py` and `evaluate.py` have in common: the flag of a recipe, and a user's mistakes told in one line."""

import contextlib
import errno
import logging as standard_logging
import os
import pathlib
import re
import signal
import sys

from absl import app, flags, logging
from ml_collections import config_flags

from aa_keras.errors import Terminated, UserError


def run(main, default_config=None):
    """Parses flags, among them --config and --config.FIELD, and calls `main` with the config.

    Flags that cannot be parsed, `UserError` and errors of the operating system (a full disk, a folder that may not be
    written) end the program with one line on standard error and status 1, and so does too little memory; everything
    else keeps its traceback. Where nobody reads standard output any more, the program ends without a word.

    Args:
        main: function of the config, an `ml_collections.ConfigDict`, or None where there is none.
        default_config: recipe to use without --config, a path relative to the program's folder; or None.
    """
    config = None

    def parse_flags(arguments):
        nonlocal config
        sys.argv[:] = arguments = [arguments[0], *_with_config_path(arguments[1:])]
        default = None if default_config is None else str(_program_folder() / default_config)
        try:
            # Defining the flag reads the recipe and the fields that --config.FIELD sets.
            config = config_flags.DEFINE_config_file("config", default, "File of a recipe; see configs/.")
            return flags.FLAGS(arguments)
        except flags.Error as error:
            _fail(f"flags: {_one_line(error)}")
        except (KeyError, AttributeError, TypeError, ValueError) as error:
            message = str(error.args[0] if error.args else error)
            if "Error whilst parsing config file" in message:
                raise  # a defect of the recipe's own code
            fields = ", ".join(re.findall(r"--(config\.[\w.]+)", " ".join(arguments)))
            hint = re.search(r"Did you mean .*", message)
            reason = hint.group() if hint else "see the recipe and aa_keras/recipes.py for those there are"
            _fail(f"flags: the recipe lacks a field among {fields}, or it takes another value. {reason}")

    def run_main(arguments):
        if len(arguments) > 1:
            _fail(f"every option begins with --. Received: {' '.join(arguments[1:])}")
        logging.set_verbosity(logging.ERROR)  # TensorFlow Datasets tells of its cache, for instance
        standard_logging.getLogger("aa_keras").setLevel("INFO")
        try:
            main(config.value)
            sys.stdout.flush()  # here, where an error is caught
        except BrokenPipeError:  # of `train.py | head`, for instance
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for the interpreter's last flush
            sys.exit(128 + signal.SIGPIPE)
        except (UserError, OSError) as error:
            _fail(_one_line(error))
        except Terminated as error:
            _fail(str(error), status=128 + signal.SIGTERM)
        except KeyboardInterrupt:
            _fail("interrupted", status=128 + signal.SIGINT)
        except Exception as error:
            reason = _one_line(error)[:200]
            if os.strerror(errno.ENOSPC) in str(error):  # TensorFlow and HDF5 raise their own
                _fail(f"{os.strerror(errno.ENOSPC)}: {reason}")
            if _is_out_of_memory(error):
                _fail(f"out of memory: lower --config.batch_size or --config.image_size. {reason}")
            raise

    app.run(run_main, flags_parser=parse_flags)


def _with_config_path(arguments):
    """Replaces the value of --config by a path that exists: from the current folder, or else from the program's."""
    arguments = list(arguments)
    for index, argument in enumerate(arguments):
        name, equals, path = argument.partition("=")
        if name.lstrip("-") != "config" or not name.startswith("-"):
            continue
        if not equals:
            path = arguments.pop(index + 1) if index + 1 < len(arguments) else ""
        found = [folder / path for folder in (pathlib.Path.cwd(), _program_folder()) if (folder / path).is_file()]
        if not found:
            recipes = sorted(file.stem for file in (_program_folder() / "configs").glob("*.py"))
            _fail(f"--config must be the file of a recipe, such as {recipes}. Received: --config={path}")
        arguments[index] = f"--config={found[0]}"
        break
    return arguments


def _program_folder():
    return pathlib.Path(sys.argv[0]).resolve().parent


def _is_out_of_memory(error):
    """Whether an error says so: Python's, TensorFlow's (known by name, since not imported here) or that of XLA."""
    names = {kind.__name__ for kind in type(error).__mro__}
    return bool(names & {"MemoryError", "ResourceExhaustedError"}) or "RESOURCE_EXHAUSTED" in str(error)


def _one_line(message):
    return " ".join(str(message).split())


def _fail(message, status=1):
    with contextlib.suppress(OSError):  # whoever read it may be gone
        sys.stdout.flush()
    with contextlib.suppress(OSError):
        print(f"{os.path.basename(sys.argv[0])}: {message}", file=sys.stderr, flush=True)
    # At once: JAX's own handler of an exit would wait for processes on other hosts, which wait for this one.
    os._exit(status)
