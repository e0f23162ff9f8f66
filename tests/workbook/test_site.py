"""The site: what its pages show, where links lead, and how it looks to a browser."""

from __future__ import annotations

import functools
import http.server
import json
import re
import shutil
import subprocess
import threading
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import pytest

from reidlib.errors import ReidError
from reidlib.workbook import collected, markup, notebook_page, published, site, summary
from reidlib.workbook.collected import PAPERS

pytestmark = pytest.mark.slow  # all together
ROOT = Path(__file__).parents[2]


class Page(HTMLParser):
    """What the tests ask of a page: tags with their attributes, and the text."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.open: list[str] = []
        self.bare_code = 0
        self.text = ""
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {key: value or "" for key, value in attrs}))
        if tag in ("details", "pre"):
            self.open.append(tag)
            self.bare_code += tag == "pre" and "details" not in self.open

    def handle_endtag(self, tag: str) -> None:
        if tag in ("details", "pre"):
            self.open.pop()

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    to = tmp_path_factory.mktemp("site")
    site.build(to)
    return to


@pytest.fixture(scope="module")
def pages(built: Path) -> dict[str, Page]:
    return {path.name: Page(path) for path in sorted(built.glob("*.html"))}


def test_every_link_leads_somewhere(built: Path, pages: dict[str, Page]) -> None:
    broken = []
    for name, page in pages.items():
        for link in page.all("a"):
            target = link["href"]
            if target.startswith("https://doi.org/"):
                continue
            file, _, anchor = target.partition("#")
            there = built / (file or name)
            ids = {a.get("id") for _, a in pages.get(there.name, page).tags}
            if not there.is_file() or (anchor and anchor not in ids):
                broken.append((name, target))
    assert broken == []


def test_nothing_is_loaded_from_a_network(pages: dict[str, Page]) -> None:
    for name, page in pages.items():
        for tag, attributes in page.tags:
            if tag != "a":
                for key in ("src", "href"):
                    assert not re.match(r"(https?:)?//", attributes.get(key, "")), (name, tag)


def test_every_picture_has_a_text_and_a_size(built: Path, pages: dict[str, Page]) -> None:
    pictures = [(n, image) for n, page in pages.items() for image in page.all("img")]
    assert len(pictures) > 40
    for name, image in pictures:
        assert len(image["alt"]) >= 15 or image["src"].startswith("data:"), (name, image["src"])
        if not image["src"].startswith("data:"):
            assert (built / image["src"]).is_file(), (name, image["src"])
            assert int(image["width"]) > 0 < int(image["height"])


def test_every_figure_says_data_network_steps_and_seeds(built: Path) -> None:
    figures = [
        re.sub(r"<[^>]+>", "", text)
        for path in built.glob("[0-9]*.html")
        for text in re.findall(r"<figcaption>(.*?)</figcaption>", path.read_text("utf-8"), re.S)
    ]
    assert len(figures) > 40
    said = r"Drawn people; .*\w+, \d+x\d+, [\d,]+ (steps|epochs), .*\d seeds?\."
    drawn = [text for text in figures if re.search(said, text)]
    others = [text for text in figures if text not in drawn]
    assert all("nothing is trained" in text for text in others)
    assert 4 < len(others) < len(drawn) / 3, others


def test_every_committed_figure_is_on_exactly_one_notebooks_page(pages: dict[str, Page]) -> None:
    shown = Counter(
        image["src"].removeprefix("figures/")
        for name, page in pages.items()
        for image in page.all("img")
        if name[:2].isdigit()
    )
    committed = [p.name for p in (ROOT / "figures" / "study").glob("*.png")]
    committed = [name for name in committed if not name.startswith("90_")]
    assert {name: shown[name] for name in committed} == dict.fromkeys(committed, 1)


def test_every_table_printed_or_measured_is_on_exactly_one_page(pages: dict[str, Page]) -> None:
    where: dict[str, set[str]] = {}
    for name, page in pages.items():
        for table in page.all("table"):
            for source in table.get("data-sources", "").split():
                where.setdefault(source, set()).add(name)
    wanted = [f"{name}.csv" for name in published.files()]
    wanted += [table.path.name for table in collected.tables()]
    assert {name: len(where.get(name, ())) for name in wanted} == dict.fromkeys(wanted, 1)


def test_every_figure_of_the_papers_is_shown_or_said_why_not(pages: dict[str, Page]) -> None:
    missing = notebook_page.not_shown()
    assert set(missing) == set(notebook_page.NOT_SHOWN)  # none is new, none is there by now
    for (paper, figure), why in missing.items():
        assert len(why) > 40
        assert f"{PAPERS[paper].label}, Fig. {figure}: {why}" in pages["index.html"].text
    assert site.REAL_PICTURES in pages["index.html"].text


def test_the_index_has_a_card_for_each_paper(pages: dict[str, Page]) -> None:
    index = pages["index.html"]
    assert len(index.all("article")) == len(PAPERS) == 5
    claims = collected.claims()
    for name, paper in PAPERS.items():
        assert paper.title in index.text
        assert all(sentence in index.text for sentence in summary.sentences(claims, name))


def test_code_is_folded_and_no_stderr_is_shown(built: Path, pages: dict[str, Page]) -> None:
    folded = 0
    for notebook in notebook_page.NOTEBOOKS:
        page = pages[f"{notebook}.html"]
        folded += len(page.all("pre"))
        assert page.bare_code == 0, notebook
        assert "stderr" not in (built / f"{notebook}.html").read_text(encoding="utf-8")
    assert folded > 100


def test_claims_can_be_filtered_by_paper_and_verdict(pages: dict[str, Page]) -> None:
    rows = [a for a in pages["summary.html"].all("tr") if "data-verdicts" in a]
    claims = collected.claims()
    assert len(rows) == len(claims.drop_duplicates(["paper", "number"]))
    assert {a["data-paper"] for a in rows} == set(PAPERS)
    held = sum("holds" in a["data-verdicts"].split("|") for a in rows)
    known = claims[claims["verdict"] == "holds"].drop_duplicates(["paper", "number"])
    assert held == len(known)


def test_a_folder_that_is_no_site_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(ReidError, match="holds no site: name another folder"):
        site.build(tmp_path)
    assert (tmp_path / "mine.txt").read_text() == "mine"


def cell(source: str) -> dict[str, object]:
    return {"cell_type": "code", "source": source}


def test_a_name_belongs_to_the_cell_that_reports_it() -> None:
    cells = [
        cell('data = load("overlap")'),
        cell('report.figure(draw(), "overlap")\nreport.save(x, "sweep")'),
        cell('%matplotlib inline\nreport.table(t, "table1", "A title")'),
        cell('for key in keys:\n    report.figure(f(key), f"fig7_{key}")'),
        {"cell_type": "markdown", "source": '"left"'},
    ]
    names = ["table1", "overlap", "fig7_crop", "sweep", "left", "fig8_crop"]
    assert notebook_page.places(cells, names) == {
        1: ["overlap", "sweep"],
        2: ["table1"],
        3: ["fig7_crop"],
    }


@pytest.mark.parametrize(
    "source",
    [
        'report.table(frame, "table5", "Table V: parts")',
        'report.table("table5", rows, on="x y", title="Table V: parts")',
        'title = "Table V: parts"\nreport.results(frame, "table5", title)',
    ],
)
def test_a_table_has_the_title_that_its_cell_gives(source: str) -> None:
    assert notebook_page._said(cell(source), "table5") == "Table V: parts"


@pytest.mark.parametrize(
    ("heading", "numbers"),
    [
        ("The network (Figs. 1 to 3)", ["1", "2", "3"]),
        ("One step (Figs. 1, 3 and 4)", ["1", "3", "4"]),
        ("Failures (Fig. 7)", ["7"]),
        ("Claims", []),
    ],
)
def test_a_heading_names_its_figures(heading: str, numbers: list[str]) -> None:
    assert notebook_page._figure_numbers(heading) == numbers


def test_links_between_notebooks_lead_to_pages() -> None:
    text = markup.markdown("[a](10_x.ipynb#b) [c](../reidlib/y.py) [d](https://doi.org/1)")
    local = markup.local(text, {"10_x.html"})
    assert '<a href="10_x.html#b">a</a> c <a href="https://doi.org/1">d</a>' in local


def test_an_equation_is_a_picture_with_its_source() -> None:
    text = markup.markdown("so $x^2$ and\n\n$$\\sum_i y_i$$\n")
    assert text.count("data:image/svg+xml;base64,") == 2
    assert 'alt="x^2"' in text
    assert "<code>\\nothing{</code>" in markup.markdown("$\\nothing{$")


PROBE = """<!doctype html><meta charset="utf-8"><body>FRAMES<pre id="found"></pre><script>
addEventListener("load", () => {
  const found = {};
  for (const frame of document.querySelectorAll("iframe")) {
    const page = frame.contentDocument, one = { wide: page.documentElement.scrollWidth };
    const table = [...page.querySelectorAll("table")].find((t) => t.querySelector(".groups")
      && t.querySelector(".groups").textContent.includes("ours") && !t.closest("details"));
    if (table) {
      const row = [...table.tBodies[0].rows].find((r) => r.className !== "quoted"
        && r.cells[1].textContent.trim() !== "–");
      one.right = row.cells[1].getBoundingClientRect().right;
      one.text = row.cells[1].textContent.trim();
      const head = table.tHead.rows[1].cells[1], column = () => [...table.tBodies[0].rows]
        .map((r) => parseFloat(r.cells[1].dataset.sort)).filter((x) => !Number.isNaN(x));
      head.querySelector("button").click();
      one.sorted = column();
    }
    const form = page.querySelector("form.filters");
    if (form) {
      form.elements.verdict.value = "holds";
      form.elements.verdict.dispatchEvent(new Event("input", { bubbles: true }));
      const rows = [...page.getElementById(form.dataset.table).tBodies[0].rows];
      const left = rows.filter((r) => getComputedStyle(r).display !== "none");
      one.left = left.length;
      one.all = rows.length;
      one.right_ones = left.every((r) => r.dataset.verdicts.split("|").includes("holds"));
    }
    found[frame.src.split("/").pop()] = one;
  }
  document.getElementById("found").textContent = JSON.stringify(found);
});
</script>"""


def test_a_browser_shows_all_pages_on_a_phone(built: Path, pages: dict[str, Page]) -> None:
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no Chromium here (Debian: apt-get install chromium)")
    frames = "".join(f'<iframe src="{name}" width="390" height="900"></iframe>' for name in pages)
    (built / "probe.htm").write_text(PROBE.replace("FRAMES", frames), encoding="utf-8")
    handler = functools.partial(Quiet, directory=str(built))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        command = [browser, "--headless", "--no-sandbox", "--disable-gpu",
                   "--enable-logging=stderr", "--dump-dom",
                   f"http://127.0.0.1:{server.server_port}/probe.htm"]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=True)
    finally:
        server.shutdown()
        (built / "probe.htm").unlink()
    console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    assert console == []
    text = re.search(r'<pre id="found">(.*?)</pre>', done.stdout, re.S)
    assert text, done.stdout[-500:]
    found = json.loads(text[1].replace("&amp;", "&"))
    assert set(found) == set(pages)
    for name, one in found.items():
        assert one["wide"] <= 390, f"{name} is {one['wide']} pixels wide"
    for paper in PAPERS.values():
        one = found[f"{paper.notebook}.html"]
        assert one["right"] <= 390, f"{paper.label}: our value ends at pixel {one['right']}"
        assert re.match(r"\d+\.\d", one["text"])
        assert one["sorted"] == sorted(one["sorted"], reverse=True)
        assert 0 < one["left"] < one["all"]
        assert one["right_ones"]
    assert found["summary.html"]["left"] < found["summary.html"]["all"]


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass
