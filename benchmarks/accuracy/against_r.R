# What R says of the models that against_r.py has drawn: asked.json and k.csv in a folder become answers.json.
suppressMessages({library(lmerTest); library(emmeans); library(glmmTMB); library(nlme); library(mgcv); library(gamm4)})
suppressMessages({library(jsonlite); library(pbkrtest)})
emm_options(lmerTest.limit = 1e5, pbkrtest.limit = 1e5)
folder <- commandArgs(TRUE)[1]
tight <- lmerControl(optimizer = "bobyqa", optCtrl = list(maxfun = 1e5, rhoend = 1e-9))
for_gls <- glsControl(maxIter = 500, msMaxIter = 2000, tolerance = 1e-10, msTol = 1e-12)
for_lme <- lmeControl(maxIter = 500, msMaxIter = 2000, niterEM = 50, tolerance = 1e-10, msTol = 1e-12)

linear <- function(d, t) {
  d$.w <- if (t$weights == "") 1 else d[[t$weights]]
  m <- lmer(as.formula(t$formula), d, weights = .w, control = tight)
  out <- list(criterion = REMLcrit(m), estimate = fixef(m), se = coef(summary(m))[, 2], df = coef(summary(m))[, "df"])
  out$F <- as.list(setNames(anova(m)[["F value"]], rownames(anova(m))))
  if (t$weights != "") return(out)  # pbkrtest leaves them out of the residual covariance
  kr <- coef(summary(m, ddf = "Kenward-Roger"))
  by_kr <- anova(m, ddf = "Kenward-Roger")
  e <- emmeans(m, ~a, lmer.df = "kenward-roger")
  c(out, list(`KR se` = kr[, 2], `KR df` = kr[, "df"], `KR F` = as.list(setNames(by_kr[["F value"]], rownames(by_kr))),
              means = as.data.frame(e)$emmean, `means' df` = as.data.frame(e)$df,
              `p of pairs (Tukey)` = as.data.frame(pairs(e))$p.value))
}

residual <- function(d, t) {
  m <- switch(t$which,
    gls(y ~ x + v, d, correlation = corSymm(form = ~position | g), weights = varIdent(form = ~1 | v), control = for_gls),
    gls(y ~ x + t, d, correlation = corAR1(form = ~t | g), control = for_gls),
    gls(y ~ x + t, d, correlation = corCompSymm(form = ~1 | g), control = for_gls),
    lme(y ~ x + t, d, ~1 | g, weights = varIdent(form = ~1 | arm), control = for_lme),
    lme(y ~ x + t, d, ~1 | g, correlation = corAR1(form = ~t | g), control = for_lme),
    gls(y ~ x + t, d, correlation = corAR1(form = ~t | g), weights = varIdent(form = ~1 | arm), control = for_gls),
    gls(y ~ x * arm + v, d, correlation = corSymm(form = ~position | g), weights = varIdent(form = ~1 | v), control = for_gls),
    lme(y ~ x + t, d, ~x | g, weights = varIdent(form = ~1 | arm), control = for_lme))
  list(criterion = -2 * as.numeric(logLik(m)), estimate = if (inherits(m, "lme")) fixef(m) else coef(m), se = sqrt(diag(vcov(m))))
}

curve_of <- function(d, t) {
  m <- switch(t$which,
    gam(y ~ z + s(x, bs = "cr", k = 8), data = d, method = "REML"),
    gam(y ~ z + f + s(x, by = f, bs = "cr", k = 7), data = d, method = "REML"),
    gam(y ~ z + s(x, bs = "cc", k = 9), data = d, method = "REML"),
    gamm4(y ~ z + s(x, bs = "cr", k = 8), random = ~(1 | g), data = d),
    gamm4(y ~ z + s(x, bs = "cr", k = 8), random = ~(z | g), data = d))
  model <- if (t$which > 3) m$gam else m
  places <- data.frame(x = quantile(d$x, c(.02, .3, .6, .98)), z = 0.3, f = factor("f01", levels(d$f)), g = d$g[1])
  p <- predict(model, places, se.fit = TRUE)
  list(criterion = NA, estimate = coef(model)["z"], se = sqrt(model$Vp["z" == names(coef(model)), "z" == names(coef(model))]), curve = c(p$fit), `SE of the curve` = c(p$se.fit))
}

generalised <- function(d, t) {
  d <- d  # found by glmmTMB's formulas
  m <- glmmTMB(as.formula(t$formula), d, family = eval(parse(text = t$family)), ziformula = as.formula(t$zi))
  if (is.na(logLik(m))) stop("no convergence: log-likelihood NA")
  list(criterion = -2 * as.numeric(logLik(m)), estimate = fixef(m)$cond, se = sqrt(diag(vcov(m)$cond)))
}

does <- list(linear = linear, residual = residual, curve = curve_of, generalised = generalised)
asked <- fromJSON(file.path(folder, "asked.json"), simplifyVector = FALSE)
answer <- function(k) {
  d <- read.csv(file.path(folder, paste0(k - 1, ".csv")), stringsAsFactors = TRUE)
  tryCatch(suppressMessages(suppressWarnings(does[[asked[[k]]$what]](d, asked[[k]]))),
           error = function(e) list(error = conditionMessage(e)))
}
answers <- lapply(lapply(seq_along(asked), answer), function(a) lapply(a, function(v) if (is.list(v)) v else unname(v)))
write_json(answers, file.path(folder, "answers.json"), digits = NA, auto_unbox = TRUE, null = "null")
