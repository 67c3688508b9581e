# Remake the frozen fits with correlated residuals and with SDs that differ between rows: extras/residuals.json.
#
#   Rscript tests/reference/make_residuals.R
#
# nlme (gls, lme), glmmTMB where nlme has no such structure, lmerTest and pbkrtest by way of (0 + visit | id), whose
# covariance of the responses is the unstructured one. The trial was simulated once, with visits that are missing, and is stored.
# gls by maximum likelihood multiplies standard errors by sqrt(n / (n - p)): `se` is kept for REML only, and for lme.
here <- dirname(sub("--file=", "", grep("--file=", commandArgs(), value = TRUE)))
source(file.path(here, "tools.R"))
suppressPackageStartupMessages(library(nlme))
found <- list()
g <- glsControl(tolerance = 1e-10, msTol = 1e-12, msMaxIter = 1000, maxIter = 1000)
l <- lmeControl(tolerance = 1e-9, msTol = 1e-11, msMaxIter = 1000, maxIter = 500, niterEM = 50, msMaxEval = 5000)
keep <- function(name, make) for (how in c("ML", "REML")) {
  m <- make(how); b <- if (inherits(m, "gls")) coef(m) else fixef(m); s <- m$modelStruct
  ends <- tryCatch(intervals(m, which = "var-cov"), error = function(e) NULL)      # none where its Hessian fails
  two <- function(x) if (!is.null(x)) list(lower = array1(x[, "lower"]), upper = array1(x[, "upper"]))
  natural <- function(x) if (!is.null(x)) array1(coef(x, unconstrained = FALSE, allCoef = TRUE))
  found[[paste0(name, "_", tolower(how))]] <<- list(engine = class(m)[1], deviance = -2 * as.numeric(logLik(m)), npar = attr(logLik(m), "df"),
    estimate = array1(b), se = if (how == "REML" || inherits(m, "lme")) array1(sqrt(diag(vcov(m)))), sigma = m$sigma,
    cor = if (!is.null(s$corStruct)) array1(coef(s$corStruct, unconstrained = FALSE)), ratio = natural(s$varStruct),
    normalised = array1(head(residuals(m, type = "normalized"), 8)),
    intervals = if (!is.null(ends)) list(cor = two(ends$corStruct), sigma = array1(ends$sigma[c("lower", "upper")])))
}
t <- read_data("trial"); t$n <- as.integer(t$visit); f <- chg ~ base + arm * visit
o <- read_data("Orthodont"); o$n <- as.integer(factor(o$age)); fo <- distance ~ Sex * age
own <- varIdent(form = ~ 1 | visit); owno <- varIdent(form = ~ 1 | n)
keep("trial_us", function(how) gls(f, t, corSymm(form = ~ n | id), own, method = how, control = g))
keep("trial_ar1", function(how) gls(f, t, corAR1(form = ~ n | id), method = how, control = g))
keep("trial_hetar1", function(how) gls(f, t, corAR1(form = ~ n | id), own, method = how, control = g))
keep("trial_cs", function(how) gls(f, t, corCompSymm(form = ~ 1 | id), method = how, control = g))
keep("trial_hetcs", function(how) gls(f, t, corCompSymm(form = ~ 1 | id), own, method = how, control = g))
keep("trial_toep", function(how) gls(f, t, corARMA(form = ~ n | id, p = 4, q = 0, value = c(.5, .1, .1, .05)), method = how, control = g))
keep("trial_diag", function(how) gls(f, t, weights = own, method = how, control = g))
keep("trial_arm", function(how) lme(f, t, ~ 1 | id, weights = varIdent(form = ~ 1 | arm), method = how, control = l))
keep("ortho_us", function(how) gls(fo, o, corSymm(form = ~ n | Subject), owno, method = how, control = g))
keep("ortho_sex", function(how) lme(fo, o, ~ 1 | Subject, weights = varIdent(form = ~ 1 | Sex), method = how, control = l))
keep("ortho_sex_slopes", function(how) lme(fo, o, ~ age | Subject, weights = varIdent(form = ~ 1 | Sex), method = how, control = l))
keep("ortho_ar1_intercept", function(how) lme(fo, o, ~ 1 | Subject, correlation = corAR1(form = ~ n | Subject), method = how, control = l))
keep("ortho_ar1_sex", function(how) lme(fo, o, ~ 1 | Subject, correlation = corAR1(form = ~ n | Subject),
                                         weights = varIdent(form = ~ 1 | Sex), method = how, control = l))
keep("ortho_age", function(how) gls(fo, o, weights = varExp(form = ~ age), method = how, control = g))
keep("ortho_ar1_weights", function(how) gls(fo, o, corAR1(form = ~ n | Subject), weights = varFixed(~ age), method = how, control = g))
toep <- function(REML) glmmTMB(chg ~ base + arm * visit + toep(visit + 0 | id), t, REML = REML, dispformula = ~ 0,
                               control = glmmTMBControl(optCtrl = list(iter.max = 5000, eval.max = 5000, rel.tol = 1e-11)))
found$trial_hettoep_ml <- with(list(m = toep(FALSE)), list(engine = "glmmTMB", deviance = -2 * as.numeric(logLik(m)), estimate = array1(fixef(m)$cond)))

exact <- lmerControl(check.nobs.vs.nRE = "ignore", optimizer = "bobyqa", optCtrl = list(rhoend = 1e-9, maxfun = 1e6), calc.derivs = FALSE)
ddf <- function(formula, data) {
  m <- lmerTest::lmer(formula, data, control = exact)
  s <- coef(summary(m)); k <- coef(summary(m, ddf = "Kenward-Roger"))
  list(deviance = REMLcrit(m), satterthwaite = array1(s[, "df"]), kenward_roger = array1(k[, "df"]), kenward_roger_se = array1(k[, 2]))
}
if (requireNamespace("lmerTest") && requireNamespace("pbkrtest")) {
  found$trial_us_ddf <- ddf(chg ~ base + arm * visit + (0 + visit | id), t)
  found$trial_cs_ddf <- ddf(chg ~ base + arm * visit + (1 | id), t)             # a positive correlation is an intercept's
  found$ortho_us_ddf <- ddf(distance ~ Sex * age + (0 + factor(age) | Subject), o)
}
write_result(found, "extras", "residuals.json")
for (k in names(found)) cat(sprintf("%-24s %.6f\n", k, found[[k]]$deviance))
