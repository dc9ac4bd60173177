"""``python -m qlib.workbook``: what `run.py` calls inside the environment."""

import os
import signal
import subprocess
import sys

from qlib.workbook.arguments import NOTEBOOKS, ROOT, parse_arguments
from qlib.workbook.notebook import NAME, read_notebook
from qlib.workbook.parameters import ParameterError, resolve_parameters, suggest

MOST_TEST_WORKERS = 4  # each loads torch
INTERRUPTED = "interrupted; earlier reports stand as they were"


class Refused(Exception):
    """A request that cannot be met, said in one line before anything ran."""


def main(words):
    """Run one command and return its exit code."""
    try:
        signal.signal(signal.SIGINT, _interrupt)
        signal.signal(signal.SIGTERM, _terminate)
        if hasattr(signal, "pthread_sigmask"):  # held back by run.py until here
            signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
        options = parse_arguments(words)
        return COMMANDS[options.command](options)
    except (Refused, ParameterError) as error:
        return _fail(error, 2)
    except KeyboardInterrupt:
        return _fail(INTERRUPTED, 130)


def report(options):
    """Run the selected notebooks and write their pages and the index."""
    from qlib.workbook.execute import clear_leftovers
    from qlib.workbook.executors import executor
    from qlib.workbook.report import publish_all

    values = _read_yaml(options.file, {})
    if not isinstance(values, dict):
        raise Refused(f"{options.file} holds no mapping of parameters to values")
    plan = {
        notebook: resolve_parameters(notebook, values, _texts(options))
        for notebook in _select(options)
    }
    output = (options.output or ROOT).resolve()
    jobs = len(plan) if options.scheduler else _jobs(options, plan)
    clear_leftovers(output / "runs")
    failures = []
    try:
        with executor(jobs, options.scheduler) as pool:
            failures += publish_all(
                plan, output, pool, jobs=jobs, timeout=options.timeout, progress=_say
            )
        if len(failures) < len(plan):
            _say(_index(output / "reports"))
    except (OSError, Refused) as error:
        failures.append(str(error))
    finally:
        clear_leftovers(output / "runs")
    for failure in failures:
        _fail(f"failed: {failure}", 1)
    return 1 if failures else 0


def sweep(options):
    """Run the selected notebooks at many points and write one table."""
    from qlib.workbook.execute import RunFailed, clear_leftovers
    from qlib.workbook.executors import executor
    from qlib.workbook.sweep import plan_points
    from qlib.workbook.sweep import sweep as run_points

    points = plan_points(
        _select(options),
        values=_read_yaml(options.file, [{}]),
        grid=options.grid,
        texts=_texts(options),
    )
    directory = (options.output or ROOT / "runs" / "sweep").resolve()

    def progress(done, total, point, reason):
        _say(f"{done}/{total} {point}: {'failed' if reason else 'done'}")

    clear_leftovers(directory / "points")
    try:
        with executor(_jobs(options, points), options.scheduler) as pool:
            failures = run_points(
                points, directory, pool, timeout=options.timeout, callback=progress
            )
        _say(directory / "table.csv")
    except (OSError, RunFailed) as error:
        return _fail(f"failed: {error}", 1)
    finally:
        clear_leftovers(directory / "points")
    for point, reason in failures:
        _fail(f"failed: {point}: {reason}", 1)
    return 1 if failures else 0


def test(options):
    """Check the style, then run the tests; pytest's summary is the last line."""
    workers = min(_cores(), MOST_TEST_WORKERS)
    os.environ.setdefault("OMP_NUM_THREADS", str(_cores() // workers))
    spread = ["-n", str(workers), "--dist=loadgroup", "--no-loadscope-reorder"]
    python = [sys.executable, "-m"]
    checks = {"ruff check": ["check", "."], "ruff format": ["format", "--check", "."]}
    codes = {
        name: subprocess.call([*python, "ruff", *words], cwd=ROOT)
        for name, words in checks.items()
    }
    _say(", ".join(f"{name}: {'failed' if codes[name] else 'ok'}" for name in codes))
    words = ["pytest", *spread, *options.rest]
    codes["pytest"] = subprocess.call([*python, *words], cwd=ROOT)
    return 1 if any(codes.values()) else 0


def lab(options):
    """Open JupyterLab; as root, which it refuses by itself, as in a container."""
    root = ["--allow-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    folder = f"--ServerApp.root_dir={NOTEBOOKS}"
    command = [sys.executable, "-m", "jupyterlab", folder, *root, *options.rest]
    if os.name == "posix":
        os.execv(command[0], command)
    return subprocess.call(command)


def bench(options):
    """Run one benchmark, or all."""
    scripts = {path.stem: path for path in sorted((ROOT / "benchmarks").glob("*.py"))}
    if options.topic and options.topic not in scripts:
        raise Refused(
            f"no benchmark {options.topic!r}{suggest(options.topic, scripts)} "
            f"(there are: {', '.join(scripts)})"
        )
    chosen = [scripts[options.topic]] if options.topic else scripts.values()
    codes = [
        subprocess.call([sys.executable, path, *options.rest], cwd=ROOT)
        for path in chosen
    ]
    return 1 if any(codes) else 0


def readme(options):
    """Rewrite the README's table of verdicts."""
    from qlib.workbook.readme import update

    update(ROOT / "README.md", ROOT / "reports")
    return 0


COMMANDS = {
    command.__name__: command for command in (report, sweep, test, lab, bench, readme)
}


def _select(options):
    """The notebooks whose names start as asked, in order; all if nothing was asked."""
    folder = options.notebooks.resolve()
    known = {path.stem: path for path in sorted(folder.glob("*.ipynb"))}
    if not known:
        raise Refused(f"no notebooks in {folder}")
    for word in options.notebook:
        if not any(name.startswith(word) for name in known):
            raise Refused(
                f"no notebook {word!r}{suggest(word, known)} "
                f"(there are: {', '.join(known)})"
            )
    asked = tuple(options.notebook) or ("",)
    chosen = [path for name, path in known.items() if name.startswith(asked)]
    for path in chosen:
        if not NAME.fullmatch(path.stem):
            raise Refused(
                f"{path.name!r} is no notebook's name; allowed: NN_topic.ipynb"
            )
        try:
            metadata = read_notebook(path)["metadata"]
        except (OSError, ValueError) as error:
            raise Refused(f"{path.stem} cannot be read: {error}") from error
        kernel = metadata.get("kernelspec")
        kernel = kernel.get("name") if isinstance(kernel, dict) else kernel
        if kernel != "python3":
            raise Refused(f"{path.stem}: its kernel is {kernel!r}; allowed: 'python3'")
    return chosen


def _jobs(options, work):
    return min(len(work), options.jobs or (1 if options.full else _cores()))


def _index(reports):
    from qlib.workbook.index import write_index

    try:
        return write_index(reports)
    except ValueError as error:
        raise Refused(f"index.html: {error}") from error


def _texts(options):
    return [("profile", "full")] * options.full + options.texts


def _read_yaml(path, default):
    import yaml

    if path is None:
        return default
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise Refused(f"{path}: {' '.join(str(error).split())}") from error


def _cores():
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _say(line):
    print(line, flush=True)


def _fail(line, code):
    print(line, file=sys.stderr, flush=True)
    return code


def _interrupt(number, frame):
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # one is enough to clean up and end
    raise KeyboardInterrupt


def _terminate(number, frame):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise SystemExit(_fail(INTERRUPTED, 128 + number))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
