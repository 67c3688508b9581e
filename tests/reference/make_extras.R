# Remake the frozen extras: intervals, degrees of freedom, tests, predictions, shrinkage, ICC, bad scaling.
#
#   Rscript tests/reference/make_extras.R [regular expression of names]
#
# lmerTest (Satterthwaite), pbkrtest (Kenward-Roger), performance and insight (ICC, R2), RLRsim (exact restricted LRT).
here <- dirname(sub("--file=", "", grep("--file=", commandArgs(), value = TRUE)))
source(file.path(here, "tools.R"))
wanted <- c(commandArgs(TRUE), ".")[1]
extra <- function(name, value) if (grepl(wanted, name)) {
  time <- system.time(write_result(value, "extras", paste0(name, ".json")))[[3]]; cat(sprintf("%-28s %.1f s\n", name, time))
}
tight <- lmerControl(optimizer = "bobyqa", optCtrl = list(rhoend = 1e-9, maxfun = 1e5), calc.derivs = FALSE)
L <- function(formula, data, REML = TRUE) do.call(lme4::lmer, list(as.formula(formula), data, REML = REML, control = tight))
G <- function(formula, data, family) do.call(glmer, list(as.formula(formula), data, family = family,
  control = glmerControl(optimizer = "bobyqa", optCtrl = list(rhoend = 1e-8, maxfun = 1e5), tolPwrss = 1e-10)))
sleep <- read_data("sleepstudy"); cbpp <- read_data("cbpp"); dyestuff <- read_data("Dyestuff"); epil <- read_data("epil")
RS <- "Reaction ~ Days + (Days|Subject)"; RI <- "Reaction ~ Days + (1|Subject)"; CBPP <- "cbind(incidence, size-incidence) ~ period + (1|herd)"

# ---- profile and Wald intervals (the profile is always of the ML deviance)
bounds <- function(ci) list(par = array1(rownames(ci)), lower = array1(ci[, 1]), upper = array1(ci[, 2]))
intervals <- function(fit) {
  pr <- profile(fit)
  c(list(note = "profile of the ML deviance; .sig01, .sig02 ... in the order of theta: SDs, correlations; .sigma"),
    sapply(c(ci95 = .95, ci90 = .90, ci50 = .50), function(l) bounds(suppressWarnings(confint(pr, level = l))), simplify = FALSE),
    list(wald95 = bounds(confint(fit, method = "Wald", oldNames = FALSE))))
}
extra("confint_sleep_ri", intervals(L(RI, sleep, FALSE)))
extra("confint_sleep_rs", intervals(L(RS, sleep, FALSE)))
extra("confint_sleep_rs_remlfit", intervals(L(RS, sleep)))
extra("confint_sleep_nocorr", intervals(L("Reaction ~ Days + (Days||Subject)", sleep, FALSE)))
extra("confint_dyestuff", intervals(L("Yield ~ 1 + (1|Batch)", dyestuff, FALSE)))
extra("confint_dyestuff2", intervals(L("Yield ~ 1 + (1|Batch)", read_data("Dyestuff2"), FALSE)))
extra("confint_penicillin", intervals(L("diameter ~ 1 + (1|plate) + (1|sample)", read_data("Penicillin"), FALSE)))
extra("confint_pastes_nested", intervals(L("strength ~ 1 + (1|batch/cask)", read_data("Pastes"), FALSE)))
extra("confint_machines_nested", intervals(L("score ~ Machine + (1|Worker/Machine)", read_data("Machines"), FALSE)))
extra("confint_orthodont_ri", intervals(L("distance ~ age + Sex + (1|Subject)", read_data("Orthodont"), FALSE)))
extra("confint_cbpp", intervals(G(CBPP, cbpp, binomial)))

