"""A batch's report: a page to look at, and a table."""

from __future__ import annotations

import csv
import html
import io
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from urllib.parse import quote

from pipeline.batch.ledger import COMPARED, Record
from pipeline.disk.storage import replace_file, writing

PAGE = "report.html"
TABLE = "results.csv"

COLUMNS = (
    "name", "photo", "status", "kind", "message", "exit_code", "seconds", "output", "killed",
)  # fmt: skip

WORDS = {
    "waiting": "Not done yet",
    "failed": "Failed",
    "timed_out": "Took too long",
    "quarantined": "Workers died with it",
}

STYLE = """
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 80rem; padding: 0 1rem; }
.sheet { display: grid; grid-template-columns: repeat(auto-fill, minmax(16rem, 1fr)); gap: 1rem; }
figure { margin: 0; } img { width: 100%; height: auto; border-radius: 4px; }
figcaption { font-size: 13px; overflow-wrap: anywhere; }
table { border-collapse: collapse; width: 100%; } td, th { text-align: left; padding: .3rem .6rem;
vertical-align: top; border-bottom: 1px solid color-mix(in srgb, currentColor 20%, transparent); }
"""


def write_report(output: Path, records: Iterable[Record]) -> None:
    """Write report.html and results.csv. Raises StorageFailed."""
    known = list(records)
    with writing(output):
        replace_file(output / PAGE, page(known).encode(errors="replace"))
        replace_file(output / TABLE, table(known).encode(errors="replace"))


def table(records: Sequence[Record]) -> str:
    """Return a line of CSV for each photo."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for record in records:
        row = [getattr(record, name) for name in COLUMNS]
        writer.writerow([_plain(value) for value in row])
    return text.getvalue()


def _plain(value: object) -> object:
    """Keep a spreadsheet from running a name as a formula."""
    if isinstance(value, str) and value[:1] in "=+-@\t\r":
        return f"'{value}"
    return value


def page(records: Sequence[Record]) -> str:
    """Return the page: before and after of what is done, and the rest by its reason."""
    done = [record for record in records if record.status == "done"]
    rest: dict[tuple[str, str], list[Record]] = defaultdict(list)
    for record in records:
        if record.status != "done":
            rest[(WORDS[record.status], record.kind or "")].append(record)
    seconds = sorted(record.seconds for record in done if record.seconds is not None)
    about = f"{len(done)} of {len(records)} photos are done."
    if seconds:
        about += f" Half of them took {seconds[len(seconds) // 2]:.1f} s or less."
    parts = [
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>realdrag batch</title>',
        '<meta name="viewport" content="width=device-width">',
        f"<style>{STYLE}</style><h1>{about}</h1>",
    ]
    for (words, kind), members in sorted(rest.items()):
        heading = f"{words}: {kind}" if kind else words
        parts.append(f"<h2>{html.escape(heading)} ({len(members)})</h2><table>")
        parts += [
            f"<tr><th>{html.escape(each.name)}</th><td>{html.escape(each.message or '')}</td></tr>"
            for each in members
        ]
        parts.append("</table>")
    if done:
        parts.append("<h2>Before | after</h2>")
        common = {note for note in done[0].notices if all(note in each.notices for each in done)}
        parts += [f"<p>{html.escape(note)}</p>" for note in done[0].notices if note in common]
        parts.append('<div class="sheet">')
        parts += [_figure(record, common) for record in done]
        parts.append("</div>")
    return "\n".join([*parts, "</html>", ""])


def _figure(record: Record, told: Collection[str]) -> str:
    """Return a photo before and after; what is `told` of all of them is left out."""
    picture = f"{COMPARED}/{quote(record.name)}.jpg"
    name, result = html.escape(record.name), quote(record.output or "")
    seconds = f", {record.seconds:.1f} s" if record.seconds is not None else ""
    notes = "".join(f"<br>{html.escape(each)}" for each in record.notices if each not in told)
    return (
        f'<figure><a href="{result}"><img src="{picture}" alt="{name}, before and after" '
        f'loading="lazy"></a><figcaption>{name}{seconds}{notes}</figcaption></figure>'
    )
