"""Reports: what the page says is what the runs say, names are only text, and the file asks for nothing beyond itself."""

from __future__ import annotations

import base64
import gzip
import io
import os
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch

from ganlab import data, plots, rng, stats, trace
from ganlab.diagnoses import diagnose
from ganlab.experiment import Experiment, Run, outcome
from ganlab.pages import classifier_page, pages_of, report, shared
from ganlab.pages.gans import _verdict_cell, images_figure
from ganlab.pages.page import Figure, Page, Section, Table, Text, _picture, render, write
from ganlab.registry import InputError
from ganlab.registry import shown as as_symbols
from ganlab.supervised import perform, plan
from ganlab.train import environment
from tests.faked import planned
from tests.faked import run_of as planned_run
from tests.planted import Sampler, blob, of_modes, perfect, run_of, until

RING = data.get("ring8")
STEPS = (0, 50, 100, 150, 200)
KEPT = (0, 100, 200)
N_SEEDS = 4

SAMPLERS: dict[str, Sampler] = {
    "nsgan": until(100, of_modes(RING, [0]), perfect),
    "wgan": of_modes(RING, [0, 1, 2, 3, 4]),
    "r1gan": blob(2.0),
}


def shown(sampler: Sampler, variant: str, on: str = "ring8", n_seeds: int = N_SEEDS) -> Run:
    """Return a planted run with what a trained one carries for its page."""
    run = run_of(sampler, n_seeds=n_seeds, ring=data.get(on), n=400, steps=STEPS)
    generated = [
        [sampler(300, step, rng.stream(1000 * seed + step, "evaluation")).numpy() for step in KEPT] for seed in range(n_seeds)
    ]
    ring = data.get(on)
    samples = {
        "generated": np.asarray(generated, dtype=np.float32), "moments": np.asarray(KEPT),
        "real": perfect(300, 0, rng.stream(0, "evaluation")).numpy(), "modes": ring.modes.numpy(), "std": ring.std.numpy(),
    }  # fmt: skip
    known = environment("cpu", torch.float32, "vmap", 2.5) | {"sources": {variant: f"The paper of {variant}"}}
    return replace(run, experiment=replace(run.experiment, subject=variant), samples=samples, environment=known)


def unpictured(run: Run) -> Run:
    """Return the run without what its samples are compared with, which spares the page their pictures."""
    return replace(run, samples={"generated": run.samples["generated"]})


def renamed(run: Run, **names: str) -> Run:
    return replace(run, experiment=replace(run.experiment, **names))


@pytest.fixture(scope="module")
def runs() -> list[Run]:
    return [shown(sampler, name) for name, sampler in SAMPLERS.items()]


