"""States of a search on disk: whole, of this search alone, and safe to load."""

import pickle
from pathlib import Path

import torch

from qlib.files import clear_unfinished, write_atomically


class Checkpoint:
    """The last state of one search, in a folder; nothing at all without a folder.

    Parameters
    ----------
    folder : path or None
        Made where there is none.
    name : str
        Of the file, without its suffix: what identifies the search.
    """

    def __init__(self, folder, name):
        self.path = None
        if folder is not None:
            folder = Path(folder)
            folder.mkdir(parents=True, exist_ok=True)
            self.path = folder / f"{name}.pt"
            clear_unfinished(self.path)

    def load(self):
        """The state, or an empty dict where none is stored."""
        if self.path is None or not self.path.exists():
            return {}
        try:
            return torch.load(self.path, weights_only=True)
        except (RuntimeError, EOFError, pickle.UnpicklingError) as error:
            got = f"a damaged file {self.path}"
            allowed = "a whole one; delete it to search from the beginning"
            raise ValueError(f"folder: got {got}; allowed: {allowed}") from error

    def save(self, state):
        """Store a state of numbers, strings, tensors and containers of these."""
        if self.path is not None:
            with write_atomically(self.path) as file:
                torch.save(state, file)
