"""The common parts of the programs: the flag of a recipe, and one line for a user's mistake."""

import ast
import contextlib
import copy
import errno
import logging as standard_logging
import os
import re
import signal
import sys

import ml_collections
from absl import app, flags, logging
from ml_collections import config_flags

from aa_keras.errors import Terminated, UserError, is_out_of_memory, missing_extra
from aa_keras.files import ANY_TEXT
from aa_keras.recipes import find_recipe, load_recipe


def run(main, default_config=None, takes_recipe=True, takes_operands=False):
    """Parses flags, among them --config and --config.FIELD, and calls `main` with the config.

    Flags that cannot be parsed, `UserError` and errors of the operating system (a full disk, a folder that may not be
    written) end the program with one line on standard error and status 1, and so does too little memory; everything
    else keeps its traceback. Where nobody reads standard output any more, the program ends silently.

    Args:
        main: function of the config, an `ml_collections.ConfigDict`, or None where there is none. It may return the
            status of the program.
        default_config: recipe to use without --config, a path or a name; or None.
        takes_recipe: whether there is a flag --config.
        takes_operands: whether arguments that are not flags may follow: `main` gets the list of them instead of a
            config.
    """
    config = None
    flags.FLAGS.set_gnu_getopt(True)  # flags may also follow arguments that are not flags

    def parse_flags(arguments):
        nonlocal config
        program, *arguments = arguments
        path, arguments = _split_recipe(arguments) if takes_recipe else (None, arguments)
        overrides = [argument for argument in arguments if re.match(r"--?(no)?config\.", argument)]
        if path is None and overrides and default_config is None:
            _fail(f"flags: {overrides[0].split('=')[0]} needs --config, the file of a recipe")
        try:
            if path is not None or default_config is not None:
                config = load_recipe(find_recipe(default_config if path is None else path))
                arguments = _take_builder_arguments(config, arguments)
            sys.argv[:] = [program, *arguments]
            return _parse(config, sys.argv, flags.FLAGS) if takes_recipe else flags.FLAGS(sys.argv)
        except UserError as error:
            _fail(_one_line(error))
        except flags.Error as error:
            _fail(f"flags: {_reworded(error)}")
        except (KeyError, AttributeError, TypeError, ValueError) as error:
            _fail(f"flags: {_refused_override(config, program, overrides, error)}")

    def run_main(arguments):
        if len(arguments) > 1 and not takes_operands:
            _fail(f"every option must begin with --. Received: {' '.join(arguments[1:])}")
        logging.set_verbosity(logging.ERROR)  # TensorFlow Datasets logs its cache, for instance
        logging.get_absl_handler().setFormatter(standard_logging.Formatter("%(message)s"))  # lines for users
        standard_logging.getLogger("aa_keras").setLevel("INFO")
        if hasattr(sys.stdout, "reconfigure"):
            sys.stdout.reconfigure(errors=ANY_TEXT)  # names of files may be no text
        try:
            status = main(arguments[1:] if takes_operands else config)
            sys.stdout.flush()  # here, where an error is caught
            if status:
                sys.exit(status)
        except BrokenPipeError:  # from `train.py | head`, for instance
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for the interpreter's last flush
            sys.exit(128 + signal.SIGPIPE)
        except (UserError, OSError) as error:
            _fail(_one_line(error))
        except Terminated as error:
            _fail(str(error), status=128 + signal.SIGTERM)
        except KeyboardInterrupt:
            _fail("interrupted", status=128 + signal.SIGINT)
        except ModuleNotFoundError as error:
            hint = missing_extra(error)
            if hint is None:
                raise
            _fail(hint)
        except Exception as error:
            reason = _one_line(error)[:200]
            if os.strerror(errno.ENOSPC) in str(error):  # TensorFlow and HDF5 raise their own
                _fail(f"{os.strerror(errno.ENOSPC)}: {reason}")
            if is_out_of_memory(error):
                _fail(f"out of memory: lower --config.batch_size or --config.image_size. {reason}")
            raise

    try:
        if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # the case for programs that a script starts with &
            signal.signal(signal.SIGINT, signal.default_int_handler)  # and no longer that of the program's imports
        app.run(run_main, flags_parser=parse_flags)
    except KeyboardInterrupt:  # while flags were parsed
        _fail("interrupted", status=128 + signal.SIGINT)