# ---- denominator degrees of freedom
suppressPackageStartupMessages({library(lmerTest); library(pbkrtest)})
f_table <- function(a) c(list(row = array1(rownames(a))), lapply(as.list(a), array1))
ddf <- function(formula, data) {
  fit <- do.call(lmerTest::lmer, list(as.formula(formula), data, control = tight))
  t_table <- function(s) with(as.data.frame(s), list(estimate = array1(Estimate), se = array1(`Std. Error`), df = array1(df), t = array1(`t value`), p = array1(`Pr(>|t|)`)))
  an <- function(type, ddf) if (length(attr(terms(fit), "term.labels"))) f_table(anova(fit, type = type, ddf = ddf)) else NULL
  list(formula = formula, coef_names = array1(names(fixef(fit))), satterthwaite = t_table(coef(summary(fit))),
       kenward_roger = c(t_table(coef(summary(fit, ddf = "Kenward-Roger"))), list(vcovAdj = unname(as.matrix(pbkrtest::vcovAdj(fit))))),
       anova_satt_type3 = an(3, "Satterthwaite"), anova_KR_type3 = an(3, "Kenward-Roger"),
       anova_satt_type1 = an(1, "Satterthwaite"), anova_satt_type2 = an(2, "Satterthwaite"))
}
oats <- read_data("Oats"); oats$nitrof <- factor(oats$nitro); machines <- read_data("Machines"); crossed <- read_data("sim_crossed")
extra("ddf_sleep_ri", ddf(RI, sleep))
extra("ddf_sleep_rs", ddf(RS, sleep))
extra("ddf_sleep_nocorr", ddf("Reaction ~ Days + (Days||Subject)", sleep))
extra("ddf_orthodont_rs", ddf("distance ~ age * Sex + (age|Subject)", read_data("Orthodont")))
extra("ddf_oats", ddf("yield ~ nitro + Variety + (1|Block/Variety)", oats))
extra("ddf_oats_int", ddf("yield ~ nitro * Variety + (1|Block/Variety)", oats))
extra("ddf_oats_split_plot", c(ddf("yield ~ nitrof * Variety + (1|Block/Variety)", oats), note = "nitrof: nitro as a factor of four levels"))
extra("ddf_machines_nested", ddf("score ~ Machine + (1|Worker/Machine)", machines))
extra("ddf_machines_slopes", ddf("score ~ Machine + (Machine|Worker)", machines))
extra("ddf_penicillin", ddf("diameter ~ 1 + (1|plate) + (1|sample)", read_data("Penicillin")))
extra("ddf_ergostool", ddf("effort ~ Type + (1|Subject)", read_data("ergoStool")))
extra("ddf_assay", ddf("logDens ~ sample * dilut + (1|Block) + (1|Block:sample) + (1|Block:dilut)", read_data("Assay")))
extra("ddf_pixel", ddf("pixel ~ day + I(day^2) + (day|Dog) + (1|Dog:Side)", read_data("Pixel")))
extra("ddf_crossed_slopes_500", c(ddf("y ~ x + (x|a) + (x|b)", head(crossed, 500)), note = "the first 500 rows of sim_crossed"))

# ---- likelihood-ratio tests
lrt <- function(...) f_table(as.data.frame(anova(..., refit = FALSE)))
extra("anova_lrt", list(
  sleep_ri_vs_nocorr_vs_rs = lrt(L(RI, sleep, FALSE), L("Reaction ~ Days + (Days||Subject)", sleep, FALSE), L(RS, sleep, FALSE)),
  sleep_days = lrt(L("Reaction ~ 1 + (Days|Subject)", sleep, FALSE), L(RS, sleep, FALSE)),
  sleep_REML_nested_norefit = lrt(L(RI, sleep), L(RS, sleep)),
  machines = lrt(L("score ~ Machine + (1|Worker)", machines, FALSE), L("score ~ Machine + (1|Worker/Machine)", machines, FALSE), L("score ~ Machine + (Machine|Worker)", machines, FALSE)),
  oats = lrt(L("yield ~ nitro + Variety + (1|Block/Variety)", oats, FALSE), L("yield ~ nitro * Variety + (1|Block/Variety)", oats, FALSE)),
  cbpp = lrt(G("cbind(incidence, size-incidence) ~ 1 + (1|herd)", cbpp, binomial), G(CBPP, cbpp, binomial))))

