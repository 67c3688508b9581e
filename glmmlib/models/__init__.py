"""lmer, glmer, and the fit they return."""
