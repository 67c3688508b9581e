"""The mean of a response, where it is more than the inverse link of the linear predictor."""

from typing import ClassVar

from glmmlib.families.averages import normal_average
from glmmlib.families.links import Link
from glmmlib.types import AuxiliaryValue, FloatArray


class ResponseMean:
    """The part of a family that says what the mean of a response is.

    ``mu``, the inverse link of eta, is what the other methods take. It is the mean of a response, unless
    zeros are added to the family's distribution, or taken away from it: then it is the mean without that.
    """

    link: Link
    mean_needs_auxiliary: ClassVar[bool] = False
    errors_of_mean_need_auxiliary: ClassVar[bool] = False
    beside_the_mean: ClassVar[str] = ""
    is_mean_of_link: ClassVar[bool] = True
    has_structural_zeros: ClassVar[bool] = False

    def mean(self, eta: FloatArray, dispersion: AuxiliaryValue = None) -> FloatArray:
        """Mean of a response with this linear predictor."""
        return self.link.inverse(eta)

    def mean_slope(self, eta: FloatArray, dispersion: AuxiliaryValue = None) -> FloatArray:
        """Derivative of :meth:`mean` in eta."""
        return self.link.derivative(eta)

    def average(self, eta: FloatArray, variance: FloatArray, dispersion: AuxiliaryValue = None) -> FloatArray:
        """Mean of a response whose linear predictor is normal."""
        if self.is_mean_of_link:
            return self.link.average(eta, variance)
        return normal_average(lambda at: self.mean(at, dispersion), eta, variance)

    def counted_auxiliary(self, dispersion: AuxiliaryValue) -> AuxiliaryValue:
        """What the family of responses that are no structural zeros has beside the mean."""
        return dispersion

    def structural_zeros(self, dispersion: AuxiliaryValue) -> FloatArray:
        """Probability of a structural zero, for a family that has them."""
        raise NotImplementedError
