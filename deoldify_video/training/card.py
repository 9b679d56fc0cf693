"""The model card: what a weights file is, where it comes from and how good it is, as JSON and as Markdown."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

from deoldify_video.errors import InputError

EVALUATION = "evaluation.json"  # in the run folder: what `evaluate --json` printed
NOTES = "notes.md"  # in the run folder: data, rights and weaknesses, in words


def source_commit() -> str | None:
    """Commit of the checkout that this program runs from; None when it is installed, or git is not there."""
    root = Path(__file__).resolve().parents[2]
    git = shutil.which("git")
    if git is None or not (root / ".git").exists():
        return None
    found = subprocess.run([git, "-C", str(root), "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    return found.stdout.strip() or None


def make_card(name: str, run: dict[str, Any], weights: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Gather the facts: `run` is `run.json`, `weights` the metadata of the weights file; the folder may hold a table and notes.

    Raises `InputError` when the table is there but no JSON of `evaluate`.
    """
    card: dict[str, Any] = {
        "name": name,
        "phase": weights.get("phase"),
        "step": int(weights.get("step", 0)),
        "pictures": int(weights.get("pictures", 0)),
        "hours": float(weights.get("hours", 0.0)),
        "device": weights.get("device"),
        "commit": run.get("commit"),
        "version": run.get("version"),
        "seed": run.get("seed"),
        "init": run.get("init"),
        "data": run.get("data"),
        "recipe": run.get("recipe"),
    }
    if (folder / EVALUATION).is_file():
        try:
            report = json.loads((folder / EVALUATION).read_text(encoding="utf-8"))
            rows = report["curve"] if "curve" in report else [report["mean"]]
            card["evaluation"] = {"render_factor": report["render_factor"], "rows": rows}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{folder / EVALUATION} is not what `evaluate --json` prints: {error}.") from error
    if (folder / NOTES).is_file():
        card["notes"] = (folder / NOTES).read_text(encoding="utf-8").strip()
    return card


def card_markdown(card: dict[str, Any]) -> str:
    """The card for people."""
    data = card["data"] or {}
    lines = [
        f"# {card['name']}",
        "",
        "A network that colourizes grey pictures, for `deoldify-video colorize --model`.",
        "",
        "| | |",
        "|---|---|",
        f"| trained for | {card['step']} steps, {card['pictures']:,} pictures, {card['hours']:.2f} hours on {card['device']} |",
        f"| weights | average of the weights at step {card['step']}, phase {card['phase']}; float16 |",
        f"| data | {data.get('photos', 0)} photographs ({', '.join(data.get('from', []))}) |",
        f"| started from | {card['init'] or 'nothing'} |",
        f"| program | version {card['version']}, commit {card['commit'] or 'unknown'}, seed {card['seed']} |",
    ]
    if "notes" in card:
        lines += ["", card["notes"]]
    if "evaluation" in card:
        lines += ["", *_table(card["evaluation"])]
    if card["recipe"]:
        lines += ["", "## Recipe", "", "```json", json.dumps(card["recipe"], indent=1), "```"]
    return "\n".join(lines) + "\n"


def _table(evaluation: dict[str, Any]) -> list[str]:
    first = evaluation["rows"][0]
    lines = [
        f"## Evaluation: {first['pictures']} pictures at render factor {evaluation['render_factor']}",
        "",
        "| temperature | gain | PSNR dB | over grey dB | CIEDE2000 | CF | CF ratio |",
        "|---|---|---|---|---|---|---|",
        f"| grey | | {first['grey_psnr_db']:.2f} | 0.00 | {first['grey_ciede2000']:.2f} | 0.0 | 0.00 |",
    ]
    for row in evaluation["rows"]:
        lines.append(
            f"| {row['temperature']:g} | {row['gain']:g} | {row['psnr_db']:.2f} | {row['gain_db']:+.2f} "
            f"| {row['ciede2000']:.2f} | {row['cf']:.1f} | {row['cf_ratio']:.2f} |"
        )
    return [*lines, f"| truth | | | | 0.00 | {first['true_cf']:.1f} | 1.00 |"]
