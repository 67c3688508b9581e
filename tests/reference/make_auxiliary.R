# Remake the frozen fits with auxiliary predictors, a formula for the dispersion, and of further families, by glmmTMB.
#
#   Rscript tests/reference/make_auxiliary.R [regular expression of names]
#
# nlminb, then Newton steps with the Hessian of the exact gradient, which also gives the standard errors, those of all
# parameters together. `disp` is on the scale of log(k) (negative binomial), log(phi) (beta); for gamma glmmTMB models the
# logarithm of the shape 1 / phi, so its signs are turned here.
here <- dirname(sub("--file=", "", grep("--file=", commandArgs(), value = TRUE)))
source(file.path(here, "tools.R"))
wanted <- c(commandArgs(TRUE), ".")[1]

polished <- function(formula, data, family, disp = "~ 1", zi = "~ 0", sign = 1, positive = NULL, ...) {
  d <- read_data(data)
  if (!is.null(positive)) d <- d[d[[positive]] > 0, ]
  fit <- do.call(glmmTMB, list(as.formula(formula), d, family = family, dispformula = as.formula(disp), ziformula = as.formula(zi),
                               se = FALSE, control = glmmTMBControl(optCtrl = list(iter.max = 2000, eval.max = 4000))))
  obj <- fit$obj; par <- fit$fit$par; value <- obj$fn(par)
  for (i in 1:5) {
    H <- numDeriv::jacobian(obj$gr, par); new <- par - solve(H, drop(obj$gr(par)))
    if (!is.finite(obj$fn(new)) || obj$fn(new) > value + 1e-10) break
    par <- new; value <- obj$fn(par)
  }
  gradient <- max(abs(obj$gr(par))); H <- numDeriv::jacobian(obj$gr, par); se <- sqrt(diag(solve((H + t(H)) / 2)))
  columns <- function(part) colnames(fit$obj$env$data[[part]])
  table <- function(par_name, part, sign = 1) { is <- names(par) == par_name
    if (any(is)) list(names = array1(columns(part)), estimate = array1(sign * par[is]), se = array1(se[is])) else NULL }
  theta <- par[names(par) == "theta"]
  groups <- vapply(strsplit(names(fit$modelInfo$reTrms$cond$cnms), " "), `[`, "", 1)
  list(formula = formula, data = data, disp_formula = disp, zi_formula = zi, positive = positive, engine = paste("glmmTMB", packageVersion("glmmTMB")),
       fixef = table("beta", "X"), disp = table("betad", "Xd", sign), zi = table("betazi", "Xzi"),
       sd = setNames(as.list(exp(theta[seq_along(groups)])), groups), minus2logLik = 2 * value, gradient = gradient, npar = length(par), nobs = nrow(d))
}

cases <- list(
  epil_trt = list("y ~ base + trt + (1|subject)", "epil", nbinom2(), "~ trt"),
  ticks_year = list("TICKS ~ YEAR + cHEIGHT + (1|BROOD) + (1|LOCATION)", "grouseticks", nbinom2(), "~ YEAR"),
  counts_x = list("y_nb ~ x + offset(log(e)) + (1|a)", "sim_counts", nbinom2(), "~ x"),
  orthodont_sex = list("distance ~ age + Sex + (1|Subject)", "Orthodont", Gamma("log"), "~ Sex", sign = -1),
  shares_x = list("y ~ x + (1|g)", "sim_shares", beta_family(), "~ x"),
  epil_nb1 = list("y ~ base + trt + (1|subject)", "epil", nbinom1()),
  ticks_nb1 = list("TICKS ~ YEAR + cHEIGHT + (1|BROOD) + (1|LOCATION)", "grouseticks", nbinom1()),
  counts_nb1_x = list("y_nb ~ x + offset(log(e)) + (1|a)", "sim_counts", nbinom1(), "~ x"),
  zip_1 = list("zip ~ x + (1|g)", "sim_zeros", poisson(), zi = "~ 1"),
  zip_ticks = list("TICKS ~ YEAR + cHEIGHT + (1|BROOD) + (1|LOCATION)", "grouseticks", poisson(), zi = "~ cHEIGHT"),
  traps_nb = list("beetles ~ shade + (1|site)", "traps", nbinom2(), zi = "~ shade"),
  traps_nb_1 = list("beetles ~ shade + (1|site)", "traps", nbinom2(), zi = "~ 1"),
  traps_nb_both = list("beetles ~ shade + (1|site)", "traps", nbinom2(), "~ shade", zi = "~ shade"),
  traps_nb1 = list("beetles ~ shade + (1|site)", "traps", nbinom1(), zi = "~ shade"),
  positive_ticks = list("TICKS ~ YEAR + cHEIGHT + (1|BROOD)", "grouseticks", truncated_poisson(), positive = "TICKS"),
  positive_traps = list("beetles ~ shade + (1|site)", "traps", truncated_nbinom2(), positive = "beetles"),
  positive_traps_shade = list("beetles ~ shade + (1|site)", "traps", truncated_nbinom2(), "~ shade", positive = "beetles"),
  positive_1 = list("tp ~ x + (1|g)", "sim_zeros", truncated_poisson()),
  hurdle_1 = list("hur ~ x + (1|g)", "sim_zeros", truncated_poisson(), zi = "~ 1"),
  hurdle_ticks = list("TICKS ~ YEAR + cHEIGHT + (1|BROOD)", "grouseticks", truncated_poisson(), zi = "~ YEAR + cHEIGHT"),
  hurdle_traps = list("beetles ~ shade + (1|site)", "traps", truncated_nbinom2(), zi = "~ shade"),
  hurdle_traps_both = list("beetles ~ shade + (1|site)", "traps", truncated_nbinom2(), "~ shade", zi = "~ shade"),
  cbpp_bb = list("cbind(incidence, size - incidence) ~ period + (1|herd)", "cbpp", betabinomial()),
  trials_bb = list("cbind(k, f) ~ x + (1|g)", "sim_zeros", betabinomial()),
  trials_bb_x = list("cbind(k, f) ~ x + (1|g)", "sim_zeros", betabinomial(), "~ x")
)
for (name in grep(wanted, names(cases), value = TRUE)) {
  write_result(c(list(name = name), do.call(polished, cases[[name]])), "auxiliary", paste0(name, ".json"))
  cat(name, "\n")
}
