"""The plan of the house, read off the imports: lower floors never import higher; each guest has one room."""

import ast
from functools import cache
from pathlib import Path

SOURCE = Path(__file__).parent.parent / "src" / "impasto"
FLOORS = {
    "errors": 0, "choices": 0, "shapes": 0, "words": 0, "device": 0, "memory": 0, "process": 0, "storage": 1,
    "image": 2, "network": 3, "objective": 4, "solve": 5, "recipes": 6, "studio": 7, "app": 8,
}  # fmt: skip
GUESTS = {
    "typer": "app/",
    "rich": "app/",
    "gradio": "app/web/",
    "fastapi": "app/web/",
    "starlette": "app/web/",
    "uvicorn": "app/web/",
    "pandas": "app/web/",
    "pyvips": "image/",
    "PIL": "image/",
    "pillow_heif": "image/",
    "matplotlib": "recipes/drawing.py",
    "pypi_simple": "network/fetch.py",
    "requests": "network/fetch.py",
    "urllib": "network/fetch.py",
    "http": "network/fetch.py",
    "socket": ("network/fetch.py", "app/web/"),
    "onnx": "recipes/export.py",
    "onnxruntime": "recipes/export.py",
    "onnxscript": "recipes/export.py",
}
FILES = sorted(SOURCE.rglob("*.py"))
ROOMS = [path for path in FILES if path.parent != SOURCE or path.stem in FLOORS]


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


# Each rule is one test that lists all its offenders.


def test_there_are_files_to_look_at() -> None:
    """So that no rule below is kept by an empty list."""
    assert {relative(path).split("/")[0].removesuffix(".py") for path in ROOMS} == set(FLOORS)
    assert SOURCE / "__init__.py" in FILES
    assert "impasto.errors.SettingsError" in imports(SOURCE / "device.py")


def test_imports_are_absolute() -> None:
    offenders = [f"{relative(path)}: {name}" for path in FILES for name in imports(path) if name[0] == "."]
    assert not offenders, "\n".join(offenders)


def test_lower_floors_never_import_higher() -> None:
    offenders = []
    for path in ROOMS:
        floor = FLOORS[relative(path).split("/")[0].removesuffix(".py")]
        for name in imports(path):
            package, _, rest = name.partition(".")
            other = FLOORS.get(rest.split(".")[0], 0) if package == "impasto" else 0
            if other > floor:
                offenders.append(f"{relative(path)} (floor {floor}) imports {name} (floor {other})")
    assert not offenders, "\n".join(offenders)


def test_guests_stay_in_their_rooms() -> None:
    offenders = []
    for path in FILES:
        for name in imports(path):
            room = None if name.startswith("urllib.parse.") else GUESTS.get(name.split(".")[0])  # text only
            if name.startswith("torch.distributed"):
                room = "device.py"
            if room is not None and not relative(path).startswith(room):
                offenders.append(f"{relative(path)} imports {name}, which belongs in {room}")
    assert not offenders, "\n".join(offenders)


def test_only_the_doors_print_or_exit() -> None:
    offenders = []
    for path in FILES:
        for node in ast.walk(tree(path)):
            name = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
            if name in ("print", "sys.exit", "exit", "quit") and not relative(path).startswith("app/"):
                offenders.append(f"{relative(path)}:{node.lineno} calls {name}")
    assert not offenders, "\n".join(offenders)


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


def test_the_house_has_no_room_without_a_floor() -> None:
    entries = {p.stem for p in SOURCE.iterdir() if p.name != "__pycache__" and p.name != "py.typed"}
    assert entries == {*FLOORS, "__init__", "__main__"}


def test_every_loss_docstring_names_its_equation() -> None:
    body = tree(SOURCE / "objective" / "terms.py").body
    for name in ("gram", "squared_error", "content_distance", "style_distance"):
        (function,) = (n for n in body if isinstance(n, ast.FunctionDef) and n.name == name)
        text = ast.get_docstring(function) or ""
        assert "Eq. " in text, name
        assert any(word in text for word in ("Differs:", "as in the paper", "the ½ is in")), name
