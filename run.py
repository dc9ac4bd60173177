#!/usr/bin/env python3
"""One command for the workbook: `python3 run.py --help`.

Standard library only. Makes the environment ``.venv`` beside this file if it is absent
or out of date, then hands over to ``python -m qlib.workbook`` inside it.
"""

import contextlib
import hashlib
import importlib.util
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent
REQUIREMENTS = ROOT / "requirements.txt"
STAMP = "qlib-workbook-stamp"  # written last: an environment without it is unfinished
OLDEST, NEWEST = (3, 11), (3, 13)  # for which all packages have wheels


class NoEnvironment(Exception):
    """Why the environment could not be made, in one line."""


def main(words):
    """Make sure of the environment, run the command there, return its exit code."""
    if not OLDEST <= sys.version_info[:2] <= NEWEST:
        found = sys.version.split()[0]
        return fail(f"Python 3.11 to 3.13 is needed; this is {found}", 3)
    sys.path.insert(0, str(ROOT))  # absent after `python -I` or -P
    from qlib.workbook.arguments import parse_arguments

    parse_arguments(words)  # a wrong usage ends here, before anything is installed
    try:
        python = ready_python()
    except (NoEnvironment, OSError) as error:
        return fail(f"the environment could not be made: {error}", 3)
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    os.environ["PYTHONPATH"] = os.pathsep.join(
        paths
    )  # this checkout, if .venv was copied
    os.environ.setdefault("NUMBA_CACHE_DIR", str(kernel_cache()))
    command = [str(python), "-m", "qlib.workbook", *words]
    if os.name == "posix":  # the command takes Ctrl-C up again when it can answer it
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
        os.execv(command[0], command)
    return hand_over(command)


def ready_python():
    """The interpreter to use: this one if its environment is stamped, else .venv's."""
    if is_ready(Path(sys.prefix)):
        return Path(sys.executable)
    folder = ROOT / ".venv"
    with lock():
        if not is_ready(folder):
            make(folder)
    return python_of(folder)


def is_ready(folder):
    """Whether an environment is finished, and made for these requirements."""
    stamp = folder / STAMP
    return (
        python_of(folder).exists()
        and stamp.exists()
        and stamp.read_text(encoding="ascii") == expected_stamp()
    )


def expected_stamp():
    """What decides the content of the environment: requirements and Python version."""
    version = "{}.{}\n".format(*sys.version_info[:2])
    return hashlib.sha256(version.encode() + REQUIREMENTS.read_bytes()).hexdigest()


def python_of(folder):
    """The interpreter of a virtual environment."""
    if os.name == "nt":
        return folder / "Scripts" / "python.exe"
    return folder / "bin" / "python"


def kernel_cache():
    """Where numba keeps compiled kernels: a folder for each state of their sources.

    numba compiles a kernel into those that call it and, when it alone is edited, goes
    on loading the callers as they were; so edited sources get a new folder.
    """
    digest = hashlib.sha256()
    for path in sorted((ROOT / "qlib").rglob("*.py")):
        source = path.read_bytes()
        if b"numba" in source:
            digest.update(source)
    return ROOT / "qlib" / "__pycache__" / f"kernels-{digest.hexdigest()[:16]}"


def make(folder):
    """Build the environment from nothing; the stamp comes last."""
    import venv  # not needed, nor worth its time, once the environment stands

    if importlib.util.find_spec("ensurepip") is None:
        raise NoEnvironment(
            "this Python lacks ensurepip (on Debian: apt install python3-venv)"
        )
    print(f"Making {folder} (once; about 7 GB with torch's CUDA libraries)", flush=True)
    started = time.monotonic()
    (folder / STAMP).unlink(missing_ok=True)
    try:
        venv.create(folder, clear=True, with_pip=True)
    except subprocess.CalledProcessError as error:
        raise NoEnvironment("ensurepip failed") from error
    install(folder, "-r", str(REQUIREMENTS))
    install(folder, "--no-deps", "-e", str(ROOT))
    (folder / STAMP).write_text(expected_stamp(), encoding="ascii")
    print(f"Made it in {time.monotonic() - started:.0f} s", flush=True)


def install(folder, *what):
    """Let pip install something, with a line for each package that it fetches."""
    pip = [str(python_of(folder)), "-m", "pip", "--disable-pip-version-check"]
    with subprocess.Popen(
        [*pip, "install", "--no-input", *what],
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        errors="replace",
    ) as process:
        try:
            for line in process.stdout:
                words = line.split()
                if line.startswith("Collecting "):
                    print(f"  {words[1]}", flush=True)
                elif line.startswith("Installing collected packages:"):
                    print(f"  installing {len(words) - 3} packages", flush=True)
        except BaseException:
            process.terminate()
            raise
    if process.returncode:
        raise NoEnvironment(f"pip could not install {' '.join(what)} (see above)")


@contextlib.contextmanager
def lock():
    """Let one process at a time make the environment; its end frees the lock."""
    with open(REQUIREMENTS, "rb") as file:
        if os.name == "nt":
            import msvcrt

            file.seek(1 << 30)  # a byte beyond the end, so that reading stays possible
            while True:
                with contextlib.suppress(OSError):  # gives up after ten seconds
                    msvcrt.locking(file.fileno(), msvcrt.LK_LOCK, 1)
                    break
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def hand_over(command):
    """Run a command to its end; Ctrl-C is its own to answer."""
    with subprocess.Popen(command) as process:
        while True:
            with contextlib.suppress(KeyboardInterrupt):
                return process.wait()


def interrupt(number, frame):
    """Answer the first Ctrl-C; further ones must not cut the answer short."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise KeyboardInterrupt


def fail(line, code):
    """Say on stderr what went wrong and return the exit code."""
    print(line, file=sys.stderr)
    return code


if __name__ == "__main__":
    try:
        signal.signal(signal.SIGINT, interrupt)
        code = main(sys.argv[1:])
    except KeyboardInterrupt:
        code = fail("interrupted; an environment not finished is made anew", 130)
    sys.exit(code)
