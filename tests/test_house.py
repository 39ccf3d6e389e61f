"""The plan of the house, read off the imports: lower floors never import higher; each guest has one room."""

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent.parent / "src" / "impasto"
FLOORS = {
    "errors": 0, "choices": 0, "shapes": 0, "words": 0, "device": 0, "memory": 0, "storage": 1, "image": 2,
    "network": 3, "objective": 4, "solve": 5, "recipes": 6, "studio": 7, "app": 8,
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


def imports(path: Path) -> list[str]:
    """Modules that a file imports, anywhere in it, full names."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            found += [f"{node.module}.{alias.name}" for alias in node.names]
    return found


def place(path: Path) -> str:
    return path.relative_to(SOURCE).as_posix()


@pytest.mark.parametrize("path", ROOMS, ids=place)
def test_lower_floors_never_import_higher(path: Path) -> None:
    own = FLOORS[place(path).split("/")[0].removesuffix(".py")]
    for name in imports(path):
        parts = name.split(".")
        if parts[0] == "impasto" and parts[1] in FLOORS:
            assert FLOORS[parts[1]] <= own, f"{place(path)} (floor {own}) imports {name}"


@pytest.mark.parametrize("path", FILES, ids=place)
def test_guests_stay_in_their_rooms(path: Path) -> None:
    for name in imports(path):
        room = None if name.startswith("urllib.parse.") else GUESTS.get(name.split(".")[0])  # text only
        if room is not None:
            assert place(path).startswith(room), f"{place(path)} imports {name}, which belongs in {room}"
        if name.startswith("torch.distributed"):
            assert place(path) == "device.py", f"{place(path)} imports {name}"


@pytest.mark.parametrize("path", FILES, ids=place)
def test_only_the_doors_print_or_exit(path: Path) -> None:
    if place(path).startswith("app/"):
        return
    for node in ast.walk(ast.parse(path.read_text())):
        name = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
        assert name not in ("print", "sys.exit", "exit", "quit"), f"{place(path)}:{node.lineno} calls {name}"


@pytest.mark.parametrize("path", FILES, ids=place)
def test_rooms_stay_small(path: Path) -> None:
    text = path.read_text()
    assert text.count("\n") <= 350, f"{place(path)} is too long; split it"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef) and node.end_lineno is not None:
            body = node.end_lineno - node.body[0].lineno + 1
            assert body <= 60, f"{place(path)}:{node.lineno} {node.name} has {body} lines"


def test_the_house_has_no_room_without_a_floor() -> None:
    entries = {p.stem for p in SOURCE.iterdir() if p.name != "__pycache__" and p.name != "py.typed"}
    assert entries == {*FLOORS, "__init__", "__main__"}


def test_every_loss_docstring_names_its_equation() -> None:
    tree = ast.parse((SOURCE / "objective" / "terms.py").read_text())
    for name in ("gram", "squared_error", "content_distance", "style_distance"):
        (function,) = (n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == name)
        text = ast.get_docstring(function) or ""
        assert "Eq. " in text, name
        assert any(word in text for word in ("Differs:", "as in the paper", "the ½ is in")), name
