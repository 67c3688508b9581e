# Read the data, fit to the last digit, write JSON.
suppressPackageStartupMessages({library(lme4); library(glmmTMB); library(Matrix); library(jsonlite)})

levels_of <- fromJSON(file.path(here, "data", "levels.json"), simplifyVector = FALSE)
read_data <- function(name) {
  file <- c(file.path(here, "data", paste0(name, c(".csv", ".csv.gz"))), file.path(here, "..", "..", "data", paste0(name, ".csv")))
  factors <- levels_of[[name]]
  d <- read.csv(file[file.exists(file)][1], colClasses = vapply(factors, function(l) "character", ""))
  for (f in names(factors))
    d[[f]] <- factor(d[[f]], if (identical(factors[[f]], "numeric")) sort(as.numeric(unique(d[[f]]))) else unlist(factors[[f]]))
  if (name %in% c("cbpp", "epil")) d$obs <- factor(seq_len(nrow(d)))
  if ("subject" %in% names(d)) d$subject <- factor(d$subject)
  d
}

write_result <- function(x, ...) writeLines(toJSON(x, auto_unbox = TRUE, digits = I(13), null = "null", na = "null", dataframe = "columns"), file.path(here, ...))
array1 <- function(x) I(unname(x))                     # stays a JSON list when it has one element

# Best of three optimisers, each run far beyond its defaults and restarted, then Newton steps on the free parameters.
# `scale` holds the size of a step in each parameter: a coefficient of age^2 moves in other units than a standard deviation.
minimise <- function(objective, start, lower, scale = rep(1, length(start))) {
  start <- start + 0                                   # a copy: lme4 writes into the vector it was given
  f <- function(x) tryCatch(objective(start + scale * x), error = function(e) 1e10)
  best <- minimise_scaled(f, 0 * start, (lower - start) / scale)
  best$par <- start + scale * best$par
  best$value <- objective(best$par)
  best
}

minimise_scaled <- function(f, start, lower) {
  bobyqa <- function(x) { r <- minqa::bobyqa(x, f, lower, control = list(rhobeg = 0.1, rhoend = 1e-9, maxfun = 1e5)); list(par = r$par, value = r$fval) }
  runs <- list(
    bobyqa = bobyqa(start),
    nlminb = with(nlminb(start, f, lower = lower, control = list(rel.tol = 1e-14, x.tol = 1e-11, eval.max = 1e5, iter.max = 1e5)),
                  list(par = par, value = objective)),
    nloptr = with(nloptr::nloptr(start, f, lb = lower, opts = list(algorithm = "NLOPT_LN_BOBYQA", xtol_rel = 1e-11, ftol_abs = 1e-12, maxeval = 1e5)),
                  list(par = solution, value = objective)))
  values <- vapply(runs, `[[`, 0, "value")
  best <- runs[[which.min(values)]]
  again <- bobyqa(best$par); if (again$value < best$value) best <- again
  for (i in 1:2) {
    free <- best$par > lower + 1e-5 | !is.finite(lower)
    on_free <- function(x) { p <- best$par; p[free] <- x; f(p) }
    step <- tryCatch(solve(numDeriv::hessian(on_free, best$par[free]), numDeriv::grad(on_free, best$par[free])), error = function(e) NULL)
    if (is.null(step)) break
    par <- best$par; par[free] <- par[free] - step
    if (all(par >= lower) && f(par) <= best$value) best <- list(par = par, value = f(par)) else break
  }
  list(par = best$par, value = f(best$par), spread = unname(diff(range(values))), winner = names(runs)[which.min(values)])
}

covariance_table <- function(vc, group_of) Map(function(v, g) {
  sd <- sqrt(diag(v)); list(group = g, terms = array1(rownames(v)), sd = array1(sd), corr = unname(cov2cor(v) * 1), cov = unname(v * 1))
}, vc, group_of)

saturated <- function(family, y, n) switch(family, binomial = sum(dbinom(round(y * n), round(n), y, log = TRUE)),
                                           poisson = sum(dpois(y, y, log = TRUE)), NULL)
