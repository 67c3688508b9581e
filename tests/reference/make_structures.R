# Remake the frozen fits with structured covariances of random terms: extras/structures.json.
#
#   Rscript tests/reference/make_structures.R [regular expression of names]
#
# glmmTMB (ar1, cs, exp, mat), nlme (homogeneous compound symmetry), lme4 by its modules (a known relationship).
# The data are simulated, but for Orthodont and Oats; series, places and pedigree were drawn once and are stored.
here <- dirname(sub("--file=", "", grep("--file=", commandArgs(), value = TRUE)))
source(file.path(here, "tools.R"))
suppressPackageStartupMessages(library(nlme))
wanted <- c(commandArgs(TRUE), ".")[1]
found <- list()
keep <- function(name, value) if (grepl(wanted, name)) { found[[name]] <<- value; cat(sprintf("%-28s %.6f\n", name, found[[name]]$deviance)) }

tight <- glmmTMBControl(optCtrl = list(iter.max = 5000, eval.max = 5000, rel.tol = 1e-11))
tmb <- function(formula, data, REML = FALSE, family = gaussian, natural, ...) {
  m <- glmmTMB(formula, data, REML = REML, family = family, control = tight, ...)
  fixef <- fixef(m)$cond
  c(list(engine = "glmmTMB", REML = REML, deviance = -2 * as.numeric(logLik(m)), names = array1(names(fixef)), estimate = array1(fixef)),
         if (identical(family, gaussian)) list(sigma = sigma(m)), natural(unname(getME(m, "theta"))))
}
# glmmTMB's parameters: log SDs, then rho / sqrt(1 - rho^2), a logistic rho between -1/(q-1) and 1, log range
ar1 <- function(t) list(sd = exp(t[1]), rho = t[2] / sqrt(1 + t[2]^2))
cs <- function(q) function(t) list(sd = array1(exp(t[1:q])), rho = plogis(t[q + 1]) * q / (q - 1) - 1 / (q - 1))
place <- function(t) list(sd = exp(t[1]), range = exp(t[2]))
diagonal <- function(t) list(sd = array1(exp(t)))

series <- read_data("series"); series$tf <- factor(series$t)
ortho <- read_data("Orthodont"); ortho$fage <- factor(ortho$age)
for (REML in c(FALSE, TRUE)) {
  how <- if (REML) "reml" else "ml"
  keep(paste0("ar1_orthodont_", how), tmb(distance ~ age + ar1(0 + fage | Subject), ortho, REML, natural = ar1))
  keep(paste0("ar1_series_", how), tmb(y ~ dose + t + ar1(0 + tf | g), series, REML, natural = ar1))
}
keep("ar1_series_poisson", tmb(count ~ dose + t + ar1(0 + tf | g), series, family = poisson, natural = ar1))
keep("ar1_series_binomial", tmb(yes ~ dose + ar1(0 + tf | g), series, family = binomial, natural = ar1))

soil <- read_data("soil_pH"); oats <- read_data("Oats")
exact <- lmeControl(msTol = 1e-12, tolerance = 1e-10, msMaxIter = 500)
lme_fit <- function(m, REML) {
  V <- as.matrix(getVarCov(m))
  c(list(engine = "lme", REML = REML, deviance = -2 * as.numeric(logLik(m)), names = array1(names(fixef(m))), estimate = array1(fixef(m)),
       se = array1(sqrt(diag(vcov(m)))), sigma = m$sigma, sd = sqrt(V[1, 1])), if (V[1, 2] != 0) list(rho = V[1, 2] / V[1, 1]))
}
for (REML in c(FALSE, TRUE)) {
  how <- if (REML) "reml" else "ml"; method <- if (REML) "REML" else "ML"
  keep(paste0("cs_soil_", how), tmb(ph_change ~ fertiliser + cs(0 + fertiliser | site), soil, REML, natural = cs(2)))
  keep(paste0("diag_soil_", how), tmb(ph_change ~ fertiliser + diag(0 + fertiliser | site), soil, REML, natural = diagonal))
  keep(paste0("homcs_soil_", how), lme_fit(lme(ph_change ~ fertiliser, soil, list(site = pdCompSymm(~ fertiliser - 1)), method = method, control = exact), REML))
  keep(paste0("homdiag_soil_", how), lme_fit(lme(ph_change ~ fertiliser, soil, list(site = pdIdent(~ fertiliser - 1)), method = method, control = exact), REML))
  keep(paste0("homcs_oats_", how), lme_fit(lme(yield ~ nitro + Variety, oats, list(Block = pdCompSymm(~ Variety - 1)), method = method, control = exact), REML))
}
keep("cs_oats_reml", tmb(yield ~ nitro + Variety + cs(0 + Variety | Block), oats, TRUE, natural = cs(3)))

