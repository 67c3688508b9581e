# Fit one problem with lme4 or glmmTMB and report its own fit times:  Rscript peers.R job.json
suppressPackageStartupMessages(library(jsonlite))
job <- fromJSON(commandArgs(TRUE)[1])
suppressPackageStartupMessages(library(job$engine, character.only = TRUE))

data <- read.csv(job$csv, stringsAsFactors = TRUE)
for (g in job$factors) data[[g]] <- factor(data[[g]])
formula <- as.formula(job$formula)
w <- if (is.null(job$trials)) NULL else data[[job$trials]]
family <- switch(job$family, gaussian = gaussian(), binomial = binomial(), poisson = poisson())

fit_once <- function() suppressMessages(suppressWarnings({
  fit <- if (job$engine == "glmmTMB") do.call(glmmTMB, list(formula, quote(data), family = family, weights = w, REML = job$reml))
         else if (job$family == "gaussian") lmer(formula, data, REML = job$reml)
         else do.call(glmer, list(formula, quote(data), family = family, weights = w))
  list(loglik = as.numeric(logLik(fit)), se = summary(fit)$coefficients)
}))
seconds <- numeric(0)
for (i in seq_len(job$runs)) {
  gc(FALSE); seconds[i] <- system.time(fit <- fit_once())[["elapsed"]]
  if (seconds[i] > 20) break                          # a long run is measured once
}
cat(toJSON(list(seconds = seconds, loglik = fit$loglik, version = as.character(packageVersion(job$engine))), digits = 12), "\n")
