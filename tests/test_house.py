"""The structure of the package: which folder may import which, and where each library may be used."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

SOURCE = Path(__file__).parent.parent / "src" / "impasto"

ROOT = {"errors", "choices", "shapes", "formatting", "layers", "version"}
"""Modules beside the folders. They import only each other, and every folder may import them."""

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
    "starlette": (),
    "uvicorn": ("web/",),
    "pandas": ("web/",),
    "pyvips": ("image/",),
    "PIL": ("image/",),
    "pillow_heif": ("image/",),
    "matplotlib": ("results/plots.py",),
    "pypi_simple": ("network/download.py",),
    "requests": ("network/download.py",),
    "urllib3": ("network/download.py",),
    "urllib": (),
    "http": (),
    "socket": ("web/",),
    "torch.distributed": ("system/distributed.py",),
    "safetensors": ("network/weight_files.py",),
    "onnx": ("fast/onnx_graph.py",),
    "onnxruntime": ("fast/onnx_graph.py", "masks/subject.py"),
}
"""Each library may be imported only in these folders and files; those without one, nowhere."""

FILES = sorted(SOURCE.rglob("*.py"))


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imports(path: Path) -> list[str]:
    """The full names that a file imports anywhere; those of relative imports begin with a dot."""
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


def is_in(path: Path, locations: tuple[str, ...]) -> bool:
    return relative(path).startswith(locations)


def calls(path: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call):
            yield node.lineno, ast.unparse(node.func)


# Each rule is a test that lists all its offenders.


def test_every_folder_is_in_the_order() -> None:
    """Otherwise a rule below could pass because it checks no file."""
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
        folder = relative(path).split("/")[0].removesuffix(".py")
        for name in imports(path):
            package, _, rest = name.partition(".")
            other = order.get(rest.split(".")[0], 0) if package == "impasto" else 0
            if name.startswith("impasto.system.process"):  # everyone may: it must run before any computation
                continue
            if folder in order and other > order[folder]:
                offenders.append(f"{relative(path)} imports {name}")
    assert not offenders, "\n".join(offenders)


def test_libraries_are_imported_only_where_they_belong() -> None:
    offenders, used = [], set()
    for path in FILES:
        for name in imports(path):
            if name.startswith("urllib.parse."):  # it handles text only, no network
                continue
            for guest, locations in GUESTS.items():
                if name != guest and not name.startswith(f"{guest}."):
                    continue
                used |= {(guest, location) for location in locations if is_in(path, (location,))}
                if not is_in(path, locations):
                    allowed = " or ".join(locations) or "no file"
                    offenders.append(f"{relative(path)} imports {name}, which belongs in {allowed}")
    unused = {(guest, location) for guest, locations in GUESTS.items() for location in locations} - used
    offenders += [f"{guest} may be imported in {location}, which does not" for guest, location in unused]
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
        if name in ("print", "sys.exit", "exit", "quit", "SystemExit") and not is_in(path, ("cli/",))
    ]
    assert not offenders, "\n".join(offenders)


WRITERS = ("os.environ.setdefault", "os.environ.update", "os.environ.pop", "os.environ.clear", "os.putenv")
"""Calls that write the environment; assignments and `del` are found as well."""


def test_only_two_modules_write_the_environment() -> None:
    offenders = []
    for path in FILES:
        writes = [line for line, name in calls(path) if name in WRITERS]
        for node in ast.walk(tree(path)):
            targets = getattr(node, "targets", [getattr(node, "target", None)])
            writes += [
                node.lineno for target in targets if "os.environ[" in ast.unparse(target or ast.Pass())
            ]
        if writes and not is_in(path, ("system/process.py", "web/server.py")):
            offenders.append(f"{relative(path)}:{writes[0]} writes os.environ")
    assert not offenders, "\n".join(offenders)


def test_the_command_and_the_studio_page_load_no_torch() -> None:
    """Only imports at the top of a module count, not those in functions."""
    direct: dict[str, set[str]] = {}
    for path in FILES:
        parts = ["impasto", *path.relative_to(SOURCE).with_suffix("").parts]
        name = ".".join(parts).removesuffix(".__init__")
        direct[name] = set()
        for node in tree(path).body:
            if isinstance(node, ast.Import):
                direct[name] |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                direct[name] |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    loading = {name for name, names in direct.items() if any(n.split(".")[0] == "torch" for n in names)}
    assert len(loading) > 20
    while indirect := {name for name, names in direct.items() if name not in loading and names & loading}:
        loading |= indirect
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
    """From the lowest floor up, and from left to right, the drawing has the folders in their order."""
    page = (SOURCE.parent.parent / "docs" / "design.md").read_text(encoding="utf-8")
    _, drawing, explained = page.split("## The folders", 1)[1].split("```", 2)
    words = [word for line in reversed(drawing.splitlines()) for word in line[:30].split()]
    assert tuple(word for word in words if word in FOLDERS) == FOLDERS
    assert all(f"**`{name}/`**" in explained for name in FOLDERS)