@dataclass
class Seen(HTMLParser):
    """What stands in a page: its tags with their attributes, and the text that a reader sees."""

    source: str
    tags: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    style: bool = False

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.feed(self.source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        self.style = tag == "style"

    def handle_endtag(self, tag: str) -> None:
        self.style = False

    def handle_data(self, data: str) -> None:
        if not self.style and data.strip():
            self.texts.append(data)

    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def page(runs: list[Run]) -> Seen:
    return Seen(render(pages_of(runs), "a command"))


def blocks(pages: list[Page], kind: type) -> Iterator[Any]:
    for one in pages:
        for section in one.sections:
            yield from (block for block in section.blocks if isinstance(block, kind))


# --- what the page says ------------------------------------------------------------------------------------------------


def test_the_matrix_says_failures_n_claim_and_the_wilson_interval(runs: list[Run]) -> None:
    matrix = next(blocks(pages_of(runs), Table))
    assert list(matrix.header) == ["variant", "ring8"]
    cells = {row[0].text: row[1] for row in matrix.cells()}
    failures = {"nsgan": 0, "wgan": N_SEEDS, "r1gan": 0}
    assert set(cells) == set(failures)
    for variant, n_failed in failures.items():
        expected, cell = stats.rate(n_failed, N_SEEDS), cells[variant]
        said = f"{cell.text} {cell.note}"
        assert cell.text.startswith(f"{n_failed} of {N_SEEDS}")
        assert f"{expected.estimate:.0%} [{expected.low:.0%}, {expected.high:.0%}]" in said
        assert stats.claim(n_failed, N_SEEDS) in said
        assert cell.tone == stats.claim(n_failed, N_SEEDS)
    assert "8 of 8 modes" in cells["nsgan"].note
    assert "5 of 8 modes" in cells["wgan"].note
    assert f"{N_SEEDS} of {N_SEEDS} with poor samples" not in cells["nsgan"].note


def test_the_answer_counts_what_the_diagnoses_count(runs: list[Run]) -> None:
    (one,) = pages_of(runs)
    assert one.answer.startswith(f"{N_SEEDS} of {3 * N_SEEDS} training runs collapsed. Of 3 combinations")
    assert "shown for 1" in one.answer
    assert "2 are inconclusive" in one.answer


def test_the_page_opens_with_the_verdict_and_ends_with_settings_and_sources(page: Seen) -> None:
    text = page.text()
    headings = ["The verdict", "The evidence", "What the words mean", "Settings", "Sources", "Made by ganlab"]
    places = [text.index(words) for words in headings]
    assert places == sorted(places)
    assert text.index("training runs collapsed") < places[0]
    for variant in SAMPLERS:
        assert f"{variant}: The paper of {variant}" in text


def test_medians_and_poor_samples_are_of_all_seeds_also_where_few_could_be_judged() -> None:
    run = run_of(blob(0.5), n_seeds=3)
    found = replace(diagnose(run)["mode_collapse"], n=1)
    assert "3 of 3 with poor samples" in _verdict_cell(run, found).note


def test_every_failed_seed_has_a_row_with_its_onset_and_evidence(runs: list[Run]) -> None:
    (table,) = [t for t in blocks(pages_of(runs), Table) if "failures of seeds" in t.title]
    rows = [[cell.text for cell in row] for row in table.cells()]
    assert [row[:4] for row in rows] == [["wgan", str(seed), "Mode collapse", "0"] for seed in range(N_SEEDS)]
    assert all("3 of 8 modes lost (5, 6, 7)" in row[4] for row in rows)


def since_when(runs: list[Run]) -> list[Figure]:
    return [figure for figure in blocks(pages_of(runs), Figure) if figure.title.startswith("Since when are collapsed seeds")]


def test_seeds_are_shown_until_they_collapse_with_n_and_what_is_not_known_of_the_others(runs: list[Run]) -> None:
    late = shown(until(150, perfect, of_modes(RING, [0])), "hinge")
    mixed = replace(runs[0], outcome=outcome(runs[0].experiment, {1: (50, "generator loss")}))
    (figure,) = since_when([mixed, runs[1], late])
    assert figure.title == "Since when are collapsed seeds collapsed, on ring8?"
    said = "nsgan 1 of 4; wgan 4 of 4, from the start; hinge 4 of 4, half by step 150. "
    assert figure.caption.startswith(said)
    assert said[:-2] in figure.alt
    assert figure.caption.endswith("not collapsed when their run ended; what they would do later is not known.")
    wanted = plots.frame_survival([mixed, runs[1], late], [diagnose(run)["mode_collapse"] for run in (mixed, runs[1], late)])
    pd.testing.assert_frame_equal(figure.frame, wanted)
    drawing = figure.draw()
    assert [ax.get_title() for ax in drawing.axes] == ["nsgan", "wgan", "hinge"]
    curve = drawing.axes[2].lines[0]
    np.testing.assert_array_equal(curve.get_xydata(), [[0, 1], [0, 1], [150, 0], [200, 0]])
    plt.close(drawing)


def test_each_data_set_with_a_collapse_has_its_survival_and_others_have_none(runs: list[Run]) -> None:
    elsewhere = [renamed(unpictured(run), data="elsewhere") for run in runs[:2]]
    assert [figure.title[-10:] for figure in since_when([*map(unpictured, runs), *elsewhere])] == [" on ring8?", "elsewhere?"]
    assert since_when([unpictured(runs[0]), unpictured(runs[2])]) == []


def test_variants_are_compared_with_the_usual_one_on_the_same_seeds(page: Seen, runs: list[Run]) -> None:
    (table,) = [t for t in blocks(pages_of(runs), Table) if t.title.startswith("Against")]
    assert [row[0].text for row in table.cells()] == ["wgan", "r1gan"]
    rate = table.cells()[0][1]
    assert rate.text == "+100%"
    p = 2 * 0.5**N_SEEDS
    assert rate.note == f"p = {p:.2g}, corrected {2 * p:.2g}, inconclusive"  # two variants have a rate
    assert "no interval: too few seeds, p = " in table.cells()[0][2].note
    assert "Holm's correction for the comparisons in this table: 2 rates (which takes at least 7 common seeds)" in table.caption
    assert "6 scores (which takes at least 8 common seeds)" in table.caption


def test_answers_of_a_table_allow_for_all_its_variants() -> None:
    """Eight seeds tell one variant from the usual one by three scores, but not three by nine: 9 / 2^7 is more than 5 %."""
    few = [shown(perfect, "nsgan", n_seeds=8), shown(SAMPLERS["wgan"], "wgan", n_seeds=8)]
    many = [*few, *(shown(SAMPLERS["wgan"], f"wgan {i}", n_seeds=8) for i in range(2))]
    for runs, told in ((few, True), (many, False)):
        (table,) = [t for t in blocks(pages_of([unpictured(run) for run in runs]), Table) if t.title.startswith("Against")]
        scores = [cell.note for cell in table.cells()[0][3:]]  # modes and divergence; the samples are equally good
        assert all(("nsgan is higher" in note or "it is higher" in note) == told for note in scores)
        assert table.cells()[0][1].note.endswith("it is higher")


def test_several_data_sets_are_columns_and_what_was_not_run_is_said(runs: list[Run]) -> None:
    elsewhere = renamed(runs[0], data="elsewhere")
    matrix = next(blocks(pages_of([*runs, elsewhere]), Table))
    assert list(matrix.header) == ["variant", "ring8", "elsewhere"]
    assert [[cell.text for cell in row][2] for row in matrix.cells()][1:] == ["not run", "not run"]


def test_one_colour_per_variant_throughout(page: Seen, runs: list[Run]) -> None:
    colours = plots.palette(SAMPLERS)
    assert len(set(colours.values())) == 3
    for table in blocks(pages_of(runs), Table):
        for row in table.cells():
            if row[0].swatch:
                assert row[0].swatch == colours[row[0].text]
    swatches = [a["style"] for a in page.all("span") if a.get("class") == "swatch"]
    assert {s.removeprefix("background: ") for s in swatches} == set(colours.values())
    assert list(plots.palette(["b", "a", "b"])) == ["b", "a"]
    assert len(set(plots.palette(map(str, range(9))).values())) == 9


def test_figures_draw_a_variant_in_its_colour(runs: list[Run], monkeypatch: pytest.MonkeyPatch) -> None:
    """By what every drawing function is given, in every figure of the page."""
    colours, given = plots.palette(SAMPLERS), []
    for name in ("draw_rates", "draw_survival", "draw_curves", "draw_samples"):
        real = getattr(plots, name)

        def spy(frame: pd.DataFrame, ax: Any, real: Any = real, **how: Any) -> Any:
            given.append((frame, how))
            return real(frame, ax, **how)

        monkeypatch.setattr(plots, name, spy)
    for figure in blocks(pages_of(runs), Figure):
        plt.close(figure.draw())
    for frame, how in given:
        if "variant" in frame and "colour" in how:
            assert how["colour"] == colours[frame["variant"].iloc[0]]
        if "colours" in how:
            assert how["colours"] == colours
    assert {how["colour"] for _, how in given if "colour" in how} == set(colours.values())


def test_every_figure_has_a_text_alternative_and_its_data(page: Seen, runs: list[Run]) -> None:
    figures = list(blocks(pages_of(runs), Figure))
    images = page.all("img")
    attached = [a for a in page.all("a") if "download" in a]
    assert len(figures) == len(images) == len(attached) >= 6
    for figure, image, link in zip(figures, images, attached, strict=True):
        assert len(image["alt"]) > 40
        assert image["alt"] == figure.alt
        assert int(image["width"]) > 50
        assert int(image["height"]) > 50
        assert image["src"].startswith("data:image/webp;base64,")
        frame = decoded(link)
        assert len(frame) == len(figure.frame) > 0
        assert list(frame.columns) == list(figure.frame.columns)
        for column in figure.frame.select_dtypes("number"):
            np.testing.assert_allclose(frame[column], figure.frame[column], rtol=1e-5)


def decoded(link: dict[str, str]) -> pd.DataFrame:
    kind, _, text = link["href"].partition(";base64,")
    content = base64.b64decode(text)
    if link["download"].endswith(".csv.gz"):
        assert kind == "data:application/gzip"
        content = gzip.decompress(content)
    else:
        assert link["download"].endswith(".csv")
        assert kind == "data:text/csv"
    return pd.read_csv(io.BytesIO(content), keep_default_na=False, na_values=[""])


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing is forked")
def test_figures_drawn_in_other_processes_give_the_same_file(runs: list[Run], monkeypatch: pytest.MonkeyPatch) -> None:
    pages, here, drawn_here = pages_of(runs), os.getpid(), []

    def spy(figure: Figure) -> dict[str, Any]:
        if os.getpid() == here:
            drawn_here.append(figure.title)
        return _picture(figure)

    monkeypatch.setattr("ganlab.pages.page._picture", spy)
    texts = []
    for cores in (1, 3):
        monkeypatch.setattr("ganlab.forked.n_cores", lambda cores=cores: cores)
        texts.append(render(pages, "a command"))
    assert texts[0] == texts[1]
    assert drawn_here == [figure.title for figure in blocks(pages, Figure)]


def test_an_error_of_a_drawing_comes_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ganlab.forked.n_cores", lambda: 3)

    def draw() -> Any:
        raise ValueError("cannot be drawn")

    figures = [Figure("a", plt.figure, pd.DataFrame({"a": [1]}), ""), Figure("b", draw, pd.DataFrame({"a": [1]}), "")]
    with pytest.raises(ValueError, match="cannot be drawn") as caught:
        render([Page("x", "x", "x", [Section("x", figures)])], "a command")
    assert caught.traceback[-1].name == "draw"
    plt.close("all")


# --- one file that asks for nothing ------------------------------------------------------------------------------------


OWN = ("data:image/webp;base64,", "data:text/csv;", "data:application/gzip;", "#")


def assert_self_contained(seen: Seen) -> None:
    """No script, no handler, no address but data and places on the page; and a policy that would stop others."""
    (policy,) = [m["content"] for m in seen.all("meta") if m.get("http-equiv") == "Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert "script" not in policy
    for tag, attributes in seen.tags:
        assert tag not in ("script", "link", "iframe", "object", "embed", "base", "form")
        for name, value in attributes.items():
            assert not name.startswith("on"), (tag, name)
            if name in ("src", "href", "srcset", "action", "poster", "background", "cite", "data"):
                assert value.startswith(OWN), value[:60]
            if name == "style":
                assert re.fullmatch(r"background: #[0-9a-f]{6}", value)
    (style,) = re.findall(r"<style>(.*?)</style>", seen.source, re.DOTALL)
    assert "url(" not in style
    assert "@import" not in style


def test_a_page_is_self_contained_and_small(page: Seen, tmp_path: Path) -> None:
    """Twelve runs on two data sets stay under 3 MB."""
    assert_self_contained(page)
    one = shown(perfect, "nsgan", n_seeds=8)
    twelve = [renamed(one, subject=f"variant{i % 6}", data=("ring8", "ring8_pacgan")[i // 6]) for i in range(12)]
    path = report(twelve, tmp_path / "report.html")
    assert path.stat().st_size < 3_000_000
    source = path.read_text(encoding="utf-8")
    assert max(map(len, re.findall(r'"(data:[^"]+)"', source))) < 1_000_000
    assert_self_contained(Seen(source))


def test_nothing_private_enters_the_file(runs: list[Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "do-not-tell-4711")
    monkeypatch.setattr("sys.argv", [str(Path.home() / "venv" / "bin" / "study.py"), "--token", "do-not-tell-4711"])
    source = report(runs[:1], tmp_path / "report.html").read_text(encoding="utf-8")
    assert ">ganlab.report(runs, path)<" in source
    text = Seen(source).text()
    for private in ("do-not-tell-4711", str(Path.home() / "venv"), str(tmp_path), os.uname().nodename):
        assert re.search(rf"\b{re.escape(private)}\b", text) is None


# --- hostile names -----------------------------------------------------------------------------------------------------

HOSTILE = [
    "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "\"><svg onload=alert(1)>", "' onmouseover='alert(1)",
    "</title></style></textarea>--><b>",
    "{{ 7 * 7 }}{% raw %}", "${7*7} #{7*7} <%= 7 %>", "$\\frac{1$", "$x$ and $y$",
    "_hidden", "__", "two\nlines", "x" * 400, "emoji \U0001f600 \U0001f468\u200d\U0001f469\u200d\U0001f467",
    "\u05e9\u05dc\u05d5\u05dd \u202egnp.exe", "bell\x07 escape\x1b[31m", "nan", "None", "&lt;b&gt; &amp; &#60;",
    "C:\\..\\x/../y", "http://example.com/a.png", "javascript:alert(1)", "a: b, c? d", "%s %d {0} {name}", "<!-- -->", "]]>",
    "\\u003cscript\\u003e", "=1+1|cmd", "\u2028line\u2029paragraph", " ",
]  # fmt: skip


def visible(name: str) -> str:
    """The name as the page shows it: control characters as symbols, white space as a browser runs it together."""
    return " ".join(as_symbols(name.replace("\n", " ")).split())


def test_the_page_tells_how_steps_ran_and_why() -> None:
    def ran(*environments: dict[str, Any]) -> list[str]:
        return shared._how_steps_ran([SimpleNamespace(environment=e) for e in environments])

    yes, no = ({"compiled": c, "compiled_because": why} for c, why in ((True, "much work"), (False, "5 updates in all")))
    mixed = {"compiled": [True, False], "compiled_because": ["much work", "compiling failed (X: y)"]}
    assert ran({}) == []
    assert ran(yes, yes) == ["Steps ran compiled in 2 of 2 runs."]
    assert ran(yes, no, no) == ["Steps ran compiled in 1 of 3 runs (in the others: 5 updates in all)."]
    few = [{"compiled": False, "compiled_because": f"{n}0 updates in all; compiling pays from 60,000"} for n in ("5,0", "7")]
    assert ran(*few) == ["Steps ran compiled in 0 of 2 runs (in the others: few updates; compiling pays from 60,000)."]
    assert ran(mixed) == ["Steps ran compiled in 0 of 1 runs (in the others: much work; compiling failed (X: y))."]


@pytest.mark.parametrize("where", ["subject", "data"])
def test_hostile_names_are_only_text(where: str, runs: list[Run], monkeypatch: pytest.MonkeyPatch) -> None:
    """All of them on one page, as variants or as data sets, with one picture in place of all."""
    tiny = _picture(Figure("", lambda: plt.figure(figsize=(1, 1)), pd.DataFrame(), ""))
    monkeypatch.setattr("ganlab.pages.page._picture", lambda _: tiny)
    plain = unpictured(runs[0])
    cited = [replace(plain, environment=plain.environment | {"sources": {name: name}}) for name in HOSTILE]
    hostile = [renamed(run, **{where: name}) for run, name in zip(cited, HOSTILE, strict=True)]
    harmless = [renamed(run, **{where: f"name{i}"}) for i, run in enumerate(hostile)]
    seen, tame = (Seen(render(pages_of(group), "x")) for group in (hostile, harmless))
    assert_self_contained(seen)
    assert [tag for tag, _ in seen.tags] == [tag for tag, _ in tame.tags]
    for name in HOSTILE:
        assert visible(name) in seen.text(), name
    tables = [decoded(link) for link in seen.all("a") if "download" in link]
    column = "variant" if where == "subject" else "data"
    named = set(pd.concat([table[column] for table in tables if column in table]).astype(str))
    assert named >= {name for name in HOSTILE if name.strip()}


CRAMPED = [
    "$\\frac{1$", "$x$ and $y$", "_hidden", "two\nlines", "x" * 400, "emoji \U0001f600", "\u05e9\u05dc\u05d5\u05dd",
    "esc\x1b[31m", "",
]  # fmt: skip


@pytest.mark.filterwarnings("ignore:Glyph")  # no font has them all; a missing one is drawn as a box
def test_hostile_names_break_no_figure_and_no_series_is_lost(runs: list[Run]) -> None:
    """Every picture is drawn to its last pixel; names stand on the axis and above the panels as they are."""
    chosen = [renamed(runs[i % 2], subject=name, data=f"{name}, twice") for i, name in enumerate(CRAMPED)]
    chosen = [chosen[0], *(unpictured(run) for run in chosen[1:])]
    named: set[str] = set()
    for figure in blocks(pages_of([*chosen, *(renamed(run, data="$") for run in chosen)]), Figure):
        if figure.folded:
            continue
        assert _picture(figure)["uri"].startswith("data:image/webp")
        with plt.rc_context(plots.style()):
            drawing = figure.draw()
        for ax in drawing.axes:
            named |= {ax.get_title(), *(label.get_text() for label in ax.get_yticklabels())}
        plt.close(drawing)
    assert named >= set(CRAMPED)
    assert named >= {f"{name}, twice" for name in CRAMPED}


@pytest.mark.filterwarnings("ignore:Glyph")
def test_hostile_texts_of_a_page_are_only_text() -> None:
    """Titles, captions, header, cells, notes, alternatives and the command: everywhere a text can stand."""
    for name in HOSTILE:
        frame = pd.DataFrame({name: [name, "1"]})
        figure = Figure(name, lambda: plt.figure(figsize=(1, 1)), frame, name, name)
        table = Table(name, [name, "b"], [[name, name]], name)
        one = Page("x", name, name, [Section(name, [Text([name, name]), table, figure])])
        seen = Seen(render([one], name))
        assert_self_contained(seen)
        plain = Seen(render([replaced(one)], "y"))
        assert [tag for tag, _ in seen.tags] == [tag for tag, _ in plain.tags]
        assert seen.text().count(visible(name)) >= 8
        (image,) = seen.all("img")
        assert image["alt"].split() == visible(name).split()


def replaced(one: Page) -> Page:
    """Return the same page with tame words."""
    figure = Figure("y", lambda: plt.figure(figsize=(1, 1)), pd.DataFrame({"y": ["1"]}), "y", "y")
    return Page("x", "y", "y", [Section("y", [Text(["y", "y"]), Table("y", ["y", "b"], [["y", "y"]], "y"), figure])])


def test_a_script_would_be_seen() -> None:
    """Guards the tests above: without escaping they find it."""
    tame = render([Page("x", "MARK", "y", [])], "y")
    for wild in ("<script>1</script>", "<img src=x onerror=alert(1)>", '<a href="http://example.com">x</a>'):
        with pytest.raises(AssertionError):
            assert_self_contained(Seen(tame.replace("MARK", wild)))


# --- runs that went wrong ----------------------------------------------------------------------------------------------


def diverged(run: Run, member: int, at: int = 100) -> Run:
    """Return the run with one member that turned non-finite."""
    table = run.trace.copy()
    table.loc[(table["member"] == member) & (table["step"] >= at), "value"] = np.nan
    points = run.samples["generated"].copy()
    points[member, [i for i, step in enumerate(KEPT) if step >= at]] = np.nan
    ended = outcome(run.experiment, {member: (at, "generator loss")})
    return replace(run, trace=table, outcome=ended, samples={**run.samples, "generated": points})


def test_a_diverged_member_is_on_the_page(runs: list[Run]) -> None:
    sick = [diverged(runs[0], 2), *runs[1:]]
    pages = pages_of(sick)
    seen = Seen(render(pages, "x"))
    cell = next(blocks(pages, Table)).cells()[0][1]
    assert cell.text.startswith(f"1 of {N_SEEDS}")
    assert "1 of 4 diverged" in cell.note
    assert "diverged at step 100: generator loss" in seen.text()
    assert plots.ranked_members(sick[0])["worst"] == 2


def test_a_run_in_which_all_diverged_still_gives_a_page(runs: list[Run]) -> None:
    sick = runs[0]
    for member in range(N_SEEDS):
        sick = diverged(sick, member, at=0)
    sick = replace(sick, outcome=outcome(sick.experiment, {m: (1, "discriminator loss") for m in range(N_SEEDS)}))
    seen = Seen(render(pages_of([sick, *runs[1:]]), "x"))
    assert f"{N_SEEDS} of {N_SEEDS} diverged" in seen.text()


def test_a_run_of_several_values_stands_as_one_row_for_each() -> None:
    one = shown(perfect, "nsgan", n_seeds=4)
    numbers = {"lr": (1e-3, 1e-4), "r1": (1.0,)}
    both = Experiment("gan", "nsgan", "ring8", (0, 1), one.experiment.steps, one.experiment.every, {}, numbers)
    (page,) = pages_of([replace(one, experiment=both, outcome=outcome(both, {}))])
    rows = page.sections[0].blocks[0].cells()
    assert [(row[0].text, row[1].text) for row in rows] == [
        ("nsgan lr=0.001", "0 of 2: inconclusive"),
        ("nsgan lr=0.0001", "0 of 2: inconclusive"),
    ]


def test_a_diverged_seed_is_never_best_and_short_runs_stay_on_the_page() -> None:
    bad = shown(blob(0.0), "nsgan", n_seeds=3)
    ended = outcome(bad.experiment, {0: (50, "generator loss"), 2: (70, "generator loss")})
    assert plots.ranked_members(replace(bad, outcome=ended))["best"] == 1
    long = shown(perfect, "wgan", n_seeds=2)
    short = replace(long, experiment=replace(long.experiment, subject="nsgan", steps=1))
    short.samples["moments"][-1] = long.samples["moments"][-1]
    (page,) = pages_of([long, short])
    ends = next(b for s in page.sections for b in s.blocks if b.title.startswith("Where do the samples lie"))
    assert set(ends.frame["variant"]) == {"wgan", "nsgan"}


def test_a_report_about_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a report needs at least one run; `ganlab list runs` shows what is stored"):
        report([], tmp_path / "report.html")
    assert list(tmp_path.iterdir()) == []


# --- writing -----------------------------------------------------------------------------------------------------------

BLANK = [Page("x", "A page", "An answer.", [])]


def test_a_page_is_written_where_asked_and_replaces_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "page.html"
    assert write(BLANK, path, "make 'a page'") == path
    assert "make &#39;a page&#39;" in path.read_text(encoding="utf-8")
    path.write_text("old")
    write(BLANK, str(path))
    assert path.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("where", ["file/page.html", "folder", "", "x" * 300])
def test_a_place_that_cannot_be_written_is_refused_and_left_as_it_was(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("x")
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match=r"cannot write the report to '.*': .*; choose another path"):
        write(BLANK, where)
    assert sorted(tmp_path.rglob("*")) == [tmp_path / "file", tmp_path / "folder"]


def test_a_full_disk_keeps_the_old_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "page.html"
    path.write_text("old")

    def full(self: Path, text: str, **_: Any) -> None:
        with open(self, "w") as file:
            file.write(text[:9])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(InputError, match="No space left on device; choose another path"):
        write(BLANK, path)
    monkeypatch.undo()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


# --- frames and drawings -----------------------------------------------------------------------------------------------


def test_frame_rates_has_the_numbers_of_the_diagnoses(runs: list[Run]) -> None:
    found = [diagnose(run)["mode_collapse"] for run in runs]
    frame = plots.frame_rates(runs, found).set_index("variant")
    assert list(frame.columns) == ["data", "rate", "low", "high", "failures", "n", "verdict"]
    expected = stats.rate(4, 4)
    assert tuple(frame.loc["wgan", ["rate", "low", "high", "failures", "n"]]) == (1.0, expected.low, expected.high, 4, 4)
    assert tuple(frame.loc["nsgan", ["rate", "failures", "verdict"]]) == (0.0, 0, "inconclusive")


def test_frame_survival_has_onsets_of_failed_seeds_and_the_last_step_of_others(runs: list[Run]) -> None:
    mixed = replace(runs[0], outcome=outcome(runs[0].experiment, {1: (50, "generator loss")}))
    frame = plots.frame_survival([mixed, runs[1]], [diagnose(run)["mode_collapse"] for run in (mixed, runs[1])])
    one, all_ = (frame[frame["variant"] == name].reset_index(drop=True) for name in ("nsgan", "wgan"))
    assert one[["step", "failures", "ended"]].to_numpy().tolist() == [[0, 0, 0], [50, 1, 0], [200, 0, 3]]
    assert one["survival"].tolist() == [1, 0.75, 0.75]
    assert all_[["step", "at_risk", "failures", "survival"]].to_numpy().tolist() == [[0, 4, 4, 0], [200, 0, 0, 0]]
    _, ax = plt.subplots()
    assert plots.draw_survival(frame, ax, colours=plots.palette(SAMPLERS)) is ax
    steps = {line.get_label(): line for line in ax.lines}
    assert steps["nsgan"].get_drawstyle() == "steps-post"
    np.testing.assert_array_equal(steps["nsgan"].get_ydata(), [1, *one["survival"]])
    np.testing.assert_array_equal(steps["wgan"].get_xydata(), [[0, 1], [0, 0], [200, 0]])  # down at once, and to be seen
    assert len(ax.collections) == 2  # a band for each
    assert plots.frame_survival([], []).columns.tolist() == frame.columns.tolist()
    plt.close("all")


def test_members_are_ranked_by_their_final_divergence() -> None:
    """Eight modes, six, four and two, in an order that is not that of the seeds."""
    held = {0: 4, 1: 8, 2: 2, 3: 6}
    run = shown(perfect, "x")
    final = run.trace["step"] == STEPS[-1]
    table = run.trace.copy()
    for member, n_modes in held.items():
        rows = final & (table["member"] == member) & (table["name"] == "kl_off_mode")
        table.loc[rows, "value"] = 8.0 - n_modes
    assert plots.ranked_members(replace(run, trace=table)) == {"best": 1, "median": 0, "worst": 2}
    table.loc[final & (table["member"] == 1) & (table["name"] == "kl_off_mode"), "value"] = np.inf
    assert plots.ranked_members(replace(run, trace=table))["worst"] == 1


def test_frame_samples_has_three_members_at_kept_moments_with_the_true_modes(runs: list[Run]) -> None:
    run = runs[0]
    frame = plots.frame_samples(run, n_points=50)
    places = plots.ranked_members(run)
    assert list(frame.columns) == ["seed", "step", "kind", "x", "y"]
    assert list(dict.fromkeys(frame["seed"])) == [f"{rank}: seed {place}" for rank, place in places.items()]
    assert list(dict.fromkeys(frame["step"])) == [f"step {step}" for step in KEPT]
    assert len(frame) == 3 * len(KEPT) * (8 + 50)
    for rank, place in places.items():
        part = frame[(frame["seed"] == f"{rank}: seed {place}") & (frame["step"] == "step 200")]
        np.testing.assert_allclose(part.loc[part["kind"] == "mode", ["x", "y"]], run.samples["modes"], atol=6e-4)
        points = run.samples["generated"][place, 2, :50]
        np.testing.assert_allclose(part.loc[part["kind"] == "sample", ["x", "y"]], points, atol=6e-4)


def test_frame_samples_of_many_moments_takes_first_and_last_and_more_of_the_early_ones() -> None:
    run = shown(perfect, "x", n_seeds=1)
    many = {**run.samples, "moments": np.arange(31) * 10, "generated": np.zeros((1, 31, 4, 2))}
    steps = list(dict.fromkeys(plots.frame_samples(replace(run, samples=many))["step"]))
    numbers = [int(step.removeprefix("step ")) for step in steps]
    assert (numbers[0], numbers[-1], len(numbers)) == (0, 300, 6)
    gaps = np.diff(numbers)
    assert (np.diff(gaps) >= 0).all()
    assert gaps[0] < gaps[-1]


def test_frame_curves_has_every_seed_of_every_run(runs: list[Run]) -> None:
    frame = plots.frame_curves(runs, "modes_covered", "default")
    assert list(frame.columns) == ["variant", "seed", "step", "value"]
    assert frame.groupby("variant", sort=False).size().to_dict() == dict.fromkeys(SAMPLERS, N_SEEDS * len(STEPS))
    for run in runs:
        mine = frame[frame["variant"] == run.experiment.subject].pivot(index="step", columns="seed", values="value")
        np.testing.assert_array_equal(mine, trace.wide(run.trace, "modes_covered", "default"))
    with pytest.raises(KeyError, match="was not recorded"):
        plots.frame_curves(runs, "no such quantity")


def test_drawings_return_their_axes_and_show_every_seed(runs: list[Run]) -> None:
    colours = plots.palette(SAMPLERS)
    with plt.rc_context(plots.style()):
        _, axes = plt.subplots(1, 3)
        rates = plots.frame_rates(runs, [diagnose(run)["mode_collapse"] for run in runs])
        assert plots.draw_rates(rates, axes[0], colours=colours) is axes[0]
        curves = plots.frame_curves(runs[:1], "modes_covered", "default")
        assert plots.draw_curves(curves, axes[1], colours=colours, label="modes covered", reference=8) is axes[1]
        samples = plots.frame_samples(runs[2])
        part = samples[(samples["step"] == "step 200") & samples["seed"].str.startswith("best")]
        assert plots.draw_samples(part, axes[2], colour="#000000") is axes[2]
    assert [label.get_text() for label in axes[0].get_yticklabels()] == list(SAMPLERS)
    assert sum(line.get_linewidth() > 0 for line in axes[1].lines) == N_SEEDS + 1 + 1  # seeds, their median, the reference
    np.testing.assert_allclose(axes[1].lines[N_SEEDS].get_ydata(), curves.groupby("step")["value"].median())
    assert axes[1].get_ylabel() == "modes covered"
    assert axes[1].get_ylim()[0] <= 0
    assert len(axes[2].collections) == 2
    assert "% outside" in axes[2].texts[0].get_text()  # the blob is wider than the ring
    plt.close("all")


def test_figures_count_what_they_show(runs: list[Run]) -> None:
    few = replace(runs[0], samples={**runs[0].samples, "generated": runs[0].samples["generated"][:, :, :40]})
    figures = {figure.title: figure for figure in blocks(pages_of([few]), Figure)}
    assert "dots: 40 samples" in figures["Where do the samples lie at the end, on ring8?"].caption
    assert f"at {len(KEPT)} moments" in figures["Samples over time: nsgan on ring8"].alt
    pictures = {**few.samples, "generated": np.zeros((N_SEEDS, 3, 1, 1, 8, 8), dtype=np.float32)}
    assert images_figure(replace(few, samples=pictures)).caption.startswith(f"{N_SEEDS} samples")


# --- classifiers -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def classified() -> list[Run]:
    return [perform(plan(net, "digits", seeds=2, epochs=2, batch=32, n_train=512)) for net in ("mlp", "cnn")]


def test_the_page_of_classifiers_says_that_digits_stand_in_for_mnist(classified: list[Run]) -> None:
    (one,) = pages_of(classified)
    assert "These are the 8 x 8 digits of scikit-learn. For MNIST set GANLAB_DATA" in one.answer
    assert "scikit-learn" not in classifier_page([renamed(run, data="mnist") for run in classified]).answer
    for run in classified:
        mean = trace.last(run.trace, "test_accuracy").mean()
        assert f"{run.experiment.subject} {mean:.2%}" in one.answer
    seen = Seen(render([one], "x"))
    assert_self_contained(seen)
    assert len(seen.all("img")) == 4
    assert all(len(image["alt"]) > 40 for image in seen.all("img"))


def test_a_comparison_of_classifiers_says_its_p(classified: list[Run]) -> None:
    one, other = (trace.last(run.trace, "test_accuracy") for run in classified)
    p = f"p = {stats.sign_flip(other, one):.2g}"
    (page,) = pages_of(classified)
    assert f"{p})." in page.answer
    (table,) = (table for table in blocks([page], Table) if table.title == "Seed by seed")
    assert [row[-1].note for row in table.cells()] == [p]


def test_the_table_of_classifiers_has_mean_accuracy_with_its_t_interval(classified: list[Run]) -> None:
    table = next(blocks(pages_of(classified), Table))
    for run, row in zip(classified, table.cells(), strict=True):
        expected = stats.mean(trace.last(run.trace, "test_accuracy").to_numpy())
        assert row[0].text == run.experiment.subject
        assert row[1].text == f"{expected.estimate:.2%}"
        assert row[1].note == f"[{expected.low:.2%}, {expected.high:.2%}], n=2"
        assert row[3].text == f"{trace.last(run.trace, 'n_parameters').iloc[0]:,.0f}"


def test_gans_and_classifiers_have_a_page_each(runs: list[Run], classified: list[Run]) -> None:
    pages = pages_of([*classified, *runs])
    assert len({one.name for one in pages}) == len(pages) == 2
    seen = Seen(render(pages, "x"))
    assert [a["href"] for a in seen.all("a") if "download" not in a] == [f"#{one.name}" for one in pages]
    assert [a["id"] for a in seen.all("article")] == [one.name for one in pages]


def test_frame_confusion_is_the_mean_over_seeds_and_counts_every_test_image(classified: list[Run]) -> None:
    frame = plots.frame_confusion(classified)
    assert list(frame.columns) == ["classifier", "true", "predicted", "images"]
    assert frame.groupby("classifier")["images"].sum().to_dict() == pytest.approx({"cnn": 360, "mlp": 360})
    mine = frame[(frame["classifier"] == "mlp") & (frame["true"] == frame["predicted"])]
    accuracy = trace.last(classified[0].trace, "test_accuracy").mean()
    assert mine["images"].sum() / 360 == pytest.approx(accuracy)
    _, ax = plt.subplots()
    assert plots.draw_confusion(frame[frame["classifier"] == "mlp"], ax) is ax
    assert len(ax.texts) == 90  # a number in each cell but the diagonal's
    plt.close("all")


def test_frame_hardest_has_the_pixels_and_what_was_read(classified: list[Run]) -> None:
    run = classified[0]
    frame = plots.frame_hardest(run, n=3)
    assert list(frame.columns) == ["digit", "x", "y", "pixel"]
    first, *_ = dict.fromkeys(frame["digit"])
    said = run.samples["hardest_predicted"][0]
    votes = max(np.count_nonzero(said == digit) for digit in said)
    assert re.fullmatch(rf"#1: {run.samples['hardest_labels'][0]}, read \d \({votes}/2\)", first)
    picture = frame[frame["digit"] == first].pivot(index="y", columns="x", values="pixel")
    np.testing.assert_array_equal(picture, run.samples["hardest"][0])
    _, ax = plt.subplots()
    assert plots.draw_image(frame[frame["digit"] == first], ax) is ax
    plt.close("all")


def test_hardest_digits_leave_a_diverged_seed_out_of_the_votes(classified: list[Run]) -> None:
    predicted = classified[0].samples["hardest_predicted"].copy()
    predicted[:, 0] = -1
    run = replace(classified[0], samples={**classified[0].samples, "hardest_predicted": predicted})
    assert plots.frame_hardest(run)["digit"].str.contains(r"\(1/1\)").all()


# --- in a browser ------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Glyph")
def test_a_browser_opens_the_page_without_complaint(runs: list[Run], classified: list[Run], tmp_path: Path) -> None:
    """Wide and narrow, light and dark: no message, no request beyond the file, no scrolling sideways, every image there."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    chromium = _chromium()
    hostile = [unpictured(renamed(runs[0], subject=name)) for name in [*HOSTILE[:3], "x" * 400]]
    path = report([runs[0], *hostile, *classified], tmp_path / "report.html")
    with playwright.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for width, scheme in ((1280, "light"), (1280, "dark"), (390, "light"), (390, "dark")):
            view = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
            heard: list[str] = []
            view.on("console", lambda message, heard=heard: heard.append(message.text))
            view.on("pageerror", lambda error, heard=heard: heard.append(str(error)))
            view.on("dialog", lambda dialog, heard=heard: (heard.append(dialog.message), dialog.dismiss()))
            asked: list[str] = []
            view.on("request", lambda request, asked=asked: asked.append(request.url))
            view.goto(path.as_uri(), wait_until="load")
            view.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
            view.evaluate("document.querySelectorAll('img').forEach(i => i.loading = 'eager')")
            view.evaluate("Promise.all([...document.images].map(i => i.decode()))")
            loaded = view.evaluate("[...document.images].map(i => i.complete && i.naturalWidth > 0)")
            over = view.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            ground = view.evaluate("getComputedStyle(document.body).backgroundColor")
            assert heard == [], (width, scheme)
            assert [url for url in asked if not url.startswith("data:")] == [path.as_uri()]
            assert len(loaded) == len(Seen(path.read_text(encoding="utf-8")).all("img")) > 5
            assert all(loaded)
            assert over <= 0, f"{over} pixels to scroll sideways at {width}, {scheme}"
            assert ground == {"light": "rgb(255, 255, 255)", "dark": "rgb(13, 17, 23)"}[scheme]
            view.close()
        browser.close()


@pytest.mark.slow
def test_what_is_folded_away_is_printed(tmp_path: Path) -> None:
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    folded = Table("Settings", ["a"], [["a cell"]], folded=True)
    path = write([Page("x", "A page", "An answer.", [Section("s", [folded])])], tmp_path / "page.html")
    with playwright.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=_chromium(), args=["--no-sandbox"])
        view = browser.new_page()
        view.goto(path.as_uri())
        seen = {}
        for media in ("screen", "print"):
            view.emulate_media(media=media)
            seen[media] = view.evaluate("document.querySelector('details th[scope=row]').checkVisibility()")
        browser.close()
    assert seen == {"screen": False, "print": True}


def _chromium() -> str:
    """Return where this machine has a browser; a test without one is skipped."""
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    return found or pytest.skip("needs a system chromium")


def test_panels_of_rates_share_their_rows_also_where_a_variant_is_missing() -> None:
    frame = pd.DataFrame([{"variant": "b", "data": "d", "rate": 0.5, "low": 0.4, "high": 0.6, "failures": 1, "n": 2}])
    _, ax = plt.subplots()
    plots.draw_rates(frame, ax, colours={"a": "C0", "b": "C1"})
    plt.close()
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["a", "b"]
    assert ax.lines[-2].get_ydata().tolist() == [1]


def test_runs_of_one_title_are_named_by_the_setting_in_which_they_differ() -> None:
    runs = [planned_run(planned("nsgan", beta1=beta1)) for beta1 in (0.0, 0.5)]
    assert [run.experiment.subject for run in shared.distinct(runs)] == ["nsgan beta1 0", "nsgan beta1 0.5"]
    by_objective = [planned_run(planned("nsgan", objective=name)) for name in ("minimax", "hinge")]
    assert [run.experiment.subject for run in shared.distinct(by_objective)] == ["nsgan minimax", "nsgan hinge"]
    runs += [planned_run(planned("nsgan", beta1=0.0, batch=8))]
    assert [run.experiment.subject for run in shared.distinct(runs)] == [f"nsgan {run.experiment.id[:4]}" for run in runs]


def test_every_rule_of_the_style_sheet_is_closed() -> None:
    """A rule that opens inside the selector of another is dropped by browsers, and the other with it."""
    style = render(BLANK, "a command").partition("<style>")[2].partition("</style>")[0]
    selectors = [part.rpartition("}")[2].rpartition(";")[2].strip() for part in style.split("{")[:-1]]
    assert not [selector for selector in selectors if "@" in selector[1:]]
    assert style.count("{") == style.count("}")
