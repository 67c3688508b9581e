"""How well a planned study would know the mean, the mean slope and the SD of the slopes."""

from __future__ import annotations

import numpy as np

from glmmlib.types import ArrayLike, FloatArray


def study_precision(
    groups: ArrayLike, size: ArrayLike, sd_group: ArrayLike, sd_slope: ArrayLike
) -> tuple[FloatArray, FloatArray, FloatArray]:
    r"""Standard errors in a balanced random-slope study, with residual SD 1 and x of mean 0 and SD 1 in each
    group.

    With :math:`J` groups of :math:`n`, the least-squares slopes of the groups have variance
    :math:`v = \sigma_1^2 + \sigma^2 / n`, and

    .. math::

        SE(\hat\beta_0) = \sqrt{(\sigma_0^2 + \sigma^2 / n) / J}, \qquad
        SE(\hat\beta_1) = \sqrt{v / J}, \qquad
        SE(\hat\sigma_1) \approx \frac{1}{2 \sigma_1}
        \sqrt{\frac{2 v^2}{J - 1} + \frac{2 (\sigma^2 / n)^2}{J (n - 2)}}.

    The first two are exact for known variances. The third takes the exact variance of REML's
    :math:`\hat\sigma_1^2`, as long as no estimate stops at the boundary, to the SD by the delta method.

    Parameters
    ----------
    groups, size : array_like
        :math:`J`, at least 2, and :math:`n`, at least 3.
    sd_group, sd_slope : array_like
        :math:`\sigma_0`, and :math:`\sigma_1 > 0`, in units of the residual SD.

    Returns
    -------
    mean, slope, spread : ndarray or float
        Standard errors of the mean at x = 0, of the mean slope, and of the SD of the slopes.

    References
    ----------
    Searle, S. R., Casella, G. and McCulloch, C. E. (1992). Variance Components. Wiley.

    Examples
    --------
    >>> [round(float(se), 3) for se in study_precision(groups=20, size=6, sd_group=0.7, sd_slope=0.3)]
    [0.181, 0.113, 0.146]
    """
    groups, size = np.asarray(groups, dtype=float), np.asarray(size, dtype=float)
    noise = 1 / size
    own = np.square(sd_slope) + noise
    variance = 2 * own**2 / (groups - 1) + 2 * noise**2 / (groups * (size - 2))
    mean = np.sqrt((np.square(sd_group) + noise) / groups)
    return mean, np.sqrt(own / groups), np.sqrt(variance) / (2 * np.asarray(sd_slope))