# ---- predictions
predictions <- function(fit) {
  new <- data.frame(Days = c(0, 5, 12, 0, 5), Subject = c("308", "308", "372", "999", "999"))
  list(newdata = new, re_NULL_allow_new = unname(predict(fit, new, allow.new.levels = TRUE)), re_NA = unname(predict(fit, new, re.form = NA)),
       re_int_only = unname(predict(fit, new, re.form = ~ (1 | Subject), allow.new.levels = TRUE)),
       error_without_allow = list(error = conditionMessage(tryCatch(predict(fit, new), error = identity))),
       fitted_all = unname(fitted(fit)), fitted_NA = unname(predict(fit, re.form = NA)))
}
extra("predict_sleep_rs_ml", predictions(L(RS, sleep, FALSE)))
extra("predict_sleep_rs_reml", predictions(L(RS, sleep)))
herds <- data.frame(period = c("1", "2", "4", "1"), herd = c("1", "2", "15", "new")); fit <- G(CBPP, cbpp, binomial)
extra("predict_cbpp", c(list(newdata = herds), sapply(c("link", "response"), function(type) unname(predict(fit, herds, allow.new.levels = TRUE, type = type)), simplify = FALSE) |> setNames(c("link_re", "response_re")),
  sapply(c("link", "response"), function(type) unname(predict(fit, herds, re.form = NA, type = type)), simplify = FALSE) |> setNames(c("link_NA", "response_NA"))))

# Standard errors of fitted means given theta: of x'beta, and of x'beta + z'u (Henderson's equations).
prediction_se <- function(formula, data) {
  fit <- L(formula, data); X <- as.matrix(getME(fit, "X")); ZL <- as.matrix(getME(fit, "Z") %*% getME(fit, "Lambda"))
  M <- crossprod(cbind(X, ZL)) + diag(rep(0:1, c(ncol(X), ncol(ZL)))); V <- sigma(fit)^2 * solve(M); W <- cbind(X, ZL); p <- seq_len(ncol(X))
  list(formula = formula, REML = TRUE, fit = unname(fitted(fit)), fixed = unname(predict(fit, re.form = NA)),
       se_fixed = unname(sqrt(rowSums((X %*% V[p, p]) * X))), se_fit = unname(sqrt(rowSums((W %*% V) * W))))
}
extra("predict_se", list(note = "in sample, theta held at its REML estimate", sleep_rs = prediction_se(RS, sleep),
  penicillin = prediction_se("diameter ~ 1 + (1|plate) + (1|sample)", read_data("Penicillin")),
  machines_nested = prediction_se("score ~ Machine + (1|Worker/Machine)", machines)))

# ---- shrinkage
shrinkage <- function(formula) {
  fit <- L(formula, sleep); re <- ranef(fit, condVar = TRUE)$Subject; q <- ncol(re); pv <- attr(re, "postVar")
  list(mixed = list(levels = rownames(re), coef = unname(as.matrix(coef(fit)$Subject)), coef_names = names(coef(fit)$Subject), ranef = unname(as.matrix(re)),
                    condsd = unname(t(matrix(apply(pv, 3, function(v) sqrt(diag(as.matrix(v)))), q)))),
       shrinkage_factor = if (q == 1) { n <- 10; s2 <- VarCorr(fit)$Subject[1]; s2 / (s2 + sigma(fit)^2 / n) }, sigma = sigma(fit),
       within_subject_ols = unname(t(sapply(split(sleep, sleep$Subject), function(s) coef(lm(Reaction ~ Days, s))))),
       pooled = unname(coef(lm(Reaction ~ Days, sleep))), note = "no pooling (OLS by subject), partial pooling (coef), complete pooling")
}
extra("shrinkage_sleep_ri", shrinkage(RI))
extra("shrinkage_sleep_rs", shrinkage(RS))

