"""Where a result comes from: commit, versions, machine, threads."""

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path

PACKAGES = ("numpy", "scipy", "torch", "matplotlib", "cma")


def provenance(root=None):
    """Describe this execution without naming any path, user or host.

    Parameters
    ----------
    root : path, optional
        The git checkout that holds the code. Default: the folder above ``qlib``.

    Returns
    -------
    dict
        ``commit`` (None outside a git checkout, ``"unknown"`` if git cannot tell),
        ``dirty`` (uncommitted changes outside ``reports/``; None without a commit),
        ``python``, ``packages``, ``system``, ``processor``, ``cores`` usable by this
        process, ``threads`` (``OMP_NUM_THREADS``, or None if unset).
    """
    root = Path(__file__).resolve().parents[2] if root is None else Path(root)
    commit = changes = None
    if (root / ".git").exists():  # else installed, perhaps inside another repository
        commit = _git(root, "rev-parse", "HEAD") or "unknown"
        changes = _git(root, "status", "--porcelain", "--", ".", ":!reports")
    return {
        "commit": commit,
        "dirty": None if changes is None else bool(changes),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": _cores(),
        "threads": os.environ.get("OMP_NUM_THREADS"),
    }


def _git(root, *words):
    command = ["git", "--no-optional-locks", "-C", str(root), *words]
    try:
        answer = subprocess.run(
            command, capture_output=True, text=True, timeout=30, check=False
        )
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip() if answer.returncode == 0 else None


def _version(name):
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _processor():
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _cores():
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count()
