"""Imports point one way, reading results needs no torch, and few modules touch the disk: read off the import statements."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "ganlab"

STATS = ("bootstrap", "failure_times", "intervals", "many", "more_seeds", "pairs", "rates")
DIAGNOSES = (
    "discriminator_overfitting", "divergence", "looks", "memorisation", "mode_collapse", "non_convergence",
    "vanishing_gradients",
)  # fmt: skip
DYNAMICS = ("games", "gaussians", "methods", "rules", "verdicts")
LECTURE = (
    "airline", "applications", "autoencoders", "bad_news", "breast_cancer", "digits", "frameworks", "judged", "learned", "line",
    "mnist", "neuron", "regression",
    "step_by_step", "two_layers", "vectors",
)  # fmt: skip
PAGES = (
    "applications", "calibration", "classifiers", "convergence", "frozen_claims", "gans", "learners", "lecture", "measures",
    "overview", "page", "phase_map", "published", "real_nets", "recorded", "repair", "shared", "throughput",
    "vanishing_gradients",
    *(f"lecture.{name}" for name in LECTURE),
)  # fmt: skip
LOOP = ("backward", "batches", "graphs", "hooks", "losses", "modules", "record", "rules", "samples", "updates", "watching")
REFERENCE = ("loop", "losses", "objectives", "optimizers", "past", "penalties", "players", "regularizers", "rules")

LAYERS = [
    {"processes", "registry"},
    {"forked"},
    {"cycles", "experiment", "stats", *(f"stats.{name}" for name in STATS), "store", "trace"},
    {"by_hand", "engine", "layers", "recurrent", "rng", "streams"},
    {"by_autograd"},
    {"data", *(f"data.{name}" for name in ("images", "mixtures", "series", "tables", "toys"))},
    {"metrics.judge", "metrics.modes", "metrics.neighbours"},
    {"metrics.members"},
    {f"metrics.{name}" for name in ("cells", "classes", "density", "distances", "diversity", "ndb", "null", "support")},
    {"metrics.memorisation", "metrics.two_sample"},
    {"dynamics", *(f"dynamics.{name}" for name in DYNAMICS), "turnover"},
    {"coders", "metrics", "net", "nets", "objectives", "optim", "penalties", "profiles", "tasks"},
    {"regularizers", "updates"},
    {"rotation"},
    {"parts"},
    {"game"},
    {"recipes", "variants"},
    {"probes", "planning"},
    {"draws", "measures", "surface", "loop", *(f"loop.{name}" for name in LOOP)},
    {"watch"},
    {"train"},
    {"fitting"},
    {"reference", *(f"reference.{name}" for name in REFERENCE), "autoencoders", "decoded", "learning", "supervised"},
    {"applications"} | {f"applications.{name}" for name in ("augmentation", "semi_supervised", "translation", "two_players")},
    {"memory"},
    {"blocks", "flops", "throughput", "workers"},
    {"convergence", "frozen", "planted", "remedies", "repeated", "sweep", "timing"}
    | {"diagnoses", *(f"diagnoses.{name}" for name in DIAGNOSES)},
    {"borrowed"},
    {"look"},
    {"listeners", "looks", "told"},
    {"recorded_run"},
    {"calibration", "checkpoints", "proposal", "recorder"},
    {"integrations"},
    {"trial"},
    {"plots"},
    {"application_plots", "convergence_plots", "dynamics_plots", "frozen_plots", "learning_plots", "lecture_plots"}
    | {"repair_plots", "throughput_plots"},
    {"pages", *(f"pages.{name}" for name in PAGES)},
    {"catalogue", "cli"},
]  # fmt: skip
"""From the ground up: a module imports from its own layer or lower ones. `catalogue` names registries of all, as text."""

TORCH_FREE = {
    "application_plots", "by_hand", "dynamics", *(f"dynamics.{name}" for name in DYNAMICS), "convergence", "convergence_plots",
    "cycles", "dynamics_plots", "frozen", "frozen_plots", "learning_plots", "lecture_plots",
    "stats", *(f"stats.{name}" for name in STATS),
    "forked", "registry", "experiment", "store", "trace", "turnover", "diagnoses", *(f"diagnoses.{name}" for name in DIAGNOSES),
    "blocks", "calibration", "checkpoints", "sweep", "plots", "pages", *(f"pages.{name}" for name in PAGES),
    "catalogue", "cli", "remedies", "proposal", "trial", "repair_plots",
    "flops", "processes", "repeated", "throughput", "workers", "timing", "throughput_plots",
}  # fmt: skip
TOUCH_DISK = {"store", "pages.page", "catalogue", "cli", "data.images", "experiment", "memory", "timing"}
"""`experiment` names a path in `Run.save`, and leaves the writing to the store; `memory` reads what the system allows; `timing`
reads the processor's name, and makes a folder for the compiler's caches."""

DISK = {"gzip", "io", "os", "pathlib", "shutil", "tempfile"}


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")


MODULES = {name_of(path): ast.parse(path.read_text()) for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py"}


def imports(module: str, *, top_only: bool = False) -> set[str]:
    """Return the modules that a module imports, those of ganlab without the package's name and with a leading dot."""
    found = set()
    nodes = MODULES[module].body if top_only else list(ast.walk(MODULES[module]))
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} uses a relative import"
            base = node.module or ""
            found |= {f"{base}.{alias.name}" if f"{base}.{alias.name}" in known() else base for alias in node.names}
    return found


