# Remake extras/margins.json: average changes and slopes with delta-method standard errors written out.
#
#   Rscript tests/reference/make_margins.R
#
# glmmTMB gives the fit, with Newton steps to the last digit, and the Hessian of its exact gradient the joint covariance of all
# parameters (SDs as logarithms); the derivatives of an average are numDeriv's. Averages over groups are exact for a log link, else
# by integrate().
here <- dirname(sub("--file=", "", grep("--file=", commandArgs(), value = TRUE)))
source(file.path(here, "tools.R"))

polished <- function(...) {
  fit <- glmmTMB(..., se = FALSE); gr <- fit$obj$gr; par <- fit$fit$par
  for (i in 1:4) par <- par - solve(numDeriv::jacobian(gr, par), drop(gr(par)))
  stopifnot(max(abs(gr(par))) < 1e-7)
  list(par = unname(par), C = solve(numDeriv::jacobian(gr, par)), names = names(par))
}

delta <- function(f, p) {
  g <- numDeriv::grad(f, p$par, method.args = list(r = 6))
  list(estimate = f(p$par), se = sqrt(drop(g %*% p$C %*% g)))
}

over <- function(h, eta, v) mapply(function(e, s) if (s == 0) h(e) else
  integrate(function(z) h(e + s * z) * dnorm(z), -9, 9, rel.tol = 1e-12, subdivisions = 1000)$value, eta, sqrt(v))

# ---- a binomial response, one intercept
p <- polished(cbind(incidence, size-incidence) ~ period + (1|herd), read_data("cbpp"), family = binomial)
mean_at <- function(q, level, marginal) {
  eta <- q[1] + if (level == 1) 0 else q[level]
  if (marginal) over(plogis, eta, exp(2 * q[5])) else plogis(eta)
}
odds <- function(x) x / (1 - x)
cbpp_found <- list(
  typical = delta(function(q) mean_at(q, 4, FALSE) - mean_at(q, 1, FALSE), p),
  average = delta(function(q) mean_at(q, 4, TRUE) - mean_at(q, 1, TRUE), p),
  log_ratio = delta(function(q) log(mean_at(q, 4, TRUE) / mean_at(q, 1, TRUE)), p),
  log_odds_ratio = delta(function(q) log(odds(mean_at(q, 4, TRUE)) / odds(mean_at(q, 1, TRUE))), p))

# ---- counts with an exposure and a random slope
d <- read_data("sim_counts"); formula <- "y_olre ~ x + offset(log(e)) + (x|a)"
p <- polished(as.formula(formula), d, family = poisson)
spread <- function(q) { r <- q[5] / sqrt(1 + q[5]^2); list(v0 = exp(2 * q[3]), v1 = exp(2 * q[4]), c = r * exp(q[3] + q[4])) }
mean_of <- function(q, x, marginal) {
  S <- spread(q); v <- if (marginal) S$v0 + 2 * x * S$c + x^2 * S$v1 else 0
  exp(q[1] + q[2] * x + log(d$e) + v / 2)
}
slope_of <- function(q, x, marginal) {
  S <- spread(q); mean_of(q, x, marginal) * (q[2] + if (marginal) S$c + x * S$v1 else 0)
}
counts_found <- list(
  step_typical = delta(function(q) mean(mean_of(q, d$x + 1, FALSE) - mean_of(q, d$x, FALSE)), p),
  step_average = delta(function(q) mean(mean_of(q, d$x + 1, TRUE) - mean_of(q, d$x, TRUE)), p),
  slope_typical = delta(function(q) mean(slope_of(q, d$x, FALSE)), p),
  slope_average = delta(function(q) mean(slope_of(q, d$x, TRUE)), p),
  slope_weighted = delta(function(q) weighted.mean(slope_of(q, d$x, TRUE), d$e), p))

# ---- structural zeros
traps <- read_data("traps")
p <- polished(beetles ~ shade + (1|site), traps, family = poisson, ziformula = ~ shade)
stopifnot(p$names == c("beta", "beta", "betazi", "betazi", "theta"))
mean_zi <- function(q, s) (1 - plogis(q[3] + q[4] * s)) * exp(q[1] + q[2] * s + exp(2 * q[5]) / 2)
zi_found <- list(
  response = delta(function(q) mean(mean_zi(q, traps$shade + 0.1) - mean_zi(q, traps$shade)), p),
  conditional = delta(function(q) mean(exp(q[1] + q[2] * (traps$shade + 0.1) + exp(2 * q[5]) / 2) - exp(q[1] + q[2] * traps$shade + exp(2 * q[5]) / 2)), p))
zi_found$mean_0 <- delta(function(q) log((1 - plogis(q[3])) * exp(q[1])), p)
zi_found$mean_1 <- delta(function(q) log((1 - plogis(q[3] + q[4])) * exp(q[1] + q[2])), p)

# ---- a curve: mgcv's Bayesian covariance, which takes the smoothing parameter as known
suppressPackageStartupMessages(library(mgcv))
motor <- read_data("mcycle")
curve <- gam(accel ~ s(times, bs = "cr", k = 20), data = motor, method = "REML", control = list(newton = list(conv.tol = 1e-11)))
columns <- function(times) { at <- motor; at$times <- times; predict(curve, at, type = "lpmatrix") }
linear <- function(L) list(estimate = sum(L * coef(curve)), se = sqrt(drop(L %*% vcov(curve) %*% L)))
curve_found <- list(
  change = linear(colMeans(columns(25) - columns(10))),
  slope = linear(colMeans(columns(motor$times + 1e-4) - columns(motor$times - 1e-4)) / 2e-4),
  mean = linear(colMeans(columns(25))))

write_result(list(cbpp = cbpp_found, counts = counts_found, counts_formula = formula, zi = zi_found, curve = curve_found), "extras", "margins.json")