places <- read_data("places"); places$pos <- numFactor(places$lon, places$lat); places$one <- factor(rep(1, nrow(places)))
keep("exp_places_ml", tmb(conc ~ cover + exp(pos + 0 | one), places, natural = place))
keep("exp_places_reml", tmb(conc ~ cover + exp(pos + 0 | one), places, TRUE, natural = place))
keep("exp_places_poisson", tmb(count ~ cover + exp(pos + 0 | one), places, family = poisson, natural = place))
keep("mat_places_ml", tmb(conc ~ cover + mat(pos + 0 | one), places, natural = place,
  map = list(theta = factor(c(1, 2, NA))), start = list(theta = c(log(0.5), 0.5, log(1.5)))))

# lme4 with Z chol(A): the numerator relationship matrix, parents before offspring
pedigree <- read_data("pedigree"); records <- read_data("pedigree_records")
id <- pedigree$animal; n <- length(id); A <- matrix(0, n, n, dimnames = list(id, id))
s <- match(pedigree$sire, id); d <- match(pedigree$dam, id)
for (i in seq_len(n)) {
  before <- seq_len(i - 1)
  A[i, before] <- 0.5 * ((if (is.na(s[i])) 0 else A[s[i], before]) + (if (is.na(d[i])) 0 else A[d[i], before]))
  A[before, i] <- A[i, before]
  A[i, i] <- 1 + if (is.na(s[i]) || is.na(d[i])) 0 else 0.5 * A[s[i], d[i]]
}
records$animal <- factor(records$animal, levels = id); records$self <- records$animal
animal <- function(formula, REML) {
  lf <- lFormula(formula, records, REML = REML, control = lmerControl(check.nobs.vs.nlev = "ignore"))
  stopifnot(names(lf$reTrms$flist)[1] == "animal")
  lf$reTrms$Ztlist[[1]] <- as(chol(A), "CsparseMatrix") %*% lf$reTrms$Ztlist[[1]]
  lf$reTrms$Zt <- do.call(rbind, lf$reTrms$Ztlist)
  f <- do.call(mkLmerDevfun, lf)
  best <- minimise(f, getME(mkMerMod(environment(f), list(par = lf$reTrms$theta, fval = 0, conv = 0), lf$reTrms, lf$fr), "theta"), rep(0, length(lf$reTrms$theta)))
  m <- mkMerMod(environment(f), list(par = best$par, fval = f(best$par), conv = 0), lf$reTrms, lf$fr)
  u <- as.vector(t(chol(A)) %*% getME(m, "b")[seq_len(n)])
  list(engine = "lme4", REML = REML, deviance = best$value, names = array1(names(fixef(m))), estimate = array1(fixef(m)),
       se = array1(sqrt(diag(as.matrix(vcov(m))))), sigma = sigma(m), sd = array1(sigma(m) * best$par), modes = array1(u[1:10]), animals = array1(id[1:10]))
}
for (REML in c(FALSE, TRUE)) {
  how <- if (REML) "reml" else "ml"
  keep(paste0("animal_", how), animal(y ~ year + (1 | animal), REML))
  keep(paste0("animal_permanent_", how), animal(y ~ year + (1 | animal) + (1 | self), REML))
}
if (wanted == ".") write_result(found, "extras", "structures.json")
