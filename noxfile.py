"""Sessions: `nox -s report` trains and writes the report, `nox -s tests` runs the tests; `nox -l` lists all."""

from __future__ import annotations

import nox

nox.options.default_venv_backend = "uv|virtualenv"
nox.options.reuse_existing_virtualenvs = True
nox.options.sessions = ["lint", "tests"]

PYPROJECT = nox.project.load_toml("pyproject.toml")


def _install(session: nox.Session, project: str, *groups: str) -> None:
    """Install the project as it stands, with an extra if named, and the named dependency groups."""
    session.install("-e", project, *nox.project.dependency_groups(PYPROJECT, *groups))


@nox.session
def tests(session: nox.Session) -> None:
    """Run the tests and the examples in the documentation, a file a core at a time; arguments go to pytest."""
    _install(session, ".", "test")
    session.run("pytest", "-n", "auto", "--dist", "loadfile", "-m", "not slow and not compiles", *session.posargs)


@nox.session
def tests_slow(session: nox.Session) -> None:
    """Run the tests that train, simulate or kill for longer than a few seconds each: many minutes on two cores."""
    _install(session, ".", "test")
    session.run("pytest", "-m", "slow and not compiles", *session.posargs)


@nox.session
def tests_compiled(session: nox.Session) -> None:
    """Compile every variant and compare it with the mapped step: needs a C++ compiler and a quarter of an hour."""
    _install(session, ".", "test")
    session.run("pytest", "-m", "compiles", *session.posargs)


@nox.session
def tests_integrations(session: nox.Session) -> None:
    """Run the tests and recipes of Lightning, TensorBoard, Ignite and Accelerate, with these installed: two minutes."""
    _install(session, ".", "test", "integrations")
    files = ("tests/test_integrations.py", "tests/test_recorder_page.py", "tests/test_own_loop.py")
    session.run("pytest", *files, "-k", "test_integrations or test_recorder_page or lightning", *session.posargs)


@nox.session
def tests_frameworks(session: nox.Session) -> None:
    """Run the tests of Keras, TensorFlow and JAX beside PyTorch: installs more than a gigabyte."""
    _install(session, ".[frameworks]", "test")
    files = ("tests/test_frameworks.py", "tests/test_examples.py")
    session.run("pytest", *files, "-k", "test_frameworks or another_framework", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style (ruff) and types (mypy)."""
    _install(session, ".", "lint")
    session.run("ruff", "check")
    session.run("mypy")


@nox.session
def report(session: nox.Session) -> None:
    """Train what is missing and write reports/html/index.html; add `-- --profile standard` for more."""
    _install(session, ".[bench]")
    session.run("python", "-m", "reports.index", *session.posargs)


@nox.session
def mode_collapse(session: nox.Session) -> None:
    """Study: how often do the named GANs collapse on ring and grid?"""
    _study(session, "mode_collapse")


@nox.session
def vanishing_gradients(session: nox.Session) -> None:
    """Study: does a frozen generator still get a signal when the discriminator is trained to the end?"""
    _study(session, "vanishing_gradients")


@nox.session
def phase_map(session: nox.Session) -> None:
    """Study: where in the plane of learning rates and penalty weight does a GAN collapse?"""
    _study(session, "phase_map")


@nox.session
def pacgan(session: nox.Session) -> None:
    """Study: does packing keep modes? PacGAN's table, reported and ours; `-- --profile standard` for two hours of it."""
    _study(session, "pacgan")


@nox.session
def calibration(session: nox.Session) -> None:
    """Study of the diagnoses: how often are they right on runs whose truth is known?"""
    _study(session, "calibration")


@nox.session
def convergence(session: nox.Session) -> None:
    """Study: which GAN methods converge and which circle, as nets and on games with known answers?"""
    _study(session, "convergence")


@nox.session
def mnist_baselines(session: nox.Session) -> None:
    """Study: MLP against CNN on MNIST, or on digits where MNIST is not at hand."""
    _study(session, "mnist_baselines")


@nox.session
def lecture(session: nox.Session) -> None:
    """The lecture, runnable: every example of the slides as a small study, on one page."""
    _study(session, "lecture")


@nox.session
def frameworks(session: nox.Session) -> None:
    """The lecture's page with TensorFlow and JAX beside PyTorch: installs more than a gigabyte."""
    _study(session, "lecture", ",frameworks")


@nox.session
def throughput(session: nox.Session) -> None:
    """Study of this machine: how fast do many seeds train, against the plain loop and the machine's limit?"""
    _study(session, "throughput")


def _study(session: nox.Session, name: str, extras: str = "") -> None:
    _install(session, f".[bench{extras}]")
    session.run("python", "-m", "reports.index", name, "--out", f"reports/html/{name}.html", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Measure throughput in one interleaved run, then record timings with pytest-benchmark."""
    _install(session, ".[bench]")
    session.run("python", "-m", "benchmarks.throughput", *session.posargs)
    session.run(
        "pytest", "benchmarks", "-o", "python_files=*.py", "--benchmark-only", "--benchmark-columns=median,iqr,rounds"
    )
