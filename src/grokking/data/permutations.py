"""Products in the symmetric group S_n, whose elements are numbered in lexicographic order.

Permutation x maps i to x[i], its one-line notation; in a product the right factor acts first,
(xy)[i] = x[y[i]], and permutation 0 is the identity.
"""

# G permutations, E equations, n points

import itertools
from collections.abc import Callable
from typing import Annotated, Literal

import numpy as np
import pandas as pd
from pydantic.dataclasses import dataclass

from grokking.config import STRICT, whole_number
from grokking.data.table import Table, all_pairs


@dataclass(frozen=True, config=STRICT)
class PermutationConfig:
    name: Literal["permutation_product", "permutation_conjugate", "permutation_sandwich"]
    # of the symmetric group: it has degree! elements
    degree: Annotated[int, whole_number(2, 5)]


def compose(x_En: np.ndarray, y_En: np.ndarray) -> np.ndarray:
    """The products xy, row by row."""
    return np.take_along_axis(x_En, y_En, axis=1)


PRODUCTS: dict[str, tuple[str, Callable[[np.ndarray, np.ndarray], np.ndarray]]] = {
    "permutation_product": ("a b", compose),
    "permutation_conjugate": ("a b a⁻¹", lambda x, y: compose(compose(x, y), np.argsort(x, axis=1))),
    "permutation_sandwich": ("a b a", lambda x, y: compose(compose(x, y), x)),
}


def permutation_table(config: PermutationConfig) -> Table:
    """All (n!)² equations of a product in S_n, ordered by a, then b; none has an additive form."""
    formula, product = PRODUCTS[config.name]
    elements_Gn = np.array(list(itertools.permutations(range(config.degree))))
    a, b = all_pairs(len(elements_Gn))
    digits = 10 ** np.arange(config.degree)[::-1]  # read as numbers, permutations ascend
    c = np.searchsorted(elements_Gn @ digits, product(elements_Gn[a], elements_Gn[b]) @ digits)
    return Table(f"{formula} in S_{config.degree}", pd.DataFrame({"a": a, "b": b, "c": c}), None)
