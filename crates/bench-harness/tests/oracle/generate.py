"""Writes vectors.json: inputs and what SciPy, statsmodels and NumPy make of them, for ../oracle.rs.

    python3 -m venv venv && venv/bin/pip install scipy statsmodels numpy
    venv/bin/python crates/bench-harness/tests/oracle/generate.py

Nothing here knows how the crate computes: estimates follow from their definition, and an interval's ends are found by
asking SciPy's test on which side of each candidate it starts to reject. Inputs have few digits, so that every JSON
reader gets the same number.
"""

import json
import math
import pathlib

import numpy as np
import scipy
import statsmodels
from scipy import stats
from statsmodels.stats.multitest import multipletests

ALTERNATIVES = ["two-sided", "less", "greater"]
LEVELS = [0.8, 0.9, 0.95, 1 - 0.05 / 3, 0.99, 0.999]
rng = np.random.default_rng(20_260_901)


def short(values, digits=6):
    return [float(f"{value:.{digits - 1}e}") for value in values]


def untied(values):
    """Redraws nothing: moves equal neighbours apart in the last digit kept."""
    seen, result = set(), []
    for value in values:
        while value in seen or value == 0.0:
            value = float(f"{value * 1.0001 + 1e-290:.5e}")
        seen.add(value)
        result.append(value)
    return result


def samples():
    """Named samples: sizes, shapes, scales, ties and zeros."""
    shapes = {
        "normal": lambda n: rng.normal(0.1, 1, n),
        "laplace": lambda n: rng.laplace(0.1, 1, n),
        "t2": lambda n: rng.standard_t(2, n),
        "lognormal": lambda n: rng.lognormal(0, 1, n),
        "uniform": lambda n: rng.uniform(-1, 1, n),
    }
    named = []
    for n in [6, 7, 8, 11, 16, 25, 32, 50, 51, 64, 65, 90]:
        for shape in ["normal", "t2", "lognormal"] if n <= 32 else ["laplace"]:
            named.append((f"{shape} {n}", untied(short(shapes[shape](n)))))
    for n, scale in [(10, 1e-12), (12, 1e-250), (10, 1e12), (12, 1e250), (20, 1e-3)]:
        named.append((f"uniform {n} times {scale:g}", untied(short(shapes["uniform"](n) * scale))))
    named.append(("far from zero", untied(short(1e6 + rng.normal(0, 100, 14), 9))))
    named.append(("all positive", untied(short(rng.exponential(1, 20)))))
    named.append(("all negative", untied(short(-rng.exponential(1, 30)))))
    named.append(("all positive, many", untied(short(1 + rng.exponential(1, 70)))))
    for n in [6, 8, 15, 30, 49, 64]:
        named.append((f"integers {n}", [float(v) for v in rng.integers(-5, 8, n)]))
    named.append(("integers without zero", [float(v) for v in rng.choice([-3, -2, -1, 1, 2, 3, 4], 24)]))
    named.append(("one zero", [0.0] + untied(short(rng.normal(0.3, 1, 11)))))
    named.append(("half zeros", [0.0] * 6 + [1.0, 2.0, -3.0, 4.0, 5.0, 6.0]))
    named.append(("clock ticks", [float(v) for v in rng.integers(100, 104, 32)]))
    named.append(("constant", [2.5] * 10))
    return named


def is_untied(differences):
    sizes = np.abs(differences)
    return np.all(sizes > 0) and len(np.unique(sizes)) == len(sizes)


def signed_rank_p(values, center, alternative):
    differences = np.asarray(values) - center
    if not np.any(differences):
        return None
    exact = is_untied(differences) and len(values) <= 50
    method = "exact" if exact else "asymptotic"
    result = stats.wilcoxon(differences, alternative=alternative, method=method, zero_method="wilcox", correction=False)
    return float(result.pvalue)


