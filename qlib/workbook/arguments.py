"""The command line, standard library only: `run.py` reads it before any environment."""

import argparse
from pathlib import Path

from qlib.workbook.notebook import has_tag, read_notebook

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = ROOT / "notebooks"
PASSED_ON = (
    "test",
    "lab",
    "bench",
)  # what they do not know goes to pytest, jupyter, ...


def parse_arguments(words):
    """Read a command line; no command means ``report``.

    Returns
    -------
    argparse.Namespace
        ``command``, its options, and ``rest``: the words for the program behind it.

    Raises
    ------
    SystemExit
        0 after ``--help``, 2 after a wrong usage, which is named on stderr.
    """
    words = list(words)
    if not words or (words[0].startswith("-") and words[0] not in ("-h", "--help")):
        words = ["report", *words]
    parser = _parser(describe_notebooks(NOTEBOOKS))
    if words[0][:1].isdigit():
        parser.error(f"no command {words[0]!r}; did you mean 'report {words[0]}'?")
    options, rest = parser.parse_known_args(words)
    if rest and options.command not in PASSED_ON:
        parser.error(f"unknown argument {rest[0]!r}")
    options.rest = rest[1:] if rest[:1] == ["--"] else rest
    return options


def describe_notebooks(folder):
    """List each notebook with its parameter cell, which explains itself."""
    lines = ["parameters of each notebook:"]
    for path in sorted(Path(folder).glob("*.ipynb")):
        lines.append(f"  {path.stem}")
        try:
            cells = read_notebook(path)["cells"]
        except (OSError, ValueError) as error:
            lines.append(f"    cannot be read: {error}")
            continue
        for cell in cells:
            if has_tag(cell, "parameters"):
                lines += [f"    {line}" for line in cell["source"].splitlines() if line]
    return "\n".join(lines) if len(lines) > 1 else f"no notebooks in {folder}"


def _parser(notebooks):
    style = {
        "formatter_class": argparse.RawDescriptionHelpFormatter,
        "allow_abbrev": False,
    }
    parser = argparse.ArgumentParser(
        prog="run.py",
        description="Run the notebooks and write reports/index.html.\n"
        "The first run makes the environment .venv.",
        epilog="Exit codes: 0 all well, 1 a notebook or test failed, 2 wrong usage or\n"
        f"refused parameter, 3 no environment, 130 Ctrl-C.\n\n{notebooks}",
        **style,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name, help, epilog=None):
        description = f"{help[0].upper()}{help[1:]}."
        return commands.add_parser(
            name, help=help, description=description, epilog=epilog, **style
        )

    report = command("report", "run notebooks and write pages (the default)", notebooks)
    _add_run_options(report, "mapping of parameters to values; -p wins")
    sweep = command("sweep", "run notebooks at many points; one table out", notebooks)
    _add_run_options(sweep, "list of such mappings, one a point; --grid and -p win")
    sweep.add_argument(
        "--grid",
        action="append",
        default=[],
        metavar="NAME=V1,V2,...",
        help="values of one parameter; several --grid span their product",
    )
    command("test", "check the style and run the tests; other arguments go to pytest")
    command("lab", "open JupyterLab on the notebooks; other arguments go to it")
    bench = command("bench", "measure ours against named peers; other arguments go on")
    bench.add_argument("topic", nargs="?", help="as in benchmarks/TOPIC.py (all)")
    command("readme", "rewrite the README's table of verdicts from reports/")
    return parser


def _add_run_options(parser, file_help):
    add = parser.add_argument
    add("notebook", nargs="*", help="start of its name, such as 01 (all notebooks)")
    add("--full", action="store_true", help="the published sizes, not the quick ones")
    add(
        "-p",
        dest="texts",
        nargs=2,
        action="append",
        default=[],
        metavar=("NAME", "VALUE"),
        help="set a parameter of every selected notebook",
    )
    add("-f", dest="file", type=Path, metavar="FILE.yaml", help=file_help)
    add(
        "--jobs",
        type=_positive_int,
        metavar="N",
        help="at once (one a core; one with --full, so that seconds measured there are "
        "of a machine without other notebooks)",
    )
    add(
        "--timeout",
        type=_positive_int,
        metavar="S",
        help="whole seconds that each cell may take (no limit)",
    )
    add(
        "--scheduler",
        metavar="ADDRESS",
        help="run on the workers of this dask scheduler",
    )
    add("--notebooks", type=Path, default=NOTEBOOKS, metavar="DIR", help="(notebooks/)")
    add("--output", type=Path, metavar="DIR", help="where results go (the checkout)")


def _positive_int(text):
    value = int(text)
    if value < 1:
        raise ValueError
    return value


_positive_int.__name__ = "positive int"  # named so in argparse's message
