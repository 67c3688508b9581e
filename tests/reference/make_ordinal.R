# Cumulative logits: with random effects by ordinal::clmm, and without by MASS::polr, the limit of no variance between groups.
#
#   Rscript tests/reference/make_ordinal.R      writes extras/ordinal.json, seconds
#
# The inner iterations end at a gradient of 1e-6: asked for more they stop on rounding, and move the Hessian.
# The standard errors come from the joint Hessian in coefficients, thresholds and variances.
# `gradient` is what the optimiser left.
here <- dirname(sub("--file=", "", grep("--file=", commandArgs(FALSE), value = TRUE)))
source(file.path(here, "tools.R"))
suppressMessages({library(MASS); library(ordinal)})
wine <- read_data("wine"); wine$rating <- factor(wine$rating, ordered = TRUE)
ratings <- read_data("sim_ratings"); ratings$y <- factor(ratings$y, ordered = TRUE)

fit <- polr(rating ~ temp + contact, wine, Hess = TRUE, control = list(reltol = 1e-14, maxit = 1000))
new <- expand.grid(temp = c("cold", "warm"), contact = c("no", "yes"))
polr_fit <- list(coef = as.list(coef(fit)), zeta = as.list(fit$zeta), se = as.list(sqrt(diag(vcov(fit)))), logLik = c(logLik(fit)),
                 probabilities = unname(predict(fit, new, type = "probs")))

exact <- clmm.control(gradTol = 1e-6, maxIter = 200, rel.tol = 1e-14, x.tol = 1e-12, eval.max = 5000, iter.max = 5000)
keep <- function(formula, data, nAGQ = 1) {
  m <- clmm(formula, data, nAGQ = nAGQ, control = exact)
  se <- sqrt(diag(vcov(m)))
  sds <- lapply(VarCorr(m), function(v) array1(attr(v, "stddev")))
  list(formula = paste(deparse(formula), collapse = ""), nAGQ = nAGQ, logLik = c(logLik(m)), thresholds = array1(m$alpha),
       thresholds_se = array1(se[names(m$alpha)]), coef = array1(m$beta), coef_se = array1(se[names(m$beta)]), sd = sds,
       correlation = unname(unlist(lapply(VarCorr(m), function(v) attr(v, "correlation")[2:1][if (nrow(v) > 1) 1]))),
       gradient = max(abs(m$gradient)))
}
write_result(c(polr_fit, list(clmm = list(
  wine = keep(rating ~ temp + contact + (1 | judge), wine),
  wine_agq = keep(rating ~ temp + contact + (1 | judge), wine, 9),
  ratings = keep(y ~ x + z + (1 | g), ratings),
  ratings_agq = keep(y ~ x + z + (1 | g), ratings, 9),
  ratings_slope = keep(y ~ x + z + (1 + x | g), ratings),
  ratings_crossed = keep(y ~ x + z + (1 | g) + (1 | h), ratings)))), "extras", "ordinal.json")