def crossings(candidates, p_of, confidence):
    """The outermost candidates between which the test's p stays above 1 - confidence; None if it does everywhere."""
    # 1 - 0.9 is a little below 0.1 in floating point, and p = 0.1 is to count as rejected at 90 %.
    alpha = (1 - confidence) * (1 + 1e-12)
    candidates = np.sort(candidates)
    scale = max(abs(candidates[0]), abs(candidates[-1]))
    distinct = [candidates[0]]
    for candidate in candidates[1:]:
        # Candidates that differ in the last bits are one: the test between them would be about rounding.
        if candidate - distinct[-1] > 1e-12 * scale:
            distinct.append(candidate)
    distinct = np.array(distinct)
    gap = scale + 1.0 if scale < 1e200 else scale
    middles = np.concatenate([[distinct[0] - gap], distinct[:-1] / 2 + distinct[1:] / 2, [distinct[-1] + gap]])
    if p_of(middles[0]) > alpha or p_of(middles[-1]) > alpha:
        return None

    # Cell i lies below distinct[i]. From an accepted cell in the middle outwards, by halving.
    accepted = len(middles) // 2
    assert p_of(middles[accepted]) > alpha

    def edge(rejected):
        inner, outer = accepted, rejected
        while abs(inner - outer) > 1:
            cell = (inner + outer) // 2
            if p_of(middles[cell]) > alpha:
                inner = cell
            else:
                outer = cell
        return min(inner, outer)

    return [float(distinct[edge(0)]), float(distinct[edge(len(middles) - 1)])]


def signed_rank_interval(values, confidence):
    values = np.asarray(values)
    walsh = np.array([values[i] / 2 + values[j] / 2 for i in range(len(values)) for j in range(i, len(values))])
    how = {"method": "exact"} if len(values) <= 64 else {"method": "asymptotic", "correction": True}
    return crossings(walsh, lambda center: stats.wilcoxon(values - center, **how).pvalue, confidence)


def hodges_lehmann(values):
    values = np.asarray(values)
    return float(np.median([values[i] / 2 + values[j] / 2 for i in range(len(values)) for j in range(i, len(values))]))


def signed_rank_cases():
    cases = []
    for name, values in samples():
        centers = [0.0, float(f"{np.median(values) * 1.01:.3g}")]
        tests = [
            {"center": center, "p": [signed_rank_p(values, center, alternative) for alternative in ALTERNATIVES]}
            for center in centers
        ]
        intervals = []
        # Ties in the values themselves leave the exact test undefined everywhere; the definition by ordered averages
        # is then checked by small_tied_intervals().
        if len(set(values)) == len(values) and 0.0 not in values:
            intervals = [{"confidence": level, "ends": signed_rank_interval(values, level)} for level in LEVELS]
        cases.append(
            {
                "name": name,
                "values": values,
                "hodges_lehmann": hodges_lehmann(values),
                "tests": tests,
                "intervals": intervals + tied_intervals(values, intervals),
            }
        )
    return cases


