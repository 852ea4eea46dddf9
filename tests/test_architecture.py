"""Who may import whom, as a table. The rule of the house is this file."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = ("api", "cli", "client", "core", "protos", "serving", "training")

# room -> rooms it may import; cli is a door and may see everything
MAY_IMPORT = {
    "core": {"core"},
    "protos": {"protos"},
    "api": {"api", "core", "protos"},
    "serving": {"serving", "core", "api"},
    "client": {"client", "protos"},
    "training": {"training", "core"},
    "cli": set(ROOMS),
}

# library -> where it may be imported
HOME_OF = {
    "fastapi": ("api/", "client/"),
    "starlette": ("api/",),
    "uvicorn": ("api/",),
    "grpc": ("api/", "client/", "protos/"),
    "ray": ("serving/", "training/"),
    "sqlalchemy": ("core/adapters/", "client/"),
    "alembic": ("core/adapters/",),
    "httpx": ("core/adapters/", "client/"),
    "sklearn": ("core/analyzers/random_forest.py", "training/baselines.py"),  # in fits, which no request calls
    "gymnasium": ("training/execution_env.py",),
    "torch": ("core/models/", "training/"),
    "pyarrow": ("core/adapters/",),
    "cryptography": ("core/adapters/",),
    "dotenv": ("core/settings/sources.py",),
    "pydantic": ("core/settings", "api/", "serving/"),
    "typer": ("cli/",),
    "rich": ("cli/",),
    "boto3": ("core/adapters/", "training/cluster/"),
    "botocore": ("core/adapters/", "training/cluster/"),
}

# what puts the parts together; nobody else knows an adapter by name
COMPOSITION = (
    *(
        f"serving/{name}.py"
        for name in (
            *("app", "analysts", "ensemble", "model_desk", "models", "product", "risk", "signals", "sources"),
            "workroom",
        )
    ),
    *(f"training/cluster/{name}.py" for name in ("head", "worker", "job")),  # programs of their own, on AWS
)

FILES = [path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py")) if "_pb2" not in path.name]
MOST_FILES = 45  # of one room; what is more wants a room of its own, named after what it does
NAMES_THAT_SAY_NOTHING = {"utils", "util", "helpers", "helper", "common", "misc", "base", "manager"}


def imports(path: Path) -> set[str]:
    """Every module a file imports, wherever in the file."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found.add(node.module or "")
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_imports_only_what_its_room_may(path: Path) -> None:
    here = path.relative_to(ROOT).as_posix()
    room = here.split("/", maxsplit=1)[0]
    for module in imports(path):
        top = module.split(".")[0]
        if top in ROOMS:
            assert top in MAY_IMPORT[room], f"{here} imports {module}; {room} may import {sorted(MAY_IMPORT[room])}"
        if top in HOME_OF:
            assert here.startswith(HOME_OF[top]), f"{here} imports {module}, which belongs to {HOME_OF[top]}"


def test_adapters_are_imported_by_composition_roots_alone() -> None:
    for path in FILES:
        here = path.relative_to(ROOT).as_posix()
        if here.startswith(("core/adapters/", "cli/", *COMPOSITION)):
            continue
        assert not {module for module in imports(path) if module.startswith("core.adapters")}, here


def test_core_asks_no_clock_and_no_environment() -> None:
    for path in FILES:
        here = path.relative_to(ROOT).as_posix()
        if here.startswith("core/") and not here.startswith("core/adapters/"):
            assert not imports(path) & {"time", "os", "random", "socket", "subprocess"}, here


def test_no_file_has_a_name_that_says_nothing() -> None:
    assert not [path for path in FILES if path.stem in NAMES_THAT_SAY_NOTHING]


def test_no_room_is_a_heap() -> None:
    for folder in {path.parent for path in FILES}:
        found = sorted(path.name for path in folder.glob("*.py"))
        assert len(found) <= MOST_FILES, f"{folder.relative_to(ROOT)} holds {len(found)} files: {found}"


def test_every_package_is_listed_for_installation() -> None:
    listed = (ROOT / "pyproject.toml").read_text()
    for path in FILES:
        package = path.parent.relative_to(ROOT).as_posix().replace("/", ".")
        assert f'"{package}"' in listed, f"pyproject.toml lacks the package {package}"
