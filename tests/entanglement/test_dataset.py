"""The dataset: rows that depend on nothing else, and files."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import fields, replace
from math import log

import numpy as np
import pandas as pd
import psutil
import pytest

from qlib.entanglement import exact
from qlib.entanglement.dataset import FAMILIES, Dataset, Family, make_dataset
from qlib.entanglement.dataset import rows as rows_module
from qlib.entanglement.hamiltonians import tfim
from qlib.entanglement.spectrum import features, schmidt_values


def _assert_same(one, other):
    """Whether two datasets agree bit for bit."""
    pd.testing.assert_frame_equal(one.table, other.table, check_exact=True)
    pd.testing.assert_frame_equal(one.cuts, other.cuts, check_exact=True)
    assert np.array_equal(one.spectra, other.spectra)
    assert np.array_equal(one.offsets, other.offsets)


@pytest.fixture(scope="module")
def dataset():
    """One point of every family at the sizes 4 and 8."""
    return make_dataset(len(FAMILIES), sizes=(4, 8), seed=3)


def test_rows_are_points_times_sizes_with_every_cut(dataset):
    table, cuts = dataset.table, dataset.cuts
    assert table["point"].tolist() == list(np.repeat(range(len(FAMILIES)), 2))
    assert table["family"].tolist() == list(np.repeat(list(FAMILIES), 2))
    assert table["size"].tolist() == [4, 8] * len(FAMILIES)
    assert cuts["row"].tolist() == list(np.repeat(range(len(table)), table["size"] - 1))
    assert cuts["cut"].tolist() == [1, 2, 3, *range(1, 8)] * len(FAMILIES)
    assert not table["degenerate"].any()
    assert (table["gap"] > 0).all()
    one_point = table.groupby("point")[["parameters", "version", "seed"]].nunique()
    assert (one_point == 1).all(axis=None)


def test_rows_are_the_ground_states_of_their_parameters(dataset):
    for row, entry in enumerate(dataset.table.itertuples()):
        if entry.size == 4:
            H = FAMILIES[entry.family].build(4, **json.loads(entry.parameters))
            assert entry.energy == pytest.approx(exact.spectrum(H)[0], abs=1e-9)
            sector = exact.Sector(**json.loads(entry.sector))
            levels = exact.spectrum(H, sector)
            assert entry.gap == pytest.approx(levels[1] - levels[0], abs=1e-9)
            p = schmidt_values(np.linalg.eigh(H.matrix())[1][:, 0], 2) ** 2
            ours = dataset.probabilities(row, 2)
            if exact.ground_state(H).gap > 1e-3:
                assert np.allclose(ours, p[: len(ours)], atol=1e-10)


def test_features_are_those_of_the_stored_probabilities(dataset):
    for entry in dataset.cuts.itertuples():
        p = dataset.probabilities(entry.row, entry.cut)
        assert np.all(np.diff(p) <= 0)
        assert p.min() > 1e-16
        assert p.sum() == pytest.approx(1, abs=1e-14)
        again = features(p)
        for field in fields(again):
            if field.name == "entanglement_gap" and len(p) == 1:
                continue  # a second probability of rounding, dropped
            value = getattr(entry, field.name)
            assert getattr(again, field.name) == pytest.approx(value, abs=1e-9)


def test_half_chain_joins_the_middle_cut(dataset):
    halves = dataset.half_chain()
    assert (halves["cut"] == halves["size"] // 2).all()
    dimers = halves[(halves["family"] == "cluster_phase") & (halves["size"] == 8)]
    assert dimers["entropy"].item() == pytest.approx(log(4), abs=0.05)
    for row in range(len(halves)):
        p = dataset.probabilities(row, halves["cut"][row])
        assert halves["entropy"][row] == pytest.approx(features(p).entropy, abs=1e-12)


def test_rows_do_not_depend_on_company(dataset):
    """Fewer points, and sizes alone, give the rows of the whole."""
    few = make_dataset(9, sizes=(8,), seed=3)
    for row in range(9):
        whole = 2 * row + 1
        pd.testing.assert_series_equal(
            few.table.loc[row], dataset.table.loc[whole], check_names=False
        )
        for cut in range(1, 8):
            ours = few.probabilities(row, cut)
            assert np.array_equal(ours, dataset.probabilities(whole, cut))
    other = make_dataset(9, sizes=(8,), seed=4)
    assert not set(other.table["energy"]) & set(few.table["energy"])


SCRIPT = """
from qlib.entanglement.dataset import make_dataset
if __name__ == "__main__":
    make_dataset(4000, sizes=(4, 8), seed=3, folder={folder!r}, workers=2)