def tied_intervals(values, already):
    """By the definition, with all 2^n patterns of signs looked at one by one: for small samples with ties."""
    n = len(values)
    if already or n > 15 or n < 6:
        return []
    ranks = np.arange(1, n + 1)
    sums = sorted(int(ranks[[(pattern >> i) & 1 == 1 for i in range(n)]].sum()) for pattern in range(2**n))
    walsh = sorted(values[i] / 2 + values[j] / 2 for i in range(n) for j in range(i, n))
    found = []
    for level in LEVELS:
        rejected = [t for t in range(sums[-1] // 2 + 1) if 2 * sum(s <= t for s in sums) / 2**n <= 1 - level]
        ends = [walsh[rejected[-1]], walsh[-1 - rejected[-1]]] if rejected else None
        found.append({"confidence": level, "ends": ends})
    return found


def rank_sum_cases():
    pairs = []
    for n, m in [(3, 3), (4, 4), (5, 9), (9, 5), (8, 8), (12, 10), (16, 16), (20, 33), (32, 32), (40, 8), (70, 66)]:
        a, b = short(rng.normal(0, 1, n)), short(rng.laplace(0.6, 1.5, m))
        both = untied(a + b)
        pairs.append((f"untied {n} and {m}", both[:n], both[n:]))
    both = untied(short(rng.lognormal(0, 1, 30) * 1e-9))
    pairs.append(("tiny and skewed", both[:15], both[15:]))
    both = untied(short(rng.standard_t(2, 30) * 1e200))
    pairs.append(("huge and heavy", both[:12], both[12:]))
    pairs.append(("apart", [1.0, 2.0, 3.0, 4.0, 5.0], [11.0, 12.5, 13.0, 14.75, 15.0, 16.0]))
    for n, m in [(6, 6), (12, 20), (30, 30), (64, 64)]:
        pairs.append((f"integers {n} and {m}", *[[float(v) for v in rng.integers(0, 9, k)] for k in (n, m)]))
    pairs.append(("all the same", [4.0] * 8, [4.0] * 9))
    cases = []
    for name, a, b in pairs:
        free_of_ties = len(set(a + b)) == len(a) + len(b)
        small = max(len(a), len(b)) <= 64
        method = "exact" if free_of_ties and small else "asymptotic"
        how = {"method": "exact"} if small else {"method": "asymptotic", "use_continuity": True}
        differences = np.subtract.outer(b, a).ravel()
        intervals = []
        if free_of_ties:
            p_of = lambda shift: stats.mannwhitneyu(a, np.asarray(b) - shift, **how).pvalue
            intervals = [{"confidence": level, "ends": crossings(differences, p_of, level)} for level in LEVELS[1:5]]
        p = [float(stats.mannwhitneyu(a, b, alternative=alternative, method=method).pvalue) for alternative in ALTERNATIVES]
        cases.append({"name": name, "a": a, "b": b, "shift": float(np.median(differences)), "p": p, "intervals": intervals})
    return cases


def quantile_cases():
    shares = [0.0, 0.01, 0.25, 1 / 3, 0.5, 0.75, 0.9, 0.99, 0.999, 1.0]
    return [
        {"values": values, "shares": shares, "theirs": np.quantile(values, shares).tolist(), "median": float(np.median(values))}
        for _, values in samples()[::3]
    ]


def multiple_cases():
    sets = [[0.04], [0.01, 0.02, 0.03], [0.02] * 5, [1.0, 0.5, 0.0], short(rng.uniform(0, 1, 30))]
    sets += [short(np.concatenate([rng.uniform(0, 0.001, 5), rng.uniform(0, 1, k)])) for k in (3, 10, 60)]
    sets += [[0.001, 0.9, 0.001, 0.04, 0.9, 0.04, 0.3], short(10.0 ** -rng.uniform(0, 30, 20))]
    return [
        {
            "p": p,
            "benjamini_hochberg": stats.false_discovery_control(p).tolist(),
            "holm": multipletests(p, method="holm")[1].tolist(),
        }
        for p in sets
    ]


def variance_cases():
    cases = []
    for sizes, spread in [([5] * 6, 1.0), ([2, 3, 9, 4], 2.0), ([20] * 5, 0.2), ([1, 1, 7, 3], 1.0), ([4] * 8, 0.0), ([10, 2], 30.0)]:
        rounds = [short(rng.normal(middle, 1, n)) for n, middle in zip(sizes, rng.normal(0, spread, len(sizes)))]
        with np.errstate(all="ignore"):
            ratio = stats.f_oneway(*rounds).statistic
        n = np.array(sizes)
        typical = (n.sum() - (n**2).sum() / n.sum()) / (len(n) - 1)
        cases.append({"rounds": rounds, "share": float(max(0.0, (ratio - 1) / (ratio - 1 + typical)))})
    return cases


def slope_cases():
    cases = []
    for n in [2, 3, 8, 15, 40]:
        x = short(rng.uniform(0, 1e6, n))
        y = short(4096 + 56.5 * np.array(x) + rng.standard_t(2, n) * 1e4)
        cases.append({"points": list(zip(x, y)), "slope": float(stats.theilslopes(y, x).slope)})
    x = [1.0, 1.0, 2.0, 4.0, 4.0, 8.0]
    y = [10.0, 12.0, 20.0, 44.0, 39.0, 80.0]
    cases.append({"points": list(zip(x, y)), "slope": float(stats.theilslopes(y, x).slope)})
    return cases


def main():
    vectors = {
        "made_with": f"scipy {scipy.__version__}, statsmodels {statsmodels.__version__}, numpy {np.__version__}",
        "alternatives": ALTERNATIVES,
        "signed_rank": signed_rank_cases(),
        "rank_sum": rank_sum_cases(),
        "quantile": quantile_cases(),
        "multiple": multiple_cases(),
        "variance": variance_cases(),
        "slope": slope_cases(),
    }
    target = pathlib.Path(__file__).with_name("vectors.json")
    lines = [f'"{key}": ' + (json.dumps(value) if isinstance(value, str) else "[\n" + ",\n".join(map(json.dumps, value)) + "\n]") for key, value in vectors.items()]
    text = "{\n" + ",\n".join(lines) + "\n}\n"
    assert not any(math.isnan(number) for number in numbers(json.loads(text)))
    target.write_text(text)
    print(target, len(text), "bytes,", {key: len(value) for key, value in vectors.items() if isinstance(value, list)})


def numbers(node):
    if isinstance(node, float):
        yield node
    elif isinstance(node, (list, dict)):
        for inner in node.values() if isinstance(node, dict) else node:
            yield from numbers(inner)


if __name__ == "__main__":
    main()
