"""A stand-in for `huggingface_hub`, with a folder in place of the network and another one as its cache."""

import hashlib
import pathlib
import shutil


class Hub:
    """A stand-in for the module.

    Attributes:
        folder: the folder with the repositories; those of other revisions than the main branch have "@REVISION" after
            their names.
        created: pairs of the name of each repository that was made, and whether it is private.
    """

    def __init__(self, folder):
        self.folder = folder
        self.created = []
        self._cache = folder.with_name("hub cache")

    def HfApi(self):  # noqa: N802  the module's class
        return self

    def _repository(self, repository, revision):
        return self.folder / (repository if revision is None else f"{repository}@{revision}")

    def model_info(self, repository, revision, timeout):
        if not self._repository(repository, revision).is_dir():
            raise OSError("404 Client Error\nno such repository")

    def hf_hub_download(self, repository, name, revision, local_files_only=False):
        """Copies a file into a folder for the commit, whose name depends on all files, and links it to the revision."""
        source = self._repository(repository, revision)
        latest = self._cache / f"{source.parent.name}--{source.name}"
        if local_files_only:
            commit = latest.read_text()
            assert (latest.with_name(commit) / name).is_file()
        else:
            contents = b"".join(path.read_bytes() for path in sorted(source.iterdir()))
            commit = hashlib.sha256(contents).hexdigest()
            latest.with_name(commit).mkdir(parents=True, exist_ok=True)
            latest.write_text(commit)
            shutil.copy(source / name, latest.with_name(commit) / name)
        return str(latest.with_name(commit) / name)

    def create_repo(self, repository, private, exist_ok):
        (self.folder / repository).mkdir(parents=True, exist_ok=exist_ok)
        self.created.append((repository, private))

    def upload_folder(self, repo_id, folder_path, allow_patterns):
        for name in allow_patterns:
            shutil.copy(pathlib.Path(folder_path) / name, self.folder / repo_id / name)
