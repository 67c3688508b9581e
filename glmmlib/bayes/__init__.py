"""Posterior draws: priors, the marginal likelihood under them, importance sampling, and the result."""
