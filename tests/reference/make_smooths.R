# Remake the frozen fits with smooth curves: extras/smooths.json.
#
#   Rscript tests/reference/make_smooths.R
#
# mgcv makes the basis and splits it into line and bends (smooth2random), lme4 fits it by its modules, as gamm4 does.
# `invariant` of a REML fit is the criterion less log |X'X|, which does not depend on how the line is written.
# Curve and standard errors of mcycle are those of mgcv::gam by REML.
here <- dirname(sub("--file=", "", grep("--file=", commandArgs(), value = TRUE)))
source(file.path(here, "tools.R"))
suppressPackageStartupMessages({library(mgcv); library(lme4)})

# Put the bends of each smooth in the place of the indicators of a factor with as many levels.
parts <- function(formula, data, smooths, knots = NULL) {
  constructed <- unlist(lapply(smooths, smoothCon, data, knots = knots, absorb.cons = TRUE), recursive = FALSE)
  for (i in seq_along(constructed)) {
    both <- smooth2random(constructed[[i]], "", type = 2)
    bends <- both$rand[[1]]
    data[[paste0("fake", i)]] <- factor(rep_len(seq_len(ncol(bends)), nrow(data)))
    if (ncol(both$Xf)) {
      data[[paste0("line", i)]] <- both$Xf
      formula <- update(formula, as.formula(paste0(". ~ . + line", i)))
    }
    formula <- update(formula, as.formula(paste0(". ~ . + (1 | fake", i, ")")))
    attr(data, "bends") <- c(attr(data, "bends"), list(bends))
  }
  list(formula = formula, data = data, bends = attr(data, "bends"))
}
swapped <- function(read, bends) {
  for (i in seq_along(bends)) {
    name <- paste0("fake", i)
    k <- which(names(read$reTrms$cnms) == name)
    rows <- (read$reTrms$Gp[k] + 1):read$reTrms$Gp[k + 1]
    read$reTrms$Zt[rows, ] <- as(t(unname(as.matrix(bends[[i]]))), "CsparseMatrix")
    read$reTrms$Ztlist[[k]] <- read$reTrms$Zt[rows, ]
  }
  read
}
nothing <- list(check.nobs.vs.nlev = "ignore", check.nobs.vs.nRE = "ignore", check.nobs.vs.rankZ = "ignore")
linear <- function(formula, data, smooths) {
  p <- parts(formula, data, smooths)
  read <- swapped(lFormula(p$formula, p$data, REML = TRUE, control = do.call(lmerControl, nothing)), p$bends)
  f <- do.call(mkLmerDevfun, read)
  start <- environment(f)$pp$theta
  best <- minimise(f, start, read$reTrms$lower)
  list(invariant = best$value - as.numeric(determinant(crossprod(read$X))$modulus))
}
general <- function(formula, data, smooths, family, knots = NULL) {
  p <- parts(formula, data, smooths, knots)
  read <- swapped(glFormula(p$formula, p$data, family = family, control = do.call(glmerControl, nothing)), p$bends)
  f <- do.call(mkGlmerDevfun, c(read, list(control = glmerControl(tolPwrss = 1e-12))))
  best <- optimizeGlmer(f, optimizer = "bobyqa", control = list(rhoend = 1e-8, maxfun = 1e5))
  f <- updateGlmerDevfun(f, read$reTrms)
  best <- optimizeGlmer(f, optimizer = "bobyqa", stage = 2, control = list(rhoend = 1e-9, maxfun = 1e5))
  list(criterion = best$fval)
}
motor <- read_data("mcycle"); sleep <- read_data("sleepstudy"); sleep$Subject <- factor(sleep$Subject)
frogs <- read_data("frogs"); birds <- read_data("birds"); birds$lm <- log(birds$minutes)
birds$season <- (birds$month - 1) %% 12 + 1
curves <- read_data("curves"); curves$arm <- factor(curves$arm); curves$g <- factor(curves$g)
# nlme: a line and iid bends for each group; the bends are the eigenvectors of the penalty, not cleared of the line.
random_curves <- function() {
  con <- smoothCon(s(x, k = 6, bs = "cr"), curves)[[1]]
  e <- eigen(con$S[[1]] * con$S.scale, symmetric = TRUE)
  curves$bends <- con$X %*% e$vectors[, 1:4] %*% diag(1 / sqrt(e$values[1:4]))
  control <- nlme::lmeControl(maxIter = 500, msMaxIter = 500, opt = "nlminb", tolerance = 1e-9, msTol = 1e-11)
  own <- list(g = nlme::pdBlocked(list(nlme::pdSymm(~ x), nlme::pdIdent(~ bends - 1))))
  deviance <- sapply(c("REML", "ML"), function(method)
    -2 * as.numeric(logLik(nlme::lme(y ~ arm * x, random = own, data = curves, method = method, control = control))))
  as.list(deviance)
}
m <- gam(accel ~ s(times, k = 20, bs = "cr"), data = motor, method = "REML", control = gam.control(newton = list(conv.tol = 1e-12)))
at <- c(2.4, 5, 14.6, 25.5, 40, 57.6, 70)
p <- predict(m, data.frame(times = at), se.fit = TRUE)
found <- list(
  mcycle = list(edf = unname(summary(m)$s.table[1, "edf"]), at = at, fit = unname(c(p$fit)), se = unname(c(p$se.fit))),
  motor = linear(accel ~ 1, motor, list(s(times, k = 20, bs = "cr"))),
  sleepstudy = linear(Reaction ~ 1 + (Days | Subject), sleep, list(s(Days, k = 8, bs = "cr"))),
  curves = linear(y ~ arm + (x | g), curves, list(s(x, by = arm, k = 8, bs = "cr"))),
  numbers = linear(accel ~ z, transform(motor, z = sqrt(times)), list(s(times, by = z, k = 8, bs = "cr"))),
  random_curves = random_curves(),
  frogs = general(presence ~ 1 + (1 | region), frogs, list(s(depth, k = 8, bs = "cr")), binomial),
  birds = general(count ~ 1 + offset(lm) + (1 | site), birds, list(s(season, k = 8, bs = "cc"), s(temperature, k = 6, bs = "cr")), poisson, list(season = c(0.5, 12.5)))
)
write_result(found, "extras", "smooths.json")
