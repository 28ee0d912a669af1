"""Pictures of the measures, by matplotlib, which only the extra `askonce[plot]` brings.

One rule: a picture shows what a table says, and every line in it is told by its name, not only by its colour.
"""

from __future__ import annotations  # matplotlib is there for type checkers alone

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from askonce.quality import bounds
from askonce.quality.metrics import PairDecisions, curve

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["PlotError", "coverage_plot", "need_matplotlib", "reliability_plot"]

DPI = 120
STYLES = ("-", "--", "-.", ":")


class PlotError(ValueError):
    """No picture can be made; the message says what is missing."""


def need_matplotlib(path: Path) -> None:
    """Raises PlotError, before anything is measured for nothing."""
    try:
        import matplotlib
    except ImportError:
        raise PlotError('--plot needs matplotlib: pip install "askonce[plot]"') from None
    matplotlib.use("Agg")  # draws into files; needs no screen
    from matplotlib.figure import Figure

    known = Figure().canvas.get_supported_filetypes()
    if path.suffix.lower().removeprefix(".") not in known:
        raise PlotError(f"--plot: expected a name that ends in one of {', '.join(sorted(known))}; got {path}")


def coverage_plot(path: Path, found: Mapping[str, PairDecisions], labels: NDArray[np.int8], title: str) -> None:
    """The share of wrong answers among the first x pairs in order of falling score; crosses are what was served.

    Contestants of one name but for their threshold ("cosine 0.7", "cosine 0.8") are one line. Raises OSError.
    """

    def draw(axes: Axes) -> None:
        colours = dict[str, Any]()
        for label, decisions in found.items():
            name = label.rpartition(" ")[0] or label
            if name not in colours:
                served, wrong = curve(decisions.scores, labels)
                style = STYLES[len(colours) % len(STYLES)]
                (line,) = axes.plot(100 * served / len(labels), 100 * wrong / served, style, label=name, lw=1.5)
                colours[name] = line.get_color()
            count, bad = int(decisions.served.sum()), int((decisions.served & (labels == 0)).sum())
            if count:
                place = 100 * count / len(labels), 100 * bad / count
                axes.plot(*place, "x", color=colours[name], ms=7, mew=2)
                if name != label:
                    axes.annotate(label.removeprefix(name).strip(), place, (5, -9), textcoords="offset points", size=8)
        axes.set_xlabel("pairs served, % of all")
        axes.set_ylabel("wrong among them, %")
        axes.set_xlim(0, 100)
        axes.set_ylim(0)
        for error in (1, 5):
            axes.axhline(error, color="0.8", lw=0.8, zorder=0)

    _save(path, title, draw)


def reliability_plot(
    path: Path, groups: Sequence[tuple[str, NDArray[np.float64], NDArray[np.int8]]], title: str, bins: int = 15
) -> None:
    """What came true of the judge's probabilities: for each group (name, probabilities, labels), bins of equally many
    pairs, with 95 % bounds. Raises OSError."""

    def draw(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], color="0.7", lw=1, zorder=0)
        for number, (name, probabilities, labels) in enumerate(groups):
            order = np.argsort(probabilities, kind="stable")
            parts = [part for part in np.array_split(order, bins) if len(part)]
            said = [float(probabilities[part].mean()) for part in parts]
            good, of = [int((labels[part] == 1).sum()) for part in parts], [len(part) for part in parts]
            true = [g / n for g, n in zip(good, of, strict=True)]
            below = [t - bounds.lower(g, n, 0.975) for t, g, n in zip(true, good, of, strict=True)]
            above = [bounds.upper(g, n, 0.975) - t for t, g, n in zip(true, good, of, strict=True)]
            style = "o" + STYLES[number % len(STYLES)]
            axes.errorbar(said, true, yerr=[below, above], fmt=style, ms=4, lw=1.2, elinewidth=0.8, label=name)
        axes.set_xlabel("probability that the judge gave")
        axes.set_ylabel("share of pairs that one answer serves")
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1)
        axes.set_aspect("equal")

    _save(path, title, draw)


def _save(path: Path, title: str, draw: Callable[[Axes], None]) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.8), layout="constrained")
    axes = figure.add_subplot()
    draw(axes)
    axes.set_title(title, fontsize=11)
    axes.legend(fontsize=8, frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=DPI)
