# Write the data sets that only the tests use, and the level order of every factor.
#
#   Rscript tests/reference/make_data.R
#
# Sources: R's lme4, nlme, MASS and mlmRev (all GPL >= 2), and simulations with the seeds below.
# A table of 100 KB or more is gzipped. data/levels.json holds the levels of each factor, the first
# one the reference; the word "numeric" stands for whole numbers in increasing order.

suppressPackageStartupMessages({library(lme4); library(nlme); library(MASS); library(mlmRev); library(jsonlite)})
here <- dirname(sub("--file=", "", grep("--file=", commandArgs(), value = TRUE)))
out <- file.path(here, "data")
levels_of <- fromJSON(file.path(out, "levels.json"), simplifyVector = FALSE)   # sets that other scripts wrote keep theirs

keep <- function(name, d) {
  d <- as.data.frame(d)
  factors <- names(d)[vapply(d, is.factor, NA)]
  levels_of[[name]] <<- lapply(setNames(factors, factors), function(f) {
    l <- levels(droplevels(d[[f]]))
    if (length(l) > 12 && all(grepl("^[0-9]+$", l)) && !is.unsorted(as.numeric(l))) "numeric" else I(l)
  })
  for (f in factors) d[[f]] <- as.character(d[[f]])
  text <- capture.output(write.csv(d, row.names = FALSE, quote = FALSE))
  file <- file.path(out, paste0(name, ".csv"))
  unlink(paste0(file, c("", ".gz")))
  if (sum(nchar(text)) < 1e5) writeLines(text, file) else {
    con <- gzfile(paste0(file, ".gz"), compression = 9); writeLines(text, con); close(con)
  }
}

# The sets of the course: the CSV files are in the project's data/, their level order is here.
epil <- within(MASS::epil, { lbase <- log(base / 4) - mean(log(base / 4)); lage <- log(age) - mean(log(age)) })
shipped <- list(sleepstudy = sleepstudy, Dyestuff = Dyestuff, Dyestuff2 = Dyestuff2, Penicillin = Penicillin,
                Pastes = Pastes, cbpp = cbpp, Oats = nlme::Oats, Orthodont = nlme::Orthodont, epil = epil,
                Contraception = mlmRev::Contraception, grouseticks = grouseticks)
for (name in names(shipped)) {
  d <- as.data.frame(shipped[[name]])
  factors <- names(d)[vapply(d, is.factor, NA)]
  levels_of[[name]] <- lapply(setNames(factors, factors), function(f) {
    l <- levels(d[[f]])
    if (length(l) > 12 && all(grepl("^[0-9]+$", l)) && !is.unsorted(as.numeric(l))) "numeric" else I(l)
  })
}
levels_of$toenail <- list(patientID = "numeric", outcome = I(c("none or mild", "moderate or severe")),
                          treatment = I(c("itraconazole", "terbinafine")))

# From packages.
keep("InstEval", InstEval)
keep("VerbAgg", VerbAgg[c("r2", "Anger", "Gender", "btype", "situ", "id", "item")])
keep("Machines", nlme::Machines)
keep("Pixel", nlme::Pixel)
keep("Rail", nlme::Rail)
keep("ergoStool", nlme::ergoStool)
keep("Assay", nlme::Assay)
keep("Ovary", within(as.data.frame(nlme::Ovary), { c1 <- cos(2 * pi * Time); s1 <- sin(2 * pi * Time) }))
keep("bacteria", within(MASS::bacteria, late <- as.integer(week > 2)))
keep("Exam", mlmRev::Exam[c("school", "normexam", "standLRT", "sex", "schgend")])
keep("Hsb82", mlmRev::Hsb82[c("school", "mAch", "cses", "meanses", "sector")])
keep("ScotsSec", mlmRev::ScotsSec)
keep("Mmmec", within(mlmRev::Mmmec, nation <- factor(gsub("[^A-Za-z.]", "", nation), unique(gsub("[^A-Za-z.]", "", levels(nation))))))
keep("egsingle", mlmRev::egsingle[c("schoolid", "childid", "year", "math", "female")])
keep("Oxboys", as.data.frame(mlmRev::Oxboys)[c("Subject", "age", "height")])
keep("guImmun", mlmRev::guImmun[setdiff(names(guImmun), "kid")])

# Simulated. Group effects are drawn as rows of N(0, Sigma).
draw <- function(J, sd, rho = 0) {
  L <- diag(sd, length(sd))
  if (length(sd) == 2) L <- L %*% t(chol(matrix(c(1, rho, rho, 1), 2)))
  matrix(rnorm(J * length(sd)), J) %*% t(L)
}
group <- function(n, J) sample.int(J, n, replace = TRUE, prob = rgamma(J, 4))

RNGversion("4.2.0")
set.seed(20250101)                                    # two crossed factors, a slope on both
n <- 3000; a <- group(n, 60); b <- group(n, 40); x <- round(rnorm(n), 4)
ua <- draw(60, c(1, .5), -.4); ub <- draw(40, c(.7, .3), .6)
y <- 2 + .8 * x + rowSums(ua[a, ] * cbind(1, x)) + rowSums(ub[b, ] * cbind(1, x)) + rnorm(n)
keep("sim_crossed", data.frame(y = round(y, 5), x, a = factor(a), b = factor(b)))