def _parse(config, arguments, flag_values):
    """Parses arguments, those that set fields of `config` included, in place; returns those that are no flags."""
    if config is not None:
        config_flags.DEFINE_config_dict(
            "config", config, "Recipe: its name, or the path of its file.", flag_values=flag_values, sys_argv=arguments
        )
    else:
        flags.DEFINE_string("config", None, "Recipe: its name, or the path of its file.", flag_values=flag_values)
    return flag_values(arguments)


def _refused_override(config, program, overrides, error):
    """Words the error of a flag that sets a field: ml_collections does not say which flag it is."""
    for override in overrides:
        try:
            _parse(copy.deepcopy(config), [program, override], flags.FlagValues())
        except Exception as of_one:  # whatever the error, this is the flag
            name, _, value = override.lstrip("-").partition("=")
            field = name.removeprefix("no")
            hint = re.search(r"Did you mean .*", str(of_one.args[0] if of_one.args else of_one))
            if hint or not _has_field(config, field):
                reason = hint.group().rstrip("'") if hint else "--help lists the fields"
                return f"the recipe has no field {field}. {reason}"
            return f"--{name} cannot be {value!r}: {_one_line(of_one)[:200]}"
    return _one_line(error)[:300]


# What absl says about a flag's value, and what it should be.
_KINDS = {
    "invalid literal for int": "an integer",
    "could not convert string to float": "a number",
    "Non-boolean argument": "true or false",
}


def _reworded(error):
    """Words an error of absl: it passes on what Python says about a value."""
    message = _one_line(error)
    flag = re.match(r"flag (--[\w.]+)=(.*?): ", message)
    for words, kind in _KINDS.items():
        if flag and words in message:
            return f"{flag[1]} must be {kind}. Received: {flag[1]}={flag[2]}"
    return message


def _has_field(config, name):
    value = config
    for part in name.split(".")[1:]:
        if not isinstance(value, ml_collections.ConfigDict) or part not in value:
            return False
        value = value[part]
    return True


def _split_recipe(arguments):
    """Returns what --config says, or None, and the arguments without it."""
    arguments = list(arguments)
    for index, argument in enumerate(arguments):
        name, equals, path = argument.partition("=")
        if name not in ("-config", "--config"):
            continue
        del arguments[index]
        if not equals:
            path = arguments.pop(index) if index < len(arguments) else ""
        return path, arguments
    return None, arguments


def _take_builder_arguments(config, arguments):
    """Gives a config the arguments of its builder that the recipe does not set; returns the other flags."""
    others = []
    for argument in arguments:
        match = re.fullmatch(r"--?config\.builder_arguments\.(\w+)=(.*)", argument, flags=re.DOTALL)
        if match is None or match[1] in config.builder_arguments:
            others.append(argument)  # ml_collections knows its type
            continue
        try:
            config.builder_arguments[match[1]] = ast.literal_eval(match[2])
        except (ValueError, SyntaxError):  # a text
            config.builder_arguments[match[1]] = match[2]
    return others


def _one_line(message):
    return " ".join(str(message).split())


def _fail(message, status=1):
    with contextlib.suppress(ValueError):  # in another thread than the main one
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the line is written, however often Ctrl-C is pressed
    with contextlib.suppress(OSError):  # whoever read it may be gone
        sys.stdout.flush()
    with contextlib.suppress(OSError):
        print(f"{os.path.basename(sys.argv[0])}: {message}", file=sys.stderr, flush=True)
    # Exit at once: JAX's own exit handler would wait for processes on other hosts, which wait for this one.
    os._exit(status)