"""


def test_killed_run_leaves_whole_chunks_and_no_worker_and_goes_on(tmp_path, dataset):
    folder = tmp_path / "rows"
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(folder=str(folder)))
    run = subprocess.Popen([sys.executable, script])
    end = time.monotonic() + 60
    while len(list(folder.glob("*.npz"))) < 2 and time.monotonic() < end:
        time.sleep(0.02)
    workers = psutil.Process(run.pid).children(recursive=True)
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    assert psutil.wait_procs(workers, timeout=20)[1] == []
    written = {path: path.stat().st_mtime_ns for path in folder.glob("*.npz")}
    assert len(written) >= 2
    resumed = make_dataset(len(FAMILIES), sizes=(4, 8), seed=3, folder=folder)
    _assert_same(resumed, dataset)
    assert all(path.stat().st_mtime_ns == was for path, was in written.items())


def test_other_arguments_never_meet_a_chunk(tmp_path):
    names = ("tfim_paramagnet", "cluster_phase")
    base = {"points": 3, "families": names, "sizes": (4, 6), "seed": 0}
    changes = [
        {},
        {"points": 2},
        {"families": names[::-1]},
        {"sizes": (4, 8)},
        {"sizes": (6, 4)},
        {"seed": 1},
    ]
    for count, change in enumerate(changes, start=1):
        made = make_dataset(**base | change, folder=tmp_path)
        _assert_same(made, make_dataset(**base | change))
        files = list(tmp_path.glob("*.npz"))
        assert len(files) == count
    assert not list(tmp_path.glob(".*"))


def test_chunk_of_an_older_definition_is_left_alone(tmp_path, monkeypatch):
    names = ("tfim_paramagnet",)
    make_dataset(1, names, (4,), folder=tmp_path)
    family = FAMILIES[names[0]]
    changed = replace(family, ranges={"field": (5.0, 6.0)})
    monkeypatch.setitem(FAMILIES, names[0], changed)
    made = make_dataset(1, names, (4,), folder=tmp_path)
    assert json.loads(made.table["parameters"][0])["field"] > 5
    assert len(list(tmp_path.glob("*.npz"))) == 2


def test_degenerate_row_is_kept_flagged_and_says_nothing_else(monkeypatch, tmp_path):
    def build(N, boundary):
        return tfim(N, 1.0, 0.0, boundary=boundary)

    def sector(N, parameters):
        return exact.Sector()

    family = Family("ghz", "gapped", build, {}, ("open",), sector, True)
    monkeypatch.setitem(FAMILIES, "ghz", family)
    made = make_dataset(4, ("ghz", "tfim_paramagnet"), (4, 6))
    assert made.table["degenerate"].tolist() == [True, True, False, False] * 2
    assert made.table["energy"][:2].tolist() == pytest.approx([-3.0, -5.0])
    flagged = made.cuts[made.table["degenerate"].to_numpy()[made.cuts["row"]]]
    assert flagged.drop(columns=["row", "cut"]).isna().all(axis=None)
    assert made.probabilities(1, 3).size == 0
    assert made.probabilities(2, 2).sum() == pytest.approx(1)
    assert (
        made.half_chain()["entropy"].isna().tolist() == [True, True, False, False] * 2
    )
    made.save(tmp_path / "made.npz")
    _assert_same(Dataset.load(tmp_path / "made.npz"), made)


def test_file_gives_back_the_dataset_bit_for_bit(dataset, tmp_path):
    path = tmp_path / "rows.npz"
    dataset.save(path)
    first = path.read_bytes()
    _assert_same(Dataset.load(path), dataset)
    Dataset.load(path).save(path)
    assert path.read_bytes() == first
    assert [entry.name for entry in tmp_path.iterdir()] == ["rows.npz"]


def _truncated(content):
    return content[: len(content) // 2]


def _flipped(content):
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 255]) + content[middle + 1 :]


@pytest.mark.parametrize(
    "damage", [_truncated, _flipped, lambda content: b"", lambda content: b"rows"]
)
def test_damaged_file_is_refused_by_name(damage, dataset, tmp_path):
    path = tmp_path / "damaged.npz"
    dataset.save(path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError, match=r"damaged\.npz.*allowed: a whole file"):
        Dataset.load(path)


def test_foreign_file_is_refused_by_name(dataset, tmp_path):
    path = tmp_path / "foreign.npz"
    dataset.save(path)
    with np.load(path) as file:
        arrays = dict(file)
    variants = [
        {"something": np.arange(3)},
        arrays | {"format": np.array("another 1")},
        arrays | {"offsets": arrays["offsets"][:-1]},
        arrays | {"spectra": arrays["spectra"][:-1]},
        arrays | {"table.energy": arrays["table.energy"][:-1]},
        {name: values for name, values in arrays.items() if name != "cuts.rank"},
        arrays | {"table.energy": arrays["table.energy"].astype(str)},
        arrays | {"table.family": arrays["table.family"].astype(object)},  # a pickle
    ]
    for variant in variants:
        np.savez(path, **variant)
        with pytest.raises(ValueError, match=r"foreign\.npz.*allowed: a whole file"):
            Dataset.load(path)
    np.save(tmp_path / "foreign.npy", np.arange(3))
    with pytest.raises(ValueError, match=r"foreign\.npy.*allowed: a whole file"):
        Dataset.load(tmp_path / "foreign.npy")


def test_chunk_that_holds_other_rows_than_its_name_says_is_refused(tmp_path):
    arguments = {"families": ("tfim_paramagnet",), "sizes": (4,), "folder": tmp_path}
    make_dataset(1, **arguments)
    (path,) = tmp_path.glob("*.npz")
    make_dataset(1, ("tfim_paramagnet",), (4,), seed=1).save(path)
    with pytest.raises(ValueError, match=f"folder: got other rows in .*{path.name}"):
        make_dataset(1, **arguments)
    path.write_bytes(b"")
    with pytest.raises(ValueError, match=path.name):
        make_dataset(1, **arguments)


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        ({"points": 0}, "points: got 0"),
        ({"points": 2.5}, "points: got 2.5"),
        ({"families": ()}, r"families: got \(\)"),
        ({"families": "tfim_critical"}, "families: got 'tfim_critical'"),
        ({"families": ["ising"]}, "families: got 'ising'; allowed: .*tfim_critical"),
        ({"families": ["xxz_neel"] * 2}, "families: .* none twice"),
        ({"families": 3}, "families: got 3"),
        ({"sizes": ()}, r"sizes: got \(\)"),
        ({"sizes": 12}, "sizes: got 12; allowed: a sequence"),
        ({"sizes": (8, 7)}, r"sizes: got \(8, 7\); allowed: even integers >= 4"),
        ({"sizes": (2,)}, "sizes"),
        ({"sizes": (8, float("nan"))}, "sizes: got nan"),
        ({"sizes": (8, 8)}, "sizes: .* none twice"),
        ({"seed": -1}, "seed: got -1"),
        ({"seed": 1.5}, "seed: got 1.5"),
        ({"workers": 0}, "workers: got 0"),
    ],
)
def test_bad_arguments_are_refused_by_name(arguments, fault, monkeypatch):
    monkeypatch.setattr(rows_module.exact, "ground_state", None)  # before any work
    with pytest.raises(ValueError, match=fault):
        make_dataset(**{"points": 1} | arguments)


def test_saving_to_a_folder_that_does_not_exist_names_it(dataset, tmp_path):
    with pytest.raises(ValueError, match=r"^path: got .*missing' does not$"):
        dataset.save(tmp_path / "missing" / "rows.npz")


def test_folder_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=r"folder: got .*file', a file"):
        make_dataset(1, sizes=(4,), folder=tmp_path / "file")


@pytest.mark.parametrize(
    ("row", "cut", "fault"),
    [
        (0, 0, r"cut: got 0; allowed: an integer in \[1, 3\]"),
        (1, 8, r"cut: got 8; allowed: an integer in \[1, 7\]"),
        (-1, 1, "row: got -1"),
        (10**6, 1, "row"),
        (0, 1.0, "cut: got 1.0"),
    ],
)
def test_row_or_cut_that_is_none_is_refused(row, cut, fault, dataset):
    with pytest.raises(ValueError, match=fault):
        dataset.probabilities(row, cut)