# ---- ICC, R2, exact restricted likelihood-ratio test
share <- function(fit) { icc <- performance::icc(fit); r2 <- performance::r2(fit)
  list(icc_adjusted = icc$ICC_adjusted, icc_unadjusted = icc$ICC_unadjusted, r2_conditional = unname(r2$R2_conditional), r2_marginal = unname(r2$R2_marginal),
       variance = lapply(insight::get_variance(fit), unname)) }
extra("icc_r2", list(note = paste("performance", packageVersion("performance"), "insight", packageVersion("insight")),
  sleep_null = share(L("Reaction ~ 1 + (1|Subject)", sleep)), sleep_ri = share(L(RI, sleep)), sleep_rs = share(L(RS, sleep)), sleep_rs_ml = share(L(RS, sleep, FALSE)),
  cbpp = share(G(CBPP, cbpp, binomial)), epil = share(G("y ~ lbase*trt + lage + V4 + (1|subject)", epil, poisson))))
rlrt <- function(fit) { set.seed(1); r <- RLRsim::exactRLRT(fit, nsim = 1e5); list(stat = unname(r$statistic), p = r$p.value) }
extra("exactRLRT", list(note = "RLRsim, 100,000 simulations; stat is the restricted likelihood-ratio statistic",
  sleep_ri = rlrt(L(RI, sleep)), dyestuff = rlrt(L("Yield ~ 1 + (1|Batch)", dyestuff)), rail = rlrt(L("travel ~ 1 + (1|Rail)", read_data("Rail"))),
  ergostool = rlrt(L("effort ~ Type + (1|Subject)", read_data("ergoStool")))))

# ---- glmmTMB's families in short: `dispersion` is its sigma(), for gamma the square root of phi in Var = phi mu^2
tmb_fits <- c("orthodont_gamma_log", "orthodont_gamma_inverse", "grouseticks_nb2", "epil_nb2", "epil_poisson_sqrt")
extra("glmmtmb_families", sapply(tmb_fits, function(n) {
  f <- fromJSON(file.path(here, "fits", paste0(n, ".json")), simplifyVector = FALSE); d <- f$dispersion
  c(f[c("formula", "data", "family", "link", "fixef")], list(sd = setNames(lapply(f$VarCorr, function(v) v$sd[[1]]), lapply(f$VarCorr, `[[`, "group")),
    dispersion = if (f$family == "gamma") sqrt(d) else if (is.null(d)) 1 else d, phi = if (f$family == "gamma") d else NULL, logLik = f$logLik, nobs = f$nobs))
}, simplify = FALSE))

# ---- what a change of x must not change: everything follows from the fit on plain Days
ill <- function(scale, shift) {
  ml <- L(RS, sleep, FALSE); reml <- L(RS, sleep); A <- rbind(c(1, -shift / scale), c(0, 1 / scale))   # b_new = A b
  part <- function(f) { V <- A %*% matrix(VarCorr(f)$Subject, 2) %*% t(A); C <- A %*% as.matrix(vcov(f)) %*% t(A)
    list(fixef = array1(as.vector(A %*% fixef(f))), se = array1(sqrt(diag(C))), sd = array1(sqrt(diag(V))), corr = V[1, 2] / sqrt(V[1, 1] * V[2, 2]), sigma = sigma(f)) }
  list(x = sprintf("Days * %g + %g", scale, shift), ml_deviance = unname(deviance(ml)), reml_criterion = unname(lme4::REMLcrit(reml) + 2 * log(scale)), ml = part(ml), reml = part(reml))
}
extra("ill_conditioned", list(note = paste(RS, "with x for Days"), scaled = ill(1e6, 0), shifted = ill(1, 1e4), shifted_1e6 = ill(1, 1e6), tiny = ill(1e-6, 0), both = ill(1e3, 1e6)))
