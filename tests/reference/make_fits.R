# Remake the frozen fits.
#
#   Rscript tests/reference/make_fits.R [regular expression of names]
#
# lme4: the deviance function itself is minimised by three tight optimisers (tools.R); standard errors of GLMMs from its
# numerical Hessian in (theta, beta). glmmTMB: nlminb, then Newton steps with the Hessian of its exact gradient, which also
# gives the standard errors; lme4's deviance at the same point is kept as a check where both have the objective.
here <- dirname(sub("--file=", "", grep("--file=", commandArgs(), value = TRUE)))
source(file.path(here, "tools.R")); source(file.path(here, "models.R"))

header <- function(m, d, engine) c(m[c("name", "formula")], list(data = m$data, engine = engine, family = m$family, link = m$link,
  REML = m$REML, nAGQ = if (is.na(m$nAGQ)) NULL else m$nAGQ, weights = m$weights, note = m$note, nobs = nrow(d)))

prior_weights <- function(m, d) if (is.null(m$weights)) NULL else eval(parse(text = m$weights), d)
r_family <- function(m) switch(m$family, binomial = binomial(m$link), poisson = poisson(m$link), gamma = Gamma(m$link),
                               negbinomial = glmmTMB::nbinom2(m$link), beta = glmmTMB::beta_family(m$link))

modes <- function(re, n_kept = 400) lapply(names(re), function(g) {
  keep <- seq_len(min(nrow(re[[g]]), n_kept))
  cv <- attr(re[[g]], "postVar")
  block <- function(v) unname(aperm(v, c(3, 1, 2))[keep, , , drop = FALSE])   # level, row, column
  list(group = g, columns = array1(names(re[[g]])), levels = array1(rownames(re[[g]])[keep]), modes = unname(as.matrix(re[[g]])[keep, , drop = FALSE]),
       condVar = if (is.array(cv)) block(cv) else lapply(cv, block))             # several terms of one factor: by term
})

# The marginal log-likelihood of a one-factor, one-effect model at its estimates, by adaptive integration group by group.
integrated <- function(fit, family) {
  sd <- getME(fit, "theta"); y <- getME(fit, "y"); n <- weights(fit); g <- getME(fit, "flist")[[1]]
  eta0 <- predict(fit, re.form = NA); linkinv <- fit@resp$family$linkinv; u <- ranef(fit)[[1]][[1]] / sd
  logd <- function(y, n, mu) if (family == "poisson") dpois(y, mu, log = TRUE) else dbinom(round(y * n), round(n), mu, log = TRUE)
  sum(vapply(split(seq_along(y), g), function(i) {
    h <- function(z) vapply(z, function(z) sum(logd(y[i], n[i], linkinv(eta0[i] + sd * z))) + dnorm(z, log = TRUE), 0)
    top <- optimise(h, c(-12, 12), maximum = TRUE, tol = 1e-9)
    log(integrate(function(z) exp(h(z) - top$objective), -Inf, top$maximum, rel.tol = 1e-10, subdivisions = 2000)$value +
        integrate(function(z) exp(h(z) - top$objective), top$maximum, Inf, rel.tol = 1e-10, subdivisions = 2000)$value) + top$objective
  }, 0))
}

