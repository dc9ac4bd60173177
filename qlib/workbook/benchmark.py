"""What the scripts under ``benchmarks/`` share: the page of Markdown they end in."""

from qlib.files import write_atomically


def markdown_table(header, rows):
    """A table in Markdown.

    Parameters
    ----------
    header : list of str
    rows : iterable of lists
        Of the header's length; entries stand as ``str`` gives them.

    Returns
    -------
    str
        Without a line end.
    """
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def publish(page, *paths):
    """Print a page and write it to each path that is not None.

    Parameters
    ----------
    page : str
    paths : path or None
    """
    print(page)
    for path in paths:
        if path is not None:
            with write_atomically(path) as file:
                file.write(page.encode())
