"""A bar chart of throughput over direct as SVG: medians, whiskers from least to most, the bars to reach as dashes. Pure."""

import statistics
from xml.sax.saxutils import escape

from . import bars, report
from .contenders import HAPROXY, HIVE, TWEMPROXY

_COLOURS = {HIVE: "#c2410c", HAPROXY: "#64748b", TWEMPROXY: "#94a3b8"}
_OTHERS = "#a16207"  # further builds
_BAR, _GAP, _GROUP_GAP = 16, 2, 26  # px
_LEFT, _TOP, _HEIGHT, _BOTTOM = 44, 48, 260, 66
_STYLE = "text{font:12px sans-serif;fill:#334155}.small{font-size:11px}"


def draw(samples, mode):
    """The text of an SVG file."""
    names = report.proxies(samples)
    groups = [(workload, operation, report.by_round(samples, mode, workload.name, operation))
              for workload, operation in report.measured(samples, mode)]
    values = {(w.name, o, name): report.ratios(rounds, name, lambda s: s.requests_per_s) for w, o, rounds in groups for name in names}
    most = max([1.0, *(max(v) for v in values.values() if v)])
    top = 0.25 * -(-most // 0.25)  # the next quarter up

    def y(ratio):
        return _TOP + _HEIGHT * (1 - ratio / top)

    width_of_group = len(names) * (_BAR + _GAP) + _GROUP_GAP
    width = _LEFT + len(groups) * width_of_group + _GROUP_GAP
    parts = [_text(_LEFT, 18, f"requests/s over direct, {mode}: median, least to most; dashes are the bars to reach"), *_legend(names)]
    for step in range(int(top / 0.25) + 1):
        ratio = step * 0.25
        parts.append(_line(_LEFT, y(ratio), width, y(ratio), "#475569" if ratio in (0, 1) else "#e2e8f0"))
        parts.append(_text(_LEFT - 6, y(ratio) + 4, f"{ratio:.2f}", "end"))
    for i, (workload, operation, _) in enumerate(groups):
        x = _LEFT + _GROUP_GAP / 2 + i * width_of_group
        inner = len(names) * (_BAR + _GAP) - _GAP
        for j, name in enumerate(names):
            parts += _bar(x + j * (_BAR + _GAP), values[workload.name, operation, name], _COLOURS.get(name, _OTHERS), y)
        bar = bars.BARS.get(bars.throughput(workload.name, operation))
        if bar:
            parts.append(_line(x - 4, y(bar.limit), x + inner + 4, y(bar.limit), "#0f172a", ' stroke-width="1.5" stroke-dasharray="4 3"'))
        lines = [operation, *workload.title.split(", ")]
        parts += [_text(x + inner / 2, _TOP + _HEIGHT + 16 + 14 * k, line, "middle", "small") for k, line in enumerate(lines)]
    height = _TOP + _HEIGHT + _BOTTOM
    return "\n".join((
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}">',
        f"<style>{_STYLE}</style>", f'<rect width="{width}" height="{height}" fill="#ffffff"/>', *parts, "</svg>", ""))


def _bar(x, values, colour, y):
    if not values:
        return []
    middle, median = x + _BAR / 2, statistics.median(values)
    parts = [f'<rect x="{x:.1f}" y="{y(median):.1f}" width="{_BAR}" height="{y(0) - y(median):.1f}" fill="{colour}"/>']
    parts.append(_line(middle, y(min(values)), middle, y(max(values)), "#0f172a"))
    return parts + [_line(middle - 4, y(end), middle + 4, y(end), "#0f172a") for end in (min(values), max(values))]


def _legend(names):
    parts, x = [], _LEFT
    for name in names:
        parts += [f'<rect x="{x}" y="27" width="10" height="10" fill="{_COLOURS.get(name, _OTHERS)}"/>', _text(x + 14, 36, name)]
        x += 30 + 8 * len(name)
    return parts


def _line(x1, y1, x2, y2, colour, more=""):
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}"{more}/>'


def _text(x, y, text, anchor="start", kind=""):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"' + (f' class="{kind}"' if kind else "") + f">{escape(text)}</text>"