set.seed(20250102)                                    # a / b / c nested, slopes
d <- expand.grid(c = 1:5, b = 1:6, a = 1:20); d <- d[rep(seq_len(nrow(d)), 1 + rpois(nrow(d), 3)), ]
n <- nrow(d); x <- round(runif(n, -1, 3), 4); z <- rep(1:3, length.out = n)
ab <- (d$a - 1) * 6 + d$b; abc <- (ab - 1) * 5 + d$c
y <- 10 + x + rowSums(draw(20, c(2, .8), .3)[d$a, ] * cbind(1, x)) + rowSums(draw(120, c(1, .6), -.5)[ab, ] * cbind(1, x)) +
  draw(600, .7)[abc, ] + rnorm(n)
keep("sim_nested", data.frame(y = round(y, 5), x, z = factor(letters[z]), a = factor(d$a), b = factor(d$b), c = factor(d$c)))

set.seed(20250103)                                    # counts, two crossed factors, exposure
n <- 2000; a <- group(n, 50); b <- group(n, 30); x <- round(rnorm(n), 4); e <- round(rgamma(n, 5, 5) + .1, 3)
eta <- .6 + .4 * x + draw(50, .6)[a, ] + draw(30, .4)[b, ]
keep("sim_counts", data.frame(y_olre = rpois(n, exp(eta + rnorm(n, 0, .5))), y_nb = rnbinom(n, size = 1.8, mu = e * exp(eta)),
                              x, e, a = factor(a), b = factor(b), obs = factor(seq_len(n))))

set.seed(20250104)                                    # 0/1, crossed, a slope on both
n <- 4000; a <- group(n, 100); b <- group(n, 40); x <- round(rnorm(n), 4)
eta <- -.3 + .7 * x + rowSums(draw(100, c(1, .6), .4)[a, ] * cbind(1, x)) + rowSums(draw(40, c(.6, .4), -.3)[b, ] * cbind(1, x))
keep("sim_binary", data.frame(y = rbinom(n, 1, plogis(eta)), x, a = factor(a), b = factor(b)))

set.seed(20250105)                                    # proportions, a / b nested, trials and offset
d <- expand.grid(b = 1:4, a = 1:40); d <- d[rep(seq_len(nrow(d)), 1 + rpois(nrow(d), 2)), ]
n <- nrow(d); x <- round(rnorm(n), 4); m <- 1 + rpois(n, 7); off <- round(runif(n, -.5, .5), 3)
eta <- -.8 + .5 * x + off + draw(40, .8)[d$a, ] + draw(160, .5)[(d$a - 1) * 4 + d$b, ]
y <- rbinom(n, m, plogis(eta))
keep("sim_trials", data.frame(y, m, p = y / m, x, off, a = factor(d$a), b = factor(d$b)))

set.seed(20250106)                                    # positive responses and counts away from zero, one factor, a slope
n <- 900; g <- group(n, 50); x <- round(runif(n, 0, 2), 4); w <- round(rexp(n), 4)
u <- draw(50, c(.5, .25), -.3); shape <- 4
mu_log <- exp(1 + .5 * x + u[g, 1] + u[g, 2] * x)
mu_inv <- 1 / (.8 + .3 * x + pmax(-.45, .2 * u[g, 1]))
mu_id <- 6 + 2 * w + pmax(-4, 2.5 * u[g, 1])
keep("sim_positive", data.frame(y_log = signif(rgamma(n, shape, shape / mu_log), 7), y_inv = signif(rgamma(n, shape, shape / mu_inv), 7),
                                k_id = rpois(n, mu_id), k_sqrt = rpois(n, (2 + .4 * x + u[g, 1] + u[g, 2] * x)^2), x, w, g = factor(g)))

keep("sim_shares", transform(read.csv(file.path(out, "sim_shares.csv")), g = factor(g)))   # drawn elsewhere: one factor, beta

set.seed(20250107)                                    # shares between 0 and 1, one factor, a slope
n <- 600; g <- group(n, 30); x <- round(rnorm(n), 4); u <- draw(30, c(.8, .4), .5)
mu <- plogis(-.3 + .5 * x + u[g, 1] + u[g, 2] * x); phi <- 8
keep("sim_shares_slope", data.frame(y = signif(rbeta(n, mu * phi, (1 - mu) * phi), 7), x, g = factor(g)))

set.seed(20250108)                                    # five categories in order, crossed raters and texts, a slope
n <- 700; g <- group(n, 50); h <- group(n, 20); x <- round(rnorm(n), 4); z <- round(rnorm(50), 4)[g]; u <- draw(50, c(1, .6), .3)
latent <- .8 * x - .5 * z + u[g, 1] + u[g, 2] * x + draw(20, .7)[h, ] + rlogis(n)
keep("sim_ratings", data.frame(y = factor(findInterval(latent, c(-2.2, -.7, .4, 2.6)) + 1), x, z, g = factor(g), h = factor(h)))

# Drawn elsewhere: counts with structural zeros, from truncated distributions and in trials; traps of beetles, some flooded.
keep("sim_zeros", transform(read.csv(file.path(out, "sim_zeros.csv")), g = factor(g)))
keep("traps", transform(read.csv(file.path(out, "traps.csv")), site = factor(site)))
writeLines(toJSON(levels_of, auto_unbox = TRUE), file.path(out, "levels.json"))
