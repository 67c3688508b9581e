"""A fitted model, as rooms below `models` name it in their signatures.

They are handed a fit, and import nothing from above; a type checker reads here which class that is.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from glmmlib.models.glmer import GeneralizedMixedModelFit as FittedGeneralizedModel
    from glmmlib.models.lmer import LinearMixedModelFit as FittedLinearModel
    from glmmlib.models.results import MixedModelFit as FittedModel
else:
    FittedModel = FittedLinearModel = FittedGeneralizedModel = Any

__all__ = ["FittedGeneralizedModel", "FittedLinearModel", "FittedModel"]
