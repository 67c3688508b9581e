"""Write the codebook page of the course, chapters/data_sets.md, from codebook.json and truth.json.

python data/codebook_page.py
"""

import json
import re
from pathlib import Path
from textwrap import fill

HERE = Path(__file__).parent
PAGE = HERE.parent / "chapters" / "data_sets.md"

OPENING = """\
(data-sets)=
# Data sets

<!-- Written by data/codebook_page.py from codebook.json and truth.json: change those, not this page. -->

Each data set is a CSV file in the folder `data/`. In Python, its name is enough:

```python
import glmmlib as gl

gl.datasets()             # what there is
birds = gl.load("birds")  # a pandas DataFrame
gl.codebook("birds")      # kind, unit and meaning of each column
gl.load_truth("birds")    # simulated sets: what they were drawn from
```

Groups and factors come as categoricals; the first level is the reference. A *group* is a grouping factor,
whose levels are a sample of more; a *factor* has levels that are of interest themselves; *binary* is 0 or
1.

## Simulated for this course

Four sets were drawn by `data/generate.py`, so their truth is known and you can check every estimate against
it. All are unbalanced on purpose. `python data/generate.py` writes the same files again, byte for byte.

The seeds were chosen, and you should know how. For each set the seeds from a round number upwards were
tried, and the first was kept for which a correct model gives back every parameter to within 1.5 standard
errors, no variance is estimated at zero, and the story of the set can be seen.

- birds, the 58th seed: the pooled line rises by more than 0.08 a degree, every site's own line is flatter
  than it, no site's own 95 % interval lies above zero, sites carry more than 0.42 of the variance of
  log(count + 1), and its random slopes have a correlation inside -1 to 1.
- exam, the 3rd: the mean of the class means exceeds the mean of the pupils by a point.
- soil pH, the 2nd: lme4 warns when temperature is not centred.
- frogs, the 12th: the slope of the pooled logit is within 0.1 of the attenuated slope, and a straight logit
  finds nothing in the tadpoles.

Real data are not so obliging: `draw("birds", seed)` in `data/generate.py` gives another sample from the
same truth.
"""

REAL = """
## From the literature

These sets come from packages for R. The values are unchanged. The terms are those of the package;
`data/LICENSES.md` gives them in full.
"""


def chapters_that_load(root):
    """Names of data sets to the chapters of the table of contents, and the capstone, that load them."""
    used = {}
    for path in re.findall(
        r"file: (chapters/(?:\d\d_\w+|capstone)\b)", (root / "_toc.yml").read_text(encoding="utf-8")
    ):
        file = root / f"{path}.ipynb"
        if not file.is_file():
            continue
        notebook = json.loads(file.read_text(encoding="utf-8"))
        code = "".join("".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code")
        for name in sorted(set(re.findall(r"""load\(["'](\w+)["']\)""", code))):
            used.setdefault(name, []).append(Path(path).name)
    return used


def table(head, rows):
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def about_column(about):
    """Meaning of a column, with its levels where they are few."""
    levels = about.get("levels")
    few = isinstance(levels, list) and len(levels) <= 6
    return about["meaning"] + (f" Levels: {', '.join(levels)}." if few else "")


def truth_box(look, truth):
    """What the set shows and what it was drawn from, closed until opened: fit first."""
    numbers = [(f"`{name}`", f"{value:g}") for name, value in truth["parameters"].items()]
    numbers += [(f"`{name}` (tadpoles)", f"{value:g}") for name, value in truth.get("tadpoles", {}).items()]
    equations = "\n".join(
        fill(line.strip(), 66, subsequent_indent="    ") for line in truth["model"].split(";")
    )
    title = f"What it shows, and the truth (seed {truth['seed']})"
    values = table(["parameter", "true value"], numbers)
    return f"```{{dropdown}} {title}\n{look}\n\n~~~text\n{equations}\n~~~\n\n{values}```\n"


def section(name, about, chapters, truth=None):
    """One data set."""
    rows = [
        (f"`{column}`", ", ".join(filter(None, [col["kind"], col.get("unit")])), about_column(col))
        for column, col in about["columns"].items()
    ]
    parts = [
        f"\n(data-{name})=\n### {name}: {about['title']}\n",
        about["description"],
        f"\n{about['rows']:,} rows.\n",
        table(["column", "kind", "meaning"], rows),
    ]
    if truth:
        parts.append(truth_box(about["look"], truth))
    if chapters:
        parts.append("Used in " + ", ".join(f"{{doc}}`{chapter}`" for chapter in chapters) + ".\n")
    parts.append(f"Source: {about['source']} Terms: {about['terms']}")
    return "\n".join(parts) + "\n"


def page(root=HERE.parent):
    """The whole page as text."""
    book = json.loads((HERE / "codebook.json").read_text(encoding="utf-8"))
    truths = json.loads((HERE / "truth.json").read_text(encoding="utf-8"))
    used = chapters_that_load(root)
    simulated = [section(n, a, used.get(n), truths[n]) for n, a in book.items() if a["simulated"]]
    real = [section(n, a, used.get(n)) for n, a in book.items() if not a["simulated"]]
    return OPENING + "".join(simulated) + REAL + "".join(real)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8", newline="\n")
