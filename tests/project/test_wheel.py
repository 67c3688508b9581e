"""An installed glmmlib, without its checkout, has the library and its data."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

PROGRAM = """
import glmmlib, glmmlib.catalogue, sys
from pathlib import Path
datasets = sys.modules["glmmlib.catalogue"]
home = Path(glmmlib.__file__).resolve().parent
assert home.is_relative_to(Path(sys.argv[1]).resolve()), home
assert datasets._folder() == home / "data", datasets._folder()
for name, about in datasets.datasets().iterrows():
    assert len(datasets.load(name)) == about["rows"], name
    if about["simulated"]:
        datasets.load_truth(name)
for terms in ("LICENSES.md", "GPL-2.txt"):
    assert (home / "data" / terms).is_file(), terms
print(len(datasets.datasets()), "data sets")
"""


def run(*command, **options):
    done = subprocess.run(command, check=False, capture_output=True, text=True, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_built_wheel_loads_every_data_set(tmp_path):
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    run(*pip, "wheel", str(ROOT), "--no-deps", "--no-build-isolation", "--wheel-dir", str(tmp_path / "wheel"))
    (wheel,) = (tmp_path / "wheel").glob("glmmlib-*.whl")
    site = tmp_path / "site"
    run(*pip, "install", str(wheel), "--no-deps", "--target", str(site))
    environment = {**os.environ, "PYTHONPATH": str(site)}
    said = run(sys.executable, "-c", PROGRAM, str(site), cwd=tmp_path, env=environment)
    assert said.strip() == "16 data sets"
