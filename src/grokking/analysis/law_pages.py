"""The page of the laws: a line per test, and both laws over the training fraction."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from grokking.analysis.laws import counts
from grokking.analysis.pages import plain, render


def page(
    rows: list[dict[str, Any]],
    fractions: Mapping[str, Mapping[str, Any]],
    tables: Mapping[str, pd.DataFrame],
) -> str:
    """The page in markdown; rows of `laws.judged`, fits of `laws.fractions.compared` by sweep."""
    return render(
        "laws.md.jinja",
        rows=rows,
        counts=counts(rows),
        table=plain(pd.DataFrame([_line(row) for row in rows])),
        fractions=fractions,
        fraction_table=plain(pd.DataFrame(list(_fraction_lines(fractions)))),
        sweeps={name: _sweep(table) for name, table in tables.items()},
    )


def _line(row: Mapping[str, Any]) -> dict[str, str]:
    return {
        "law": f"[{row['claim']}]({row['source']})",
        "measured": f"`{row['measured']}`",
        "claimed": _ends(*row["claimed"]),
        "predicted": _predicted(row),
        "found": _found(row),
        "sweep": f"`{row['sweep']}`",
        "verdict": row["verdict"],
    }


def _predicted(row: Mapping[str, Any]) -> str:
    """What was predicted of the number, and whether it came so."""
    if not row["predicted"]:
        return "—"
    low, high = row["predicted"]
    value = row.get("value")
    came = "" if value is None else ", met" if low <= value <= high else ", missed"
    return _ends(low, high) + came


def _found(row: Mapping[str, Any]) -> str:
    if row.get("value") is None:
        return row.get("note") or "—"
    size = f"n = {row['networks']} in {row['cells']} cells, {row['censored']} censored"
    return f"{row['value']:.3g} ({_ends(row['low'], row['high'])}); {size}; {row['note']}"


def _ends(low: float | None, high: float | None) -> str:
    if low == high and low is not None:
        return f"{low:g}"
    return " to ".join("∞" if end is None else f"{end:.3g}" for end in (low, high))


def _fraction_lines(fractions: Mapping[str, Mapping[str, Any]]) -> Any:
    for name, fit in fractions.items():
        for law, found in fit["laws"].items():
            yield {
                "sweep": f"`{name}`",
                "law": {"power": "T = C f^-k", "shifted": "T = C (f - f_c)^-k"}[law],
                "k": f"{found['exponent']:.2f} ({_ends(*found['intervals']['exponent'])})",
                "f_c": _critical(law, found),
                "over seeds": _over_seeds(law, fit["over_seeds"]),
                "R²": f"{found['r_squared']:.3f}",
                "AIC": f"{found['aic']:.1f}",
                "error of a fraction left out": f"× {10 ** fit['error_in_decades'][law]:.2f}",
                "n": f"{fit['networks']} at {len(fit['fractions'])} fractions, {fit['censored']} censored",
            }


def _critical(law: str, found: Mapping[str, Any]) -> str:
    if law == "power":
        return "—"
    return f"{found['critical']:.3f} ({_ends(*found['intervals']['critical'])})"


def _over_seeds(law: str, drawn: Mapping[str, Any]) -> str:
    if law == "power":
        return "—"
    return f"k {_ends(*drawn['exponent'])}, f_c {_ends(*drawn['critical'])}"


def _sweep(table: pd.DataFrame) -> dict[str, Any]:
    return {
        "networks": len(table),
        "generalized": int(table["observed"].sum()),
        "processor": ", ".join(sorted(table["processor"].unique())),
    }
