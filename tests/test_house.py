"""The structure of the package, read off its imports: what may import what, and who may touch what."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

SOURCE = Path(__file__).parent.parent / "src" / "impasto"

ROOT = {"errors", "choices", "shapes", "formatting", "layers", "version"}
"""Modules beside the folders. They import only each other, and all folders may import them."""

FOLDERS = (
    "settings", "system", "storage", "image", "network", "objective", "solve", "results", "metrics", "masks",
    "run", "style", "fast", "recipes", "studio", "web", "cli",
)  # fmt: skip
"""A folder imports only itself and those before it."""

NO_TORCH = ("settings/", "cli/", "web/", "studio/job_queue", "studio/worker_handle", "studio/messages")
"""Importing these loads no torch."""

GUESTS: dict[str, tuple[str, ...]] = {
    "typer": ("cli/",),
    "rich": ("cli/",),
    "gradio": ("web/",),
    "fastapi": ("web/",),
    "starlette": ("web/",),
    "uvicorn": ("web/",),
    "pandas": ("web/",),
    "pyvips": ("image/",),
    "PIL": ("image/",),
    "pillow_heif": ("image/",),
    "matplotlib": ("results/plots.py",),
    "pypi_simple": ("network/download.py",),
    "requests": ("network/download.py",),
    "urllib3": ("network/download.py",),
    "urllib": ("network/download.py",),
    "http": ("network/download.py",),
    "socket": ("network/download.py", "web/"),
    "torch.distributed": ("system/distributed.py",),
    "safetensors": ("storage/tensor_file.py", "network/weight_files.py"),
    "onnx": ("fast/onnx_graph.py", "recipes/export.py"),
    "onnxruntime": ("fast/onnx_graph.py", "masks/subject.py", "recipes/export.py"),
}
"""Libraries, and where alone they may be imported."""

FILES = sorted(SOURCE.rglob("*.py"))


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imports(path: Path) -> list[str]:
    """Full names of what a file imports, anywhere in it; a relative import begins with a dot."""
    names = []
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            names += [f"{module}.{alias.name}" for alias in node.names]
    return names


def relative(path: Path) -> str:
    return path.relative_to(SOURCE).as_posix()


def is_in(path: Path, places: tuple[str, ...]) -> bool:
    return relative(path).startswith(places)


def calls(path: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call):
            yield node.lineno, ast.unparse(node.func)


# Each rule is one test that lists all its offenders.


def test_every_file_has_a_place_in_the_order() -> None:
    """So that no rule below is kept by an empty list, either."""
    entries = {path.stem for path in SOURCE.iterdir() if path.name not in ("__pycache__", "py.typed")}
    assert entries == {*ROOT, *FOLDERS, "__init__", "__main__"}
    assert "impasto.errors.SettingsError" in imports(SOURCE / "system" / "device.py")


def test_imports_are_absolute() -> None:
    offenders = [f"{relative(path)}: {name}" for path in FILES for name in imports(path) if name[0] == "."]
    assert not offenders, "\n".join(offenders)


def test_a_folder_imports_only_itself_and_those_before_it() -> None:
    order = {name: index for index, name in enumerate(FOLDERS, start=1)} | dict.fromkeys(ROOT, 0)
    offenders = []
    for path in FILES:
        place = relative(path).split("/")[0].removesuffix(".py")
        for name in imports(path):
            package, _, rest = name.partition(".")
            other = order.get(rest.split(".")[0], 0) if package == "impasto" else 0
            if name.startswith("impasto.system.process"):  # comes before the first computation, and so first
                continue
            if place in order and other > order[place]:
                offenders.append(f"{relative(path)} imports {name}")
    assert not offenders, "\n".join(offenders)


def test_libraries_are_imported_only_where_they_belong() -> None:
    offenders = []
    for path in FILES:
        for name in imports(path):
            if name.startswith("urllib.parse."):  # text only
                continue
            for guest, places in GUESTS.items():
                if (name == guest or name.startswith(f"{guest}.")) and not is_in(path, places):
                    offenders.append(
                        f"{relative(path)} imports {name}, which belongs in {' or '.join(places)}"
                    )
    assert not offenders, "\n".join(offenders)


def test_only_one_module_touches_private_parts_of_gradio() -> None:
    """The page's other modules name no private attribute of anything but `self`."""
    offenders = [
        f"{relative(path)}:{node.lineno} uses {ast.unparse(node)}"
        for path in FILES
        if is_in(path, ("web/",)) and not is_in(path, ("web/gradio_internals.py",))
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Attribute) and node.attr.startswith("_") and ast.unparse(node.value) != "self"
    ]
    offenders += [
        f"{relative(path)}:{line} calls {name}"
        for path in FILES
        for line, name in calls(path)
        if name in ("vars", "setattr", "getattr") and is_in(path, ("web/",))
        if not is_in(path, ("web/gradio_internals.py",))
    ]
    assert not offenders, "\n".join(offenders)


