"""The few modules of ours that go along with a model in MLflow, as a package of their own.

It is named after a hash of its content, so models of different versions of Gradsum can be loaded in one process.
"""

import ast
import hashlib
import shutil
from pathlib import Path

import workers

ENTRY = "pyfunc"


def write_package(directory: Path) -> Path:
    """Write the package `gradsum_model_<hash>` into `directory`: `pyfunc.py` and every module that it needs."""
    source = Path(workers.__file__).parent
    names = _closure(source, ENTRY)
    digest = hashlib.sha256(b"\0".join(name.encode() + b"\0" + _module(source, name).read_bytes() for name in names))
    package = directory / f"gradsum_model_{digest.hexdigest()[:12]}"
    package.mkdir()
    (package / "__init__.py").write_text('"""What predicts from a model that Gradsum trained."""\n')
    for name in names:
        shutil.copyfile(_module(source, name), package / f"{name}.py")
    return package


def _closure(source: Path, entry: str) -> list[str]:
    """The module `entry` and those that it imports by relative imports, directly or not, sorted."""
    needed, waiting = {entry}, [entry]
    while waiting:
        tree = ast.parse(_module(source, waiting.pop()).read_text(encoding="utf-8"))
        imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.level == 1]
        names = {name for node in imports for name in ([node.module] if node.module else [a.name for a in node.names])}
        waiting += sorted(names - needed)
        needed |= names
    return sorted(needed)


def _module(source: Path, name: str) -> Path:
    return source / f"{name}.py"
