"""The likelihood of a line through log-times that are known exactly, to a span, or only from below."""

# B fits at once (leading axes, which may be absent), N replicas, C coefficients, P = C + 1 parameters

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from grokking.analysis.spans import Array, Scatter, Spans

Terms = tuple[Array, Array, Array]  # log-likelihood (B,), gradient (B, P), Hessian (B, P, P)


@dataclass(frozen=True)
class Likelihood:
    """Of log T = design · coefficients + offset + scale · scatter.

    In the parameters (coefficients, 1) / scale it is concave (Olsen 1978; Burridge 1981), so that Newton's
    method finds the only maximum.
    """

    scatter: Scatter
    spans: Spans
    design_BNC: Array
    offset_BN: Array
    weights_BN: Array  # how often a replica counts

    def at(self, theta_BP: Array) -> Terms:
        """Log-likelihood of the times, gradient and Hessian; -inf where the scale is not positive."""
        with np.errstate(all="ignore"):
            exact, between = self._exact(theta_BP), self._between(theta_BP)
        value_B = exact[0] + between[0]
        valid_B = np.isfinite(value_B) & (theta_BP[..., -1] > 0)
        return np.where(valid_B, value_B, -np.inf), exact[1] + between[1], exact[2] + between[2]

    @cached_property
    def _toward_BNP(self) -> tuple[Array, Array]:
        """Derivatives of each edge's distance from the line, in scales; of open edges they are not used."""
        return self._toward(self.spans.lower_N), self._toward(self.spans.upper_N)

    def _toward(self, edge_N: Array) -> Array:
        edge_BN = np.where(np.isfinite(edge_N), edge_N, 0.0) - self.offset_BN
        edge_BN1, design_BNC = edge_BN[..., None], self.design_BNC
        shape = np.broadcast_shapes(edge_BN1.shape[:-1], design_BNC.shape[:-1])
        parts = (np.broadcast_to(part, (*shape, part.shape[-1])) for part in (-design_BNC, edge_BN1))
        return np.concatenate([*parts], -1)

    def _exact(self, theta_BP: Array) -> Terms:
        here_N, rate_B1 = self.spans.exact_N, theta_BP[..., -1:]
        weights_BN, toward_BNP = self.weights_BN[..., here_N], self._toward_BNP[0][..., here_N, :]
        z_BN = _along(toward_BNP, theta_BP)
        value_BN = self.scatter.law().logpdf(z_BN) + np.log(rate_B1) - self.spans.lower_N[here_N]
        slope_BP = _sum(weights_BN * self.scatter.slope(z_BN), toward_BNP)
        slope_BP[..., -1] += np.sum(weights_BN / rate_B1, -1)
        curvature_BPP = _squares(weights_BN * self.scatter.curvature(z_BN), toward_BNP)
        curvature_BPP[..., -1, -1] -= np.sum(weights_BN / rate_B1**2, -1)
        return np.sum(weights_BN * value_BN, -1), slope_BP, curvature_BPP

    def _between(self, theta_BP: Array) -> Terms:
        here_N = ~self.spans.exact_N
        weights_BN = self.weights_BN[..., here_N]
        low_BNP, high_BNP = (toward_BNP[..., here_N, :] for toward_BNP in self._toward_BNP)
        low_BN = _edge(self.spans.lower_N[here_N], low_BNP, theta_BP)
        high_BN = _edge(self.spans.upper_N[here_N], high_BNP, theta_BP)
        share_BN = self.scatter.share(low_BN, high_BN)
        fall_BN, fall_bend_BN = self._density(low_BN, share_BN)
        rise_BN, rise_bend_BN = self._density(high_BN, share_BN)
        pull_BNP = rise_BN[..., None] * high_BNP - fall_BN[..., None] * low_BNP
        curvature_BPP = (
            _squares(weights_BN * rise_bend_BN, high_BNP)
            - _squares(weights_BN * fall_bend_BN, low_BNP)
            - _squares(weights_BN, pull_BNP)
        )
        return np.sum(weights_BN * share_BN, -1), _sum(weights_BN, pull_BNP), curvature_BPP

    def _density(self, z_BN: Array, share_BN: Array) -> tuple[Array, Array]:
        """Density at an edge, over the probability between both, and its derivative; 0 if open."""
        density_BN = np.exp(self.scatter.law().logpdf(z_BN) - share_BN)
        density_BN = np.where(np.isfinite(z_BN), density_BN, 0.0)
        return density_BN, np.where(density_BN > 0, density_BN * self.scatter.slope(z_BN), 0.0)


def _edge(edge_N: Array, toward_BNP: Array, theta_BP: Array) -> Array:
    return np.where(np.isfinite(edge_N), _along(toward_BNP, theta_BP), edge_N)


def _along(toward_BNP: Array, theta_BP: Array) -> Array:
    return (toward_BNP @ theta_BP[..., None])[..., 0]


def _sum(factor_BN: Array, vector_BNP: Array) -> Array:
    return np.sum(factor_BN[..., None] * vector_BNP, -2)


def _squares(factor_BN: Array, vector_BNP: Array) -> Array:
    return np.swapaxes(factor_BN[..., None] * vector_BNP, -1, -2) @ vector_BNP