def test_only_the_command_prints_or_exits() -> None:
    offenders = [
        f"{relative(path)}:{line} calls {name}"
        for path in FILES
        for line, name in calls(path)
        if name in ("print", "sys.exit", "exit", "quit") and not is_in(path, ("cli/",))
    ]
    assert not offenders, "\n".join(offenders)


def test_only_two_modules_write_the_environment() -> None:
    offenders = []
    for path in FILES:
        writes = [line for line, name in calls(path) if name in ("os.environ.setdefault", "os.putenv")]
        for node in ast.walk(tree(path)):
            targets = getattr(node, "targets", [getattr(node, "target", None)])
            writes += [
                node.lineno for target in targets if "os.environ[" in ast.unparse(target or ast.Pass())
            ]
        if writes and not is_in(path, ("system/process.py", "web/server.py")):
            offenders.append(f"{relative(path)}:{writes[0]} writes os.environ")
    assert not offenders, "\n".join(offenders)


def test_the_command_and_the_page_load_no_torch() -> None:
    """Read off the imports that happen when a module is imported, not those in functions."""
    direct: dict[str, set[str]] = {}
    for path in FILES:
        name = ".".join(["impasto", *path.relative_to(SOURCE).with_suffix("").parts]).removesuffix(
            ".__init__"
        )
        direct[name] = set()
        for node in tree(path).body:
            if isinstance(node, ast.Import):
                direct[name] |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                direct[name] |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    loading = {name for name, names in direct.items() if any(n.split(".")[0] == "torch" for n in names)}
    assert len(loading) > 20
    while more := {name for name, names in direct.items() if name not in loading and names & loading}:
        loading |= more
    light = {name for name in direct if name.removeprefix("impasto.").replace(".", "/").startswith(NO_TORCH)}
    assert len(light) > 20
    assert not light & loading, "\n".join(sorted(light & loading))


def test_files_and_functions_stay_small() -> None:
    offenders = []
    for path in FILES:
        lines = path.read_text(encoding="utf-8").count("\n")
        if lines > 350:
            offenders.append(f"{relative(path)} has {lines} lines")
        for node in ast.walk(tree(path)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.end_lineno is not None:
                body = node.end_lineno - node.body[0].lineno + 1
                if body > 60:
                    offenders.append(f"{relative(path)}:{node.lineno} {node.name} has {body} lines")
    assert not offenders, "\n".join(offenders)


def test_every_loss_docstring_names_its_equation() -> None:
    body = tree(SOURCE / "objective" / "terms.py").body
    for name in ("gram", "squared_error", "content_distance", "style_distance"):
        (function,) = (n for n in body if isinstance(n, ast.FunctionDef) and n.name == name)
        text = ast.get_docstring(function) or ""
        assert "Eq. " in text, name
        assert any(word in text for word in ("Differs:", "as in the paper", "the ½ is in")), name


def test_the_design_page_draws_the_floors_and_explains_each_folder() -> None:
    """Read from the lowest floor up, and from left to right, the drawing is the order of the folders."""
    page = (SOURCE.parent.parent / "docs" / "design.md").read_text(encoding="utf-8")
    _, drawing, explained = page.split("## The floors", 1)[1].split("```", 2)
    words = [word for line in reversed(drawing.splitlines()) for word in line[:30].split()]
    assert tuple(word for word in words if word in FOLDERS) == FOLDERS
    assert all(f"**`{name}/`**" in explained for name in FOLDERS)
