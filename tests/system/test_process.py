"""Settings of the process before PyTorch computes: repeatable arithmetic, large pages and bfloat16."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from impasto.errors import SettingsError
from impasto.network.weights import Weights
from impasto.results.manifest import new
from impasto.settings.stylize import StylizeSettings
from impasto.system.device import choose_compute, has_bfloat16
from impasto.system.process import repeatability

SOURCE = Path(__file__).parents[2] / "src" / "impasto"
CPU = torch.device("cpu")

needs_mkl = pytest.mark.skipif(not torch.backends.mkl.is_available(), reason="PyTorch has no MKL here")


def python(code: str, **variables: str) -> str:
    """Run code in a new interpreter, with only these of the variables that matter here; return its output."""
    unset = {"MKL_CBWR", "THP_MEM_ALLOC_ENABLE", "IMPASTO_BFLOAT16"}
    environment = {name: value for name, value in os.environ.items() if name not in unset}
    result = subprocess.run(
        [sys.executable, "-c", code], env=environment | variables, capture_output=True, text=True, check=True
    )
    return result.stdout.strip()


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(SOURCE.parent).with_suffix("").parts).removesuffix(".__init__")


def imports_at_import(path: Path) -> set[str]:
    """The modules that a file imports when it is imported itself, not later inside a function."""
    names: set[str] = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def test_every_module_that_imports_torch_prepares_the_process_first() -> None:
    direct = {module_name(path): imports_at_import(path) for path in SOURCE.rglob("*.py")}
    prepares = {"impasto.system.process"}
    while indirect := {name for name, names in direct.items() if name not in prepares and names & prepares}:
        prepares |= indirect
    with_torch = {
        name for name, names in direct.items() if any(n == "torch" or n.startswith("torch.") for n in names)
    }
    assert len(with_torch) > 20
    assert with_torch - prepares == set()


@needs_mkl
def test_the_library_makes_mkl_repeatable() -> None:
    assert python("from impasto.system.process import REPEATABILITY as r; print(r.holds, r.reason)") == "True"


@needs_mkl
def test_a_process_that_has_computed_before_is_reported_as_not_repeatable() -> None:
    code = "import torch; torch.ones(64, 64) @ torch.ones(64, 64)\nimport impasto.system.process as p\n"
    output = python(code + "print(p.REPEATABILITY.holds, p.REPEATABILITY.reason)")
    assert output.startswith("False")
    assert "MKL_CBWR=AUTO,STRICT" in output


@needs_mkl
@pytest.mark.parametrize(("mode", "holds"), [("AUTO,STRICT", True), ("COMPATIBLE", True), ("AUTO", False)])
def test_a_mode_set_in_the_environment_is_kept(mode: str, holds: bool) -> None:
    code = """
import impasto.system.process as p
print(p.REPEATABILITY.holds, hex(p._mkl_functions()[1](-1)))
"""
    constants = {"AUTO,STRICT": "0x10002", "COMPATIBLE": "0x3", "AUTO": "0x2"}  # mkl_types.h
    assert python(code, MKL_CBWR=mode) == f"{holds} {constants[mode]}"


ALIGNMENTS = """
from impasto.system import process
import torch
numbers = torch.linspace(-3, 3, 8 * 432).sin()
results = []
for offset in range(16):
    features = torch.empty(len(numbers) + 16)[offset : offset + len(numbers)].copy_(numbers).view(8, 432)
    results.append((features @ features.T, features.mv(features[0]), features.exp()))
print(all(torch.equal(a, b) for result in results for a, b in zip(results[0], result)))
"""


@needs_mkl
def test_results_do_not_depend_on_the_alignment_of_their_numbers() -> None:
    """On AMD they do if the process has computed before, for instance `torch.ones(2, 2).exp()`."""
    assert python(ALIGNMENTS) == "True"


def test_large_pages_are_requested_unless_the_environment_forbids_it() -> None:
    code = "import os, impasto.system.process; print(os.environ['THP_MEM_ALLOC_ENABLE'])"
    assert python(code) == "1"
    assert python(code, THP_MEM_ALLOC_ENABLE="0") == "0"


def test_importing_the_package_alone_changes_nothing() -> None:
    code = "import os; before = dict(os.environ); import impasto; print(dict(os.environ) == before)"
    assert python(code) == "True"


def test_a_gpu_is_not_reported_as_repeatable() -> None:
    assert not repeatability(torch.device("cuda")).holds


def test_the_environment_can_switch_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    for value, dtype in (("0", torch.float32), ("1", torch.bfloat16)):
        monkeypatch.setenv("IMPASTO_BFLOAT16", value)
        assert has_bfloat16(CPU) is (value == "1")
        assert choose_compute("cpu").dtype == dtype
        assert choose_compute("cpu", "float32").dtype == torch.float32
    monkeypatch.setenv("IMPASTO_BFLOAT16", "no")
    with pytest.raises(SettingsError, match="IMPASTO_BFLOAT16 is 'no'; it is 0, 1 or not set"):
        choose_compute("cpu")


def test_the_manifest_says_whether_the_run_is_repeatable() -> None:
    weights = Weights("small", "0" * 64, {}, "")
    compute = choose_compute("cpu")
    manifest = new("stylize", StylizeSettings(), {}, weights, compute)
    assert manifest["repeatable"] is repeatability(CPU).holds
    assert ("repeatable_reason" in manifest) is not manifest["repeatable"]
    manifest = new("stylize", StylizeSettings(budget="5s"), {}, weights, compute)
    assert manifest["repeatable"] is False
    assert "budget" in manifest["repeatable_reason"]
