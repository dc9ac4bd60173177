"""The dataset in memory and in a file of plain arrays."""

import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from qlib.arguments import integer_between
from qlib.files import write_atomically

FORMAT = "qlib.entanglement.dataset 1"
TABLE = {
    "point": np.int64,
    "family": str,
    "phase": str,
    "size": np.int64,
    "boundary": str,
    "parameters": str,
    "energy": np.float64,
    "gap": np.float64,
    "sector": str,
    "degenerate": np.bool_,
    "seed": np.int64,
    "version": str,
}
CUTS = {
    "row": np.int64,
    "cut": np.int64,
    "entropy": np.float64,
    "capacity": np.float64,
    "third_cumulant": np.float64,
    "skewness": np.float64,
    "renyi2": np.float64,
    "entanglement_gap": np.float64,
    "rank": np.float64,
}


@dataclass(frozen=True, eq=False)
class Dataset:
    """Rows of solved chains, with features and Schmidt probabilities at every cut.

    Attributes
    ----------
    table : DataFrame
        A row for every point and size: ``point``, ``family``, ``phase``, ``size`` (N),
        ``boundary``, ``parameters`` (JSON, the keyword arguments of the family's
        ``build``), ``energy`` and ``gap`` (of the two lowest levels of the sector, in
        units of the couplings), ``sector`` (JSON), ``degenerate``, ``seed``,
        ``version``.
    cuts : DataFrame
        N−1 rows for every row of the table, in order: ``row``, ``cut``, and what
        `qlib.entanglement.spectrum.features` measures, in nats. All NaN
        where the row is degenerate: a state is then one of many, and nothing is said
        about it.
    spectra : (total,) float64 array
        The Schmidt probabilities above 1e-16 of all cuts one after another, each cut's
        descending; those below are dropped, so that sums are 1 to about 1e-14. None
        where the row is degenerate.
    offsets : (len(cuts) + 1,) int64 array
        Where each cut's probabilities begin in `spectra`.
    """

    table: pd.DataFrame
    cuts: pd.DataFrame
    spectra: np.ndarray
    offsets: np.ndarray

    def probabilities(self, row, cut):
        """Schmidt probabilities of a row at a cut, descending.

        Parameters
        ----------
        row : int
            Place in `table`.
        cut : int
            In [1, N−1].

        Returns
        -------
        (D,) array
            A view; empty where the row is degenerate.

        Raises
        ------
        ValueError
            If there is no such row or cut.
        """
        row = integer_between("row", row, 0, len(self.table) - 1)
        sizes = self.table["size"].to_numpy()
        cut = integer_between("cut", cut, 1, int(sizes[row]) - 1)
        place = int((sizes[:row] - 1).sum()) + cut - 1
        return self.spectra[self.offsets[place] : self.offsets[place + 1]]

    def half_chain(self):
        """The table, with the features at cut N // 2 as further columns.

        Returns
        -------
        DataFrame
            One row for each of `table`, with the same index.
        """
        sizes = self.table["size"].to_numpy()
        places = np.cumsum(sizes - 1) - (sizes - 1) + sizes // 2 - 1
        halves = self.cuts.iloc[places].drop(columns="row")
        return self.table.join(halves.set_index(self.table.index))

    def save(self, path):
        """Write one npz file, whole or not at all; it holds no Python objects.

        Parameters
        ----------
        path : path
            Its folder must exist; a file of that name is replaced.

        Raises
        ------
        ValueError
            If the folder does not exist.
        """
        folder = Path(path).parent
        if not folder.is_dir():
            raise ValueError(
                f"path: got {str(path)!r}; allowed: a file in a folder that exists, "
                f"which {str(folder)!r} does not"
            )
        arrays = {"format": np.array(FORMAT)}
        for part, types in (("table", TABLE), ("cuts", CUTS)):
            frame = getattr(self, part)
            for name, kind in types.items():
                arrays[f"{part}.{name}"] = frame[name].to_numpy().astype(kind)
        arrays |= {"spectra": self.spectra, "offsets": self.offsets}
        with write_atomically(path) as file:
            np.savez_compressed(file, **arrays)

    @classmethod
    def load(cls, path):
        """Read what `save` wrote.

        Raises
        ------
        ValueError
            If the file is truncated, damaged, or none of ours; by its name.
        FileNotFoundError
        """
        arrays = _read(path)
        expected = {"format", "spectra", "offsets"}
        expected |= {f"table.{name}" for name in TABLE}
        expected |= {f"cuts.{name}" for name in CUTS}
        if set(arrays) != expected or str(arrays["format"]) != FORMAT:
            raise _refusal(path, "none of this format")
        table = _frame(path, arrays, "table", TABLE)
        cuts = _frame(path, arrays, "cuts", CUTS)
        spectra, offsets = arrays["spectra"], arrays["offsets"]
        if (
            not (table["size"] - 1).sum() == len(cuts) == len(offsets) - 1
            or offsets[-1] != len(spectra)
            or (np.diff(offsets, prepend=0) < 0).any()
        ):
            raise _refusal(path, "tables and spectra that do not fit")
        return cls(table, cuts, spectra, offsets)


def join(parts):
    """One dataset of the rows of many, in order.

    Parameters
    ----------
    parts : non-empty sequence of Dataset

    Returns
    -------
    Dataset
    """
    rows = np.cumsum([0] + [len(part.table) for part in parts])
    values = np.cumsum([0] + [len(part.spectra) for part in parts])
    table = pd.concat([part.table for part in parts], ignore_index=True)
    cuts = [
        part.cuts.assign(row=part.cuts["row"] + first)
        for part, first in zip(parts, rows, strict=False)
    ]
    offsets = [
        part.offsets[:-1] + first for part, first in zip(parts, values, strict=False)
    ]
    return Dataset(
        table,
        pd.concat(cuts, ignore_index=True),
        np.concatenate([part.spectra for part in parts]),
        np.append(np.concatenate(offsets), values[-1]),
    )


def _read(path):
    """The arrays of an npz file by name."""
    with open(path, "rb") as opened:
        if not zipfile.is_zipfile(opened):
            raise _refusal(path, "no zip archive, or its end is missing")
        opened.seek(0)
        try:
            with np.load(opened, allow_pickle=False) as file:
                return {name: file[name] for name in file.files}
        except (zipfile.BadZipFile, zlib.error, ValueError, EOFError) as error:
            raise _refusal(path, f"unreadable: {error}") from error


def _frame(path, arrays, part, types):
    """The columns of a table, refused unless of one length and of their types."""
    frame = {name: arrays[f"{part}.{name}"] for name in types}
    kinds = [np.dtype(kind).kind for kind in types.values()]
    if [values.dtype.kind for values in frame.values()] != kinds:
        raise _refusal(path, "columns of other types")
    if len({values.shape for values in frame.values()}) != 1:
        raise _refusal(path, "columns of unequal length")
    return pd.DataFrame(frame)


def _refusal(path, fault):
    return ValueError(
        f"path: got {str(path)!r}, {fault}; allowed: a whole file of Dataset.save"
    )