fit_lme4 <- function(m, d) {
  w <- prior_weights(m, d); formula <- as.formula(m$formula)
  if (is_lmm <- m$family == "gaussian") {
    parts <- do.call(lFormula, list(formula, d, REML = m$REML, weights = w))
    f <- do.call(mkLmerDevfun, parts)
    opt <- minimise(f, parts$reTrms$theta, parts$reTrms$lower)
  } else {
    parts <- do.call(glFormula, list(formula, d, family = r_family(m), weights = w))
    f <- do.call(mkGlmerDevfun, c(parts, list(control = glmerControl(tolPwrss = 1e-12))))
    first <- nloptwrap(parts$reTrms$theta, f, parts$reTrms$lower, rep(Inf, length(parts$reTrms$theta)))
    f <- updateGlmerDevfun(f, parts$reTrms, nAGQ = m$nAGQ)
    start <- c(first$par, environment(f)$pp$beta(1)); p <- ncol(parts$X)
    scale <- c(rep(0.2, length(first$par)), sqrt(diag(as.matrix(environment(f)$pp$unsc()))))
    opt <- minimise(f, start, c(parts$reTrms$lower, rep(-Inf, p)), scale)
    H <- numDeriv::hessian(f, opt$par)
    f(opt$par)
  }
  fit <- mkMerMod(environment(f), list(par = opt$par, fval = opt$value, conv = 0, message = ""), parts$reTrms, fr = parts$fr)
  n_theta <- length(parts$reTrms$theta); beta <- fixef(fit)
  vcov <- as.matrix(if (is_lmm) vcov(fit) else if (isSingular(fit)) vcov(fit, use.hessian = FALSE) else (2 * solve(H))[-seq_len(n_theta), -seq_len(n_theta)])
  ll <- as.numeric(logLik(fit)); sat <- if (is_lmm) NULL else saturated(m$family, getME(fit, "y"), weights(fit))
  vc <- VarCorr(fit); one <- if (is_lmm || length(vc) > 1 || n_theta > 1) NULL else integrated(fit, m$family)
  c(header(m, d, paste("lme4", packageVersion("lme4"))), list(
    npar = attr(logLik(fit), "df"), n_groups = as.list(ngrps(fit)),
    fixef = list(names = array1(names(beta)), estimate = array1(beta), se = array1(sqrt(diag(vcov))), se_rx = array1(sqrt(diag(as.matrix(vcov(fit, use.hessian = FALSE)))))),
    vcov = unname(vcov), theta = array1(getME(fit, "theta")), theta_names = array1(names(getME(fit, "theta"))),
    VarCorr = unname(covariance_table(lapply(vc, function(v) matrix(v, nrow(v), dimnames = dimnames(v))), sub("\\.[0-9]+$", "", names(vc)))),
    sigma = if (is_lmm) sigma(fit) else NULL, dispersion = NULL,
    logLik = ll, logLik_full = ll + if (!is_lmm && m$nAGQ > 1) sat else 0, saturated_logLik = sat, logLik_integrated = one,
    minus2logLik = -2 * ll, AIC = AIC(fit), BIC = BIC(fit), isSingular = isSingular(fit),
    fitted_first20 = head(unname(fitted(fit)), 20), linpred_first20 = head(unname(predict(fit, type = "link")), 20),
    resid_first20 = head(unname(residuals(fit)), 20), resid_pearson_first20 = head(unname(residuals(fit, "pearson")), 20),
    ranef = modes(ranef(fit, condVar = TRUE)), optimiser = opt$winner, optimiser_spread = opt$spread))
}

