"""Programs that start at once: forks of a process that has imported TensorFlow and the library."""

import json
import os
import subprocess
import sys

# Imports what programs need, which takes seconds. Then reads a line for each program, {"command": [...], "folder": ...,
# "environment": {...}}, and writes one for its outcome, [status, output, errors]. A command is what would stand behind
# "python": a path, or -c or -m and what follows them.
SERVER = """
import json, os, runpy, sys, tempfile
import aa_keras.commands.evaluate, aa_keras.training, tensorflow_datasets, sklearn.datasets

def execute(command, folder, environment):
    os.chdir(folder)
    os.environ.update(environment)
    first, *arguments = command
    if first == "-c":
        sys.argv[:] = ["-c", *arguments[1:]]
        exec(compile(arguments[0], "<string>", "exec"), {"__name__": "__main__"})
    elif first == "-m":
        sys.argv[:] = arguments
        runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)
    else:
        sys.argv[:] = command
        sys.path[0] = os.path.dirname(first)
        runpy.run_path(first, run_name="__main__")

for line in sys.stdin:
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        child = os.fork()
        if child == 0:
            os.dup2(output.fileno(), 1)
            os.dup2(errors.fileno(), 2)
            status = 120
            try:
                execute(**json.loads(line))
                status = 0
            except SystemExit as end:
                status = 0 if end.code is None else end.code
                if not isinstance(status, int):
                    print(status, file=sys.stderr)
                    status = 1
            except BaseException:
                sys.excepthook(*sys.exc_info())
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(status)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        outcome = [status, *(file.seek(0) or file.read() for file in (output, errors))]
    print(json.dumps(outcome), flush=True)
"""


class WarmPython:
    """Python with the library imported, whose `run` is like `subprocess.run`.

    Args:
        python: the interpreter.
        **environment: the changes of the environment that its libraries see; None removes a variable.
    """

    def __init__(self, python=sys.executable, **environment):
        variables = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **environment}
        variables = {name: value for name, value in variables.items() if value is not None}
        # Not in the folder of the tests, from which the library would be imported.
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self.process = subprocess.Popen([python, "-c", SERVER], env=variables, cwd="/", **pipes)

    def run(self, *command, folder="/", **environment):
        """Runs what would stand behind `python`, and returns it as completed."""
        request = {"command": list(map(str, command)), "folder": str(folder), "environment": environment}
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return subprocess.CompletedProcess(command, *json.loads(self.process.stdout.readline()))

    def close(self):
        """Ends the process."""
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()
