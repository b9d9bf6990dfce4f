"""Helpers for pages of HTML that contain everything and load nothing."""

import base64
import hashlib


def policy(style: str, script: str | None = None) -> str:
    """Returns a content security policy that allows this style, this script, pictures in the page, and nothing else."""
    scripts = "" if script is None else f" script-src {_hash(script)};"
    return f"default-src 'none'; img-src data:; style-src {_hash(style)};{scripts} base-uri 'none'; form-action 'none'"


def png_uri(content: bytes) -> str:
    """Returns a PNG as a data URI."""
    return f"data:image/png;base64,{as_base64(content)}"


def as_base64(content: bytes) -> str:
    """Returns bytes as text."""
    return base64.b64encode(content).decode("ascii")


def _hash(text):
    return f"'sha256-{as_base64(hashlib.sha256(text.encode()).digest())}'"
