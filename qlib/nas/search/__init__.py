"""Search for the architecture that holds a target, by one of several schemes."""

from qlib.nas.search.result import SearchResult
from qlib.nas.search.search import SCHEMES, search, task_of
from qlib.nas.search.study import all_architectures

__all__ = ["SCHEMES", "SearchResult", "all_architectures", "search", "task_of"]
