# Posteriors by rstanarm, frozen in posterior/rstanarm.json: means, SDs, 2.5 and 97.5 % points, Monte Carlo errors.
#
#   Rscript tests/reference/make_posterior.R            # an hour; needs rstanarm 2.21.3, posterior, jsonlite
#
# The tables beside the result are simulated: lmm5 (5 groups of 4, no variance estimated), bern5, bern8, bern40 (5 groups of 10,
# 8 of 20, 40 of 5), pois6 (6 of 6), sep (8 groups of 6, no success where x is 0), crossed (8 x 12). sleepstudy and cbpp are those of
# lme4. decov(1, 1, 1, 1) is exponential(1) for one SD, times sigma in a linear model.
suppressMessages({library(rstanarm); library(posterior); library(jsonlite)})
here <- "tests/reference/posterior/"
table_of <- function(name) read.csv(paste0(here, name, ".csv"))
N25 <- normal(0, 2.5)
common <- list(chains = 4, iter = 11000, warmup = 1000, seed = 1, refresh = 0, cores = 1, adapt_delta = 0.99,
               prior_covariance = decov(1, 1, 1, 1))

linear <- function(formula, data, prior, prior_intercept, y)
  do.call(stan_lmer, c(list(formula = formula, data = data, prior = prior, prior_intercept = prior_intercept,
                            prior_aux = exponential(1 / sd(y))), common))
generalised <- function(formula, data, family, prior = N25)
  do.call(stan_glmer, c(list(formula = formula, data = data, family = family, prior = prior, prior_intercept = prior), common))

s <- lme4::sleepstudy
b <- lme4::cbpp
lmm5 <- table_of("lmm5")
one <- y ~ x + (1 | g)
fits <- list(
  lmm5 = function() linear(one, lmm5, N25, N25, lmm5$y),
  sleepstudy = function() linear(Reaction ~ Days + (Days | Subject), s, normal(0, 2.5 * sd(s$Reaction) / sd(s$Days)),
                                 normal(mean(s$Reaction), 2.5 * sd(s$Reaction)), s$Reaction),
  cbpp = function() generalised(cbind(incidence, size - incidence) ~ period + (1 | herd), b, binomial),
  bern5 = function() generalised(one, table_of("bern5"), binomial),
  bern8 = function() generalised(one, table_of("bern8"), binomial),
  bern40 = function() generalised(one, table_of("bern40"), binomial),
  pois6 = function() generalised(one, table_of("pois6"), poisson),
  sep = function() generalised(one, table_of("sep"), binomial),
  sep_t7 = function() generalised(one, table_of("sep"), binomial, student_t(7, 0, 2.5)),
  bern40_slope = function() generalised(y ~ x + (x | g), table_of("bern40"), binomial),
  crossed = function() generalised(y ~ x + (1 | a) + (1 | b), table_of("crossed"), binomial))

summarised <- function(fit) {
  m <- as_draws_df(as.array(fit))
  m <- m[, setdiff(names(m), c("mean_PPD", "log-posterior"))]
  for (v in grep("^Sigma\\[", names(m), value = TRUE)) {
    pair <- strsplit(sub("^Sigma\\[[^:]*:(.*)\\]$", "\\1", v), ",")[[1]]
    if (pair[1] == pair[2]) m[[paste0("sd.", pair[1])]] <- sqrt(m[[v]])
  }
  cross <- setdiff(grep("^Sigma\\[", names(m), value = TRUE), grep("^Sigma\\[[^:]*:(.*),\\1\\]$", names(m), value = TRUE, perl = TRUE))
  if (length(cross)) m[["corr"]] <- m[[cross]] / sqrt(Reduce(`*`, lapply(grep("^sd\\.", names(m), value = TRUE), function(v) m[[v]]^2)))
  t <- as.data.frame(summarise_draws(m, mean, sd, ~ quantile2(.x, probs = c(.025, .975)), mcse_mean))
  setNames(lapply(seq_len(nrow(t)), function(i) as.list(t[i, -1])), t$variable)
}
found <- lapply(fits, function(run) list(draws = 40000, table = summarised(suppressWarnings(run()))))
writeLines(toJSON(found, auto_unbox = TRUE, digits = 5, pretty = TRUE), paste0(here, "rstanarm.json"))
