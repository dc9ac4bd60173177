"""The package: light to import, its modules at hand, each with its public names."""

import inspect
import subprocess
import sys
from importlib import import_module

import pytest

import qlib.entanglement as qe


@pytest.mark.parametrize("name", qe.MODULES)
def test_modules_are_attributes_and_name_what_is_public(name):
    module = getattr(qe, name)
    assert module is import_module(f"qlib.entanglement.{name}")
    assert name in dir(qe)
    public = {
        key
        for key, value in vars(module).items()
        if not key.startswith("_")
        and (inspect.isfunction(value) or inspect.isclass(value))
        and value.__module__.startswith(module.__name__)
    }
    assert public <= set(module.__all__)
    assert set(module.__all__) <= set(vars(module))


def test_the_package_loads_modules_when_they_are_named():
    check = (
        "import sys, qlib.entanglement as qe\n"
        "print('torch' in sys.modules, 'qlib.entanglement.exact' in sys.modules)\n"
        "print(qe.exact.ground_state(qe.hamiltonians.tfim(4)).gap > 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", check], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["False", "False", "True"]


def test_what_is_no_module_is_no_attribute():
    with pytest.raises(AttributeError, match="no attribute 'quspin'"):
        qe.quspin  # noqa: B018