def known() -> set[str]:
    return {f"ganlab.{name}" for name in MODULES}


def inside(module: str, **options: bool) -> set[str]:
    return {name.removeprefix("ganlab.") for name in imports(module, **options) if name.startswith("ganlab.")}


def layer(module: str) -> int:
    (found,) = [i for i, names in enumerate(LAYERS) if module in names]
    return found


def test_every_module_has_one_layer() -> None:
    assert sorted(MODULES) == sorted(name for names in LAYERS for name in names)


@pytest.mark.parametrize("module", sorted(MODULES))
def test_imports_point_down(module: str) -> None:
    upward = {name for name in inside(module) if layer(name) > layer(module)}
    assert not upward, f"{module} imports {upward} from above"


@pytest.mark.parametrize("module", sorted(TORCH_FREE))
def test_reading_results_imports_no_torch(module: str) -> None:
    outside = {name.partition(".")[0] for name in imports(module)}
    assert not outside & {"torch", "torchvision"}
    bound = inside(module, top_only=True) if module in ("cli", "experiment") else inside(module)
    assert bound <= TORCH_FREE, f"{module} reaches torch through {bound - TORCH_FREE}"


@pytest.mark.parametrize("module", ["reference", *(f"reference.{name}" for name in REFERENCE)])
def test_the_plain_loop_shares_no_formula_with_what_it_is_held_against(module: str) -> None:
    shared = {name for name in inside(module) if not name.startswith("reference")}
    assert shared <= {"draws", "game", "rng"}


def test_reading_a_store_loads_no_torch() -> None:
    """What the import statements say, said by an interpreter."""
    code = (
        "import sys, ganlab, ganlab.cli, ganlab.pages, ganlab.sweep;"
        "ganlab.load, ganlab.diagnose, ganlab.report, ganlab.compare;"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("module", "used"),
    [("ganlab", set()), ("ganlab.store", set()), ("ganlab.cli", set()), ("ganlab.train", {"torch", "pandas", "numpy"})],
)
def test_what_is_slow_to_import_waits_until_it_is_used(module: str, used: set[str]) -> None:
    slow = {"torch", "torchvision", "matplotlib", "seaborn", "sklearn", "pandas", "numpy"}
    code = f"import sys, {module}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert module in loaded
    assert slow.intersection(loaded) == used


@pytest.mark.parametrize("module", sorted(MODULES))
def test_few_modules_touch_the_disk(module: str) -> None:
    """Paths may be passed on and the number of cores asked for; opening files is for the store, reports, images and cli."""
    if module not in TOUCH_DISK:
        assert not imports(module) & (DISK - {"os", "pathlib"})
        calls = {ast.unparse(node.func) for node in ast.walk(MODULES[module]) if isinstance(node, ast.Call)}
        assert not {c for c in calls if c == "open" or c.endswith((".write_text", ".read_text", ".write_bytes", ".to_csv"))}


def test_nothing_unpickles() -> None:
    for path in PACKAGE.rglob("*.py"):
        text = path.read_text()
        for forbidden in ("import pickle", "torch.load(", "allow_pickle=True", "weights_only=False", "eval("):
            assert forbidden not in text.replace("literal_eval(", "").replace('mode="eval"', ""), (path, forbidden)


def test_the_wall_would_be_seen() -> None:
    """The checks above read real statements: the torch side does import torch."""
    assert "torch" in imports("train")
    assert "game" in inside("train")
