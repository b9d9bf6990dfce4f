"""A stand-in for `huggingface_hub`, with a folder in place of the network."""

import pathlib
import shutil


class Hub:
    """A stand-in for the module.

    Attributes:
        folder: the folder with the repositories.
        created: pairs of the name of each repository that was made, and whether it is private.
    """

    def __init__(self, folder):
        self.folder = folder
        self.created = []

    def HfApi(self):  # noqa: N802  the module's class
        return self

    def model_info(self, repository, timeout):
        if not (self.folder / repository).is_dir():
            raise OSError("404 Client Error\nno such repository")

    def hf_hub_download(self, repository, name, local_dir):
        return str(shutil.copy(self.folder / repository / name, pathlib.Path(local_dir) / name))

    def create_repo(self, repository, private, exist_ok):
        (self.folder / repository).mkdir(parents=True, exist_ok=exist_ok)
        self.created.append((repository, private))

    def upload_folder(self, repo_id, folder_path, allow_patterns):
        for name in allow_patterns:
            shutil.copy(folder_path / name, self.folder / repo_id / name)
