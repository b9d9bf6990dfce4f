"""An extension of Griffe: examples of docstrings in Keras's form become code.

Keras writes "Example:" and, after an empty line, `>>>` without indentation. Griffe reads "Examples:" with indentation.
"""

import re

import griffe

EXAMPLE = re.compile(r"^Example:\n\n((?:.+(?:\n|\Z))+)", flags=re.MULTILINE)


class KerasExamples(griffe.Extension):
    def on_object(self, *, obj, **kwargs):
        if obj.docstring and not obj.is_alias:
            obj.docstring.value = EXAMPLE.sub(_indented, obj.docstring.value)


def _indented(match):
    return "Examples:\n" + "".join(f"    {line}\n" for line in match[1].splitlines())
