# Remake extras/robust.json: cluster-robust (CR0) covariances of generalised models, from the scores of glmmTMB.
#
#   Rscript tests/reference/make_robust.R
#
# The score of a cluster is the gradient of glmmTMB's own log-likelihood with weight one in its rows and zero in all others, which
# then add nothing; the bread is the Hessian of the gradient with all rows.
here <- dirname(sub("--file=", "", grep("--file=", commandArgs(), value = TRUE)))
source(file.path(here, "tools.R"))

robust <- function(cluster, ...) {
  built <- glmmTMB(..., doFit = FALSE)
  gradient <- function(w) {
    own <- built; own$data.tmb$weights <- as.numeric(w)
    obj <- with(own, TMB::MakeADFun(data.tmb, parameters, map = mapArg, random = randomArg, silent = TRUE, DLL = "glmmTMB"))
    obj$gr
  }
  whole <- gradient(rep(1, length(cluster)))
  par <- glmmTMB(..., se = FALSE)$fit$par
  for (i in 1:5) par <- par - solve(numDeriv::jacobian(whole, par), drop(whole(par)))
  stopifnot(max(abs(whole(par))) < 1e-7)
  bread <- solve(numDeriv::jacobian(whole, par))
  scores <- t(sapply(unique(cluster), function(j) drop(gradient(cluster == j)(par))))
  stopifnot(max(abs(colSums(scores))) < 1e-5)
  cov <- bread %*% crossprod(scores) %*% bread
  k <- names(par) == "beta"
  list(estimate = unname(par[k]), cov = unname(cov[k, k]), model_se = unname(sqrt(diag(bread)[k])))
}

cbpp <- read_data("cbpp"); traps <- read_data("traps"); traps$region <- as.integer(factor(traps$site)) %% 10
traps$place <- paste(traps$region, seq_len(nrow(traps)) %% 4)
write_result(list(
  binomial = robust(cbpp$herd, cbind(incidence, size - incidence) ~ period + (1|herd), cbpp, family = binomial),
  zeros = robust(traps$site, beetles ~ shade + (1|site), traps, family = nbinom2, ziformula = ~ shade),
  crossed_within = robust(traps$region, beetles ~ shade + (1|site) + (1|place), traps, family = poisson)), "extras", "robust.json")