fit_glmmTMB <- function(m, d) {
  w <- prior_weights(m, d)
  formula <- as.formula(gsub("\\(([^()|]*)\\|\\|([^()]*)\\)", "diag(\\1|\\2)", m$formula))
  fit <- do.call(glmmTMB, list(formula, d, family = r_family(m), weights = w, se = FALSE,
                               control = glmmTMBControl(optCtrl = list(iter.max = 2000, eval.max = 4000))))
  obj <- fit$obj; par <- fit$fit$par; value <- obj$fn(par)
  for (i in 1:5) {                                     # Newton
    H <- numDeriv::jacobian(obj$gr, par); new <- par - solve(H, drop(obj$gr(par)))
    if (!is.finite(obj$fn(new)) || obj$fn(new) > value + 1e-10) break
    par <- new; value <- obj$fn(par)
  }
  gradient <- max(abs(obj$gr(par))); H <- numDeriv::jacobian(obj$gr, par); obj$fn(par)
  fit$fit$par <- par; fit$fit$parfull <- obj$env$last.par; fit$fit$objective <- value
  V <- solve((H + t(H)) / 2); is_beta <- names(par) == "beta"
  vcov <- V[is_beta, is_beta, drop = FALSE]; beta <- fixef(fit)$cond
  Hb <- obj$env$spHess(obj$env$last.par, random = TRUE)
  cond <- if (nrow(Hb) < 2500) as.matrix(solve(Hb)) else NULL   # conditional on theta and beta
  re_info <- fit$modelInfo$reTrms$cond; vc <- VarCorr(fit)$cond
  groups <- vapply(strsplit(re_info$cnms |> names(), " "), `[`, "", 1); offset <- 0
  ranefs <- lapply(seq_along(groups), function(k) {
    cols <- re_info$cnms[[k]]; lev <- levels(re_info$flist[[groups[k]]]); q <- length(cols)
    at <- offset + seq_len(q * length(lev)); offset <<- offset + q * length(lev)
    b <- matrix(obj$env$last.par[obj$env$random][at], ncol = q, byrow = TRUE); keep <- seq_len(min(length(lev), 400))
    list(group = groups[k], columns = array1(cols), levels = array1(lev[keep]), modes = b[keep, , drop = FALSE],
         condVar = if (!is.null(cond)) lapply(keep, function(j) { i <- at[(j - 1) * q + seq_len(q)]; unname(cond[i, i, drop = FALSE]) }))
  })
  order4 <- order(-vapply(groups, function(g) nlevels(re_info$flist[[g]]), 0), seq_along(groups))
  covs <- lapply(vc, function(v) matrix(v, nrow(v), dimnames = dimnames(v)))
  theta <- unlist(lapply(order4, function(k) { L <- t(chol(covs[[k]])); L[lower.tri(L, TRUE)] }))
  if (grepl("||", m$formula, fixed = TRUE)) theta <- NULL
  beta_theta <- c(theta, beta); check <- NULL
  canonical <- paste(m$family, m$link) %in% c("binomial logit", "poisson log")
  if (canonical && !is.null(theta)) {
    parts <- do.call(glFormula, list(as.formula(m$formula), d, family = r_family(m), weights = w))
    f <- do.call(mkGlmerDevfun, c(parts, list(control = glmerControl(tolPwrss = 1e-12)))); f(theta)
    f <- updateGlmerDevfun(f, parts$reTrms, nAGQ = 1); check <- -f(beta_theta) / 2
  }
  s <- sigma(fit); y <- fit$frame[[1]]
  c(header(m, d, paste("glmmTMB", packageVersion("glmmTMB"))), list(
    npar = length(par), n_groups = as.list(vapply(re_info$flist, nlevels, 0L)),
    fixef = list(names = array1(names(beta)), estimate = array1(beta), se = array1(sqrt(diag(vcov)))),
    vcov = unname(vcov), theta = if (is.null(theta)) NULL else array1(theta),
    VarCorr = unname(covariance_table(covs, groups)), sigma = NULL,
    dispersion = switch(m$family, gamma = s^2, negbinomial = s, beta = s, NULL),
    logLik = -value, logLik_full = -value, logLik_lme4_here = check, minus2logLik = 2 * value,
    AIC = 2 * value + 2 * length(par), BIC = 2 * value + log(nrow(d)) * length(par), isSingular = FALSE,
    fitted_first20 = head(unname(predict(fit, type = "response")), 20), linpred_first20 = head(unname(predict(fit, type = "link")), 20),
    ranef = ranefs, gradient = gradient))
}

wanted <- c(commandArgs(TRUE), ".")[1]
for (m in models[grepl(wanted, names(models))]) {
  time <- system.time(fit <- try((if (m$engine == "lme4") fit_lme4 else fit_glmmTMB)(m, read_data(m$data)), silent = TRUE))[[3]]
  if (inherits(fit, "try-error")) { cat(sprintf("%-26s FAILED %s\n", m$name, fit)); next }
  write_result(fit, "fits", paste0(m$name, ".json"))
  cat(sprintf("%-26s logLik %.8f  %.1f s\n", m$name, fit$logLik_full, time))
}
