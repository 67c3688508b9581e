"""Time glmmlib and its peers on the same problem, each in a process of its own.

`measure(engine, problem, ...)` starts the child, which reads the same table from disk, fits it several times
and reports seconds, log-likelihood and its memory high-water. As a script (`python peers.py job.json`) this
file *is* the child. A peer that is not installed, cannot fit the model or takes too long comes back as a
`Result` that says so.

R's engines are found through `Rscript`. Python's peers are looked for in the running interpreter, or in the
one named by the environment variable GLMMLIB_PEERS_PYTHON, so that they need not share an environment with
glmmlib.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

R_ENGINES = ("lme4", "glmmTMB")
PYTHON_ENGINES = ("statsmodels", "glmm", "mixedlm", "lme_python")
HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Result:
    """What one engine did: seconds of each run, log-likelihood, bytes above the baseline; or why not."""

    engine: str
    seconds: tuple[float, ...] = ()
    loglik: float | None = None
    memory: int | None = None
    frame: int | None = None
    version: str = ""
    note: str = ""

    @property
    def median(self) -> float | None:
        return statistics.median(self.seconds) if self.seconds else None


# ---------------------------------------------------------------------------------------------- parent


@contextmanager
def stored(problem):
    """The problem's data on disk, as CSV for R and as a pickle for Python, in a folder that goes away."""
    with tempfile.TemporaryDirectory() as folder:
        data = problem.make()
        keep = set(re.findall(r"\w+", problem.formula)) | ({problem.trials} if problem.trials else set())
        data = data[[column for column in data if column in keep]]
        paths = {"csv": str(Path(folder, "data.csv")), "pickle": str(Path(folder, "data.pickle"))}
        data.to_csv(paths["csv"], index=False)
        data.to_pickle(paths["pickle"])
        factors = {c for c in data if data[c].dtype == "category"} | set(problem.groups)
        yield {**paths, "factors": sorted(factors), "folder": folder}


def measure(engine: str, problem, files: dict, runs: int = 3, limit: float = 180.0) -> Result:
    """Time one engine on one stored problem; never raises for what the engine does."""
    reason = _unsuited(engine, problem)
    if reason:
        return Result(engine, note=reason)
    job = {k: v for k, v in asdict(problem).items() if k != "make"} | files | {"engine": engine, "runs": runs}
    path = Path(files["folder"], "job.json")
    path.write_text(json.dumps(job))
    if engine in R_ENGINES:
        if shutil.which("Rscript") is None:
            return Result(engine, note="absent: no Rscript")
        command = ["Rscript", str(HERE / "peers.R"), str(path)]
    else:
        python = (
            sys.executable if engine == "glmmlib" else os.environ.get("GLMMLIB_PEERS_PYTHON", sys.executable)
        )
        command = [python, str(Path(__file__).resolve()), str(path)]
    return _run(engine, command, limit)


def _run(engine: str, command: list[str], limit: float) -> Result:
    child = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        out, err = child.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        child.communicate()
        return Result(engine, note=f"stopped after {limit:.0f} s")
    if child.returncode:
        last = (err.strip().splitlines() or ["no message"])[-1]
        missing = "ModuleNotFoundError" in last or "there is no package" in err
        return Result(engine, note="absent" if missing else f"failed: {last[:90]}")
    report = json.loads(out.strip().splitlines()[-1])

    def first(value):
        return value[0] if isinstance(value, list) and value else value

    return Result(
        engine,
        tuple(report["seconds"]),
        first(report["loglik"]),
        report.get("memory"),
        report.get("frame"),
        first(report.get("version", "")),
    )


def _unsuited(engine: str, problem) -> str:
    if engine == "statsmodels" and problem.family == "gaussian" and len(problem.groups) > 1:
        return "MixedLM has no crossed factors"
    if engine == "lme_python" and problem.trials:
        return "no formula for counts with trials"
    return ""


def import_seconds(module: str = "glmmlib", runs: int = 5) -> float | None:
    """Median time of `import module` in a fresh interpreter, or None when it cannot be imported."""
    code = f"import time; t = time.perf_counter(); import {module}; print(time.perf_counter() - t)"
    done = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=HERE.parents[1])
        for _ in range(runs)
    ]
    return None if any(d.returncode for d in done) else statistics.median(float(d.stdout) for d in done)


