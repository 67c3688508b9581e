"""The notebooks in the browser, nothing installed: a JupyterLite site beside the built book.

    make lite                        build the book with its buttons, and _build/html/lite

The site holds the notebooks, the code-along copies, and glmmlib's wheel with its data. Python itself, NumPy
and SciPy come to the reader's browser from the network that Pyodide names, so this part of the site needs
one.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from zipfile import ZipFile

from book.contents import ROOT, notebooks
from book.live import FOLDER, write_copies

SITE = ROOT / "_build" / "html"
PLACE = "lite"
# Names the program jupyter-lite. The build of the book looks at it too: a button that led nowhere would be
# worse than none.
PROGRAM = "BOOK_LITE"


def wanted() -> bool:
    return bool(os.environ.get(PROGRAM))


def launch_address() -> str:
    """Where the button on a chapter leads, as seen from the chapters' folder."""
    return f"../{PLACE}/lab/index.html"


def run(*command: str, folder: Path = ROOT) -> None:
    result = subprocess.run(command, check=False, cwd=folder, capture_output=True, text=True)
    if result.returncode:
        raise SystemExit(f"{' '.join(command[:4])} failed:\n{result.stdout}\n{result.stderr}")


def build(target: Path) -> None:
    """Write the JupyterLite site into the folder `target`."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "contents" / "chapters").mkdir(parents=True)
        for path in notebooks():
            shutil.copy(path, folder / "contents" / "chapters")
        write_copies(folder / "contents" / FOLDER)
        # JupyterLite offers every wheel in the folder `pypi` to its kernel's pip.
        wheel = ["pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir"]
        run(sys.executable, "-m", *wheel, str(folder / "pypi"), ".")
        run(
            os.environ[PROGRAM],
            "build",
            "--lite-dir",
            str(folder),
            "--contents",
            str(folder / "contents"),
            "--output-dir",
            str(target),
            "--no-sourcemaps",
            folder=folder,
        )


def missing(target: Path) -> list[str]:
    """What a reader's browser would look for in the JupyterLite site at `target` and not find."""
    index = json.loads((target / "pypi" / "all.json").read_text(encoding="utf-8"))
    wheels = [
        target / "pypi" / file["filename"]
        for files in index["glmmlib"]["releases"].values()
        for file in files
    ]
    if not wheels:
        return ["a wheel of glmmlib in pypi/all.json"]
    held = [name for wheel in wheels if wheel.exists() for name in ZipFile(wheel).namelist()]
    files = ["lab/index.html", *(f"files/chapters/{path.name}" for path in notebooks())]
    absent = [name for name in files if not (target / name).exists()]
    modules = [str(path.relative_to(ROOT)) for path in sorted((ROOT / "glmmlib").rglob("*.py"))]
    return absent + [name for name in (*modules, "glmmlib/data/birds.csv") if name not in held]


def main() -> None:
    if not wanted():
        raise SystemExit("Run `make lite`, which makes the environment that this needs.")
    target = SITE / PLACE
    shutil.rmtree(target, ignore_errors=True)
    build(target)
    if lacking := missing(target):
        raise SystemExit(f"The notebooks in the browser lack {', '.join(lacking)}.")
    print(f"Notebooks in the browser: serve {SITE} and open /{PLACE}/lab/index.html")


if __name__ == "__main__":
    main()
