"""jsonschema, by which nbformat checks notebooks, without a grammar it has no use for.

Where ``rfc3987_syntax`` is installed (JupyterLab brings it), jsonschema imports it, and
that compiles the grammar of internationalised addresses: 1.7 s of CPU in each process
that reads a notebook. The schemas of notebooks hold no such address.
"""

import sys

GRAMMAR = "rfc3987_syntax"


def import_jsonschema():
    """Import jsonschema for nbformat; without effect where it is imported already.

    Its optional formats ``iri`` and ``iri-reference`` are then unknown to this process,
    as where the grammar is not installed. The grammar itself can be imported later.
    """
    if GRAMMAR in sys.modules:
        return
    sys.modules[GRAMMAR] = None  # an import of it fails, which jsonschema allows
    try:
        import jsonschema  # noqa: F401
    finally:
        del sys.modules[GRAMMAR]