# ----------------------------------------------------------------------------------------------- child


def _fit_glmmlib(job, data):
    import glmmlib as gl

    if job["family"] == "gaussian":
        fit = gl.lmer(job["formula"], data, reml=job["reml"])
    else:
        fit = gl.glmer(
            job["formula"], data, family=job["family"], weights=data[job["trials"]] if job["trials"] else None
        )
    fit.bse  # noqa: B018  standard errors belong to the fit
    return float(fit.llf)


def _fit_statsmodels(job, data):
    """MixedLM; for a GLMM the GLM of its fixed part, a floor rather than a competitor."""
    import statsmodels.api as sm
    import statsmodels.formula.api as smf

    fixed = re.sub(r"\+ \([^)]*\)", "", job["formula"]).strip()
    if job["family"] == "gaussian":
        slopes = re.search(r"\(([^|]*)\|", job["formula"]).group(1)
        fit = smf.mixedlm(fixed, data, groups=job["groups"][0], re_formula=f"~{slopes}").fit(reml=job["reml"])
    else:
        family = {"binomial": sm.families.Binomial, "poisson": sm.families.Poisson}[job["family"]]()
        weights = data[job["trials"]] if job["trials"] else None
        fit = smf.glm(fixed, data, family=family, var_weights=weights).fit()
    fit.bse  # noqa: B018
    return float(fit.llf)


def _fit_glmm(job, data):
    import glmm

    weights = data[job["trials"]].to_numpy(float) if job["trials"] else None
    fit = glmm.fit(
        data,
        job["formula"],
        family=job["family"],
        weights=weights,
        reml=job["reml"] if job["family"] == "gaussian" else None,
    )
    return float(fit.loglik)


def _fit_mixedlm(job, data):
    import mixedlm
    from mixedlm import families

    if job["family"] == "gaussian":
        fit = mixedlm.lmer(job["formula"], data, REML=job["reml"])
    else:
        family = {"binomial": families.Binomial, "poisson": families.Poisson}[job["family"]]()
        weights = data[job["trials"]].to_numpy(float) if job["trials"] else None
        fit = mixedlm.glmer(job["formula"], data, family=family, weights=weights)
    fit.vcov()
    return float(fit.logLik().value)


def _fit_lme_python(job, data):
    import lme_python

    if job["family"] == "gaussian":
        fit = lme_python.lmer(job["formula"], data, reml=job["reml"])
    else:
        fit = lme_python.glmer(job["formula"], data, job["family"])
    fit.std_errors  # noqa: B018
    return float(fit.log_likelihood)


def _high_water() -> int:
    """Peak resident memory of this process in bytes."""
    try:
        status = Path("/proc/self/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+)", status).group(1)) * 1024
    except OSError:
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024


def _reset_high_water() -> None:
    with suppress(OSError):  # not Linux: the peak since the start is reported
        Path("/proc/self/clear_refs").write_text("5")


def child(job: dict) -> dict:
    import gc

    import pandas as pd

    warnings.simplefilter("ignore")
    fit_once = globals()[f"_fit_{job['engine']}"]
    data = pd.read_pickle(job["pickle"])
    if job["engine"] == "lme_python":  # knows no categories
        data = data.astype(dict.fromkeys(job["factors"], str))
    package = {"lme_python": "lme-python"}.get(job["engine"], job["engine"])
    __import__(job["engine"])
    seconds, memory, loglik = [], 0, None
    for _ in range(job["runs"]):
        gc.collect()
        _reset_high_water()
        before, start = _high_water(), time.perf_counter()
        loglik = fit_once(job, data)
        seconds.append(time.perf_counter() - start)
        memory = max(memory, _high_water() - before)
        if seconds[-1] > 20:  # a long run is measured once
            break
    return {
        "seconds": seconds,
        "loglik": loglik,
        "memory": memory,
        "frame": int(data.memory_usage(deep=True).sum()),
        "version": _version(package),
    }


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


if __name__ == "__main__":
    sys.path[0] = str(
        HERE.parents[1]
    )  # the checkout, and not this folder, whose glmm.py is not the peer of that name
    print(json.dumps(child(json.loads(Path(sys.argv[1]).read_text()))))
