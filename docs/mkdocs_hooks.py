"""Hooks of MkDocs: files outside docs/ that a page links to, and the notebooks, become part of the site.

A link in a page is relative to the page's place in the repository, so that it also works where the repository is
browsed. The site has the contents of docs/ at its top, and next to them the files that pages link to.
"""

import pathlib
import posixpath
import re

import jupytext
from mkdocs.structure.files import File

ROOT = pathlib.Path(__file__).parents[1]
NOTEBOOKS = ("tutorial", "finetuning", "own_task")
PAGES = ("CONTRIBUTING.md", "CHANGELOG.md")  # in the navigation, whoever links to them
LINK = re.compile(r"\]\((?!\w+:|#)([^)\s#]+)")


def on_files(files, config):
    """Adds the notebooks, as Markdown, and every file that a page links to."""
    for name in NOTEBOOKS:
        text = jupytext.writes(jupytext.read(ROOT / "docs" / f"{name}.py"), "md")
        text = re.sub(r"\A---\n.*?\n---\n", "", text, flags=re.DOTALL)  # settings of Jupyter
        files.append(File.generated(config, f"{name}.md", content=text))
    waiting = [file.src_uri for file in files if file.src_uri.endswith(".md")]
    for path in PAGES:
        waiting += _added(path, files, config)
    while waiting:
        page = waiting.pop()
        for target in LINK.findall(files.get_file_from_path(page).content_string):
            path = _in_repository(target, page)
            if (ROOT / path).is_file():
                waiting += _added(path, files, config)
    return files


def on_page_markdown(markdown, page, config, files):
    """Turns links that are right in the repository into ones that are right in the site."""

    def link(match):
        path = _in_repository(match[1], page.file.src_uri)
        if not (ROOT / path).is_file():
            return match[0]  # for MkDocs to complain about
        return "](" + posixpath.relpath(_in_site(path), posixpath.dirname(page.file.src_uri))

    return LINK.sub(link, markdown)


def _added(path, files, config):
    """Adds a file of the repository to the site, and returns a list with its name if it is a page."""
    name = _in_site(path)
    if files.get_file_from_path(name):
        return []
    files.append(File.generated(config, name, abs_src_path=str(ROOT / path)))
    return [name] if name.endswith(".md") else []


def _in_repository(target, page):
    folder = "docs" if (ROOT / "docs" / page).exists() or page[:-3] in NOTEBOOKS else "."
    return posixpath.normpath(posixpath.join(folder, posixpath.dirname(page), target))


def _in_site(path):
    for name in NOTEBOOKS:
        path = path.replace(f"docs/{name}.py", f"docs/{name}.md")
    return path.removeprefix("docs/")
