# Remake extras/clusters.json: cluster-robust covariances and tests of linear models by clubSandwich.
#
#   Rscript tests/reference/make_clusters.R
#
# clubSandwich takes no prior weights in lmer: the weighted fits are nlme's, whose variance is proportional to a covariate.
# Rows are sorted by cluster, as clubSandwich 0.5.8 puts nlme's blocks in the order of the clusters.
here <- dirname(sub("--file=", "", grep("--file=", commandArgs(), value = TRUE)))
source(file.path(here, "tools.R"))
suppressPackageStartupMessages({library(nlme); library(clubSandwich)})
exact <- lmerControl(optimizer = "bobyqa", optCtrl = list(rhoend = 1e-9, maxfun = 1e6), calc.derivs = FALSE)
g <- glsControl(tolerance = 1e-10, msTol = 1e-12, msMaxIter = 1000, maxIter = 1000)
l <- lmeControl(tolerance = 1e-9, msTol = 1e-11, msMaxIter = 1000, maxIter = 500, niterEM = 50, msMaxEval = 5000)

one <- function(fit, cluster, kind) {
  V <- vcovCR(fit, cluster = cluster, type = kind)
  t <- coef_test(fit, V, test = "Satterthwaite")
  joint <- Wald_test(fit, constrain_zero(seq_len(nrow(V))[-1]), V, test = "HTZ")
  list(cov = unname(as.matrix(V)[, ]), df = array1(t$df_Satt), p = array1(t$p_Satt),
       joint = list(F = joint$Fstat, df = c(joint$df_num, joint$df_denom), p = joint$p_val))
}
both <- function(fit, cluster) {
  b <- if (inherits(fit, "gls")) coef(fit) else fixef(fit)
  list(names = array1(names(b)), estimate = array1(b), CR0 = one(fit, cluster, "CR0"), CR2 = one(fit, cluster, "CR2"))
}
sorted <- function(d, by) d[order(as.integer(factor(d[[by]]))), ]
sleep <- read_data("sleepstudy"); cut <- sleep[-c(2, 5, 13, 47, 48, 49, 120:126), ]       # Subjects of unequal lengths
ortho <- sorted(read_data("Orthodont"), "Subject"); ortho$n <- as.integer(factor(ortho$age))
trial <- sorted(read_data("trial"), "id"); trial$n <- as.integer(trial$visit)
oats <- read_data("Oats"); pixel <- read_data("Pixel"); pixel$side <- interaction(pixel$Dog, pixel$Side, drop = TRUE)
traps <- read_data("traps"); traps$region <- as.integer(factor(traps$site)) %% 10
traps$place <- factor(paste(traps$region, seq_len(nrow(traps)) %% 4)); traps$log <- log(traps$beetles + 1)
own <- function(f) varIdent(form = f)
f <- chg ~ base + arm * visit; fo <- distance ~ Sex * age
write_result(list(
  intercept = both(lmer(Reaction ~ Days + (1 | Subject), cut, control = exact), cut$Subject),
  slope = both(lmer(Reaction ~ Days + (Days | Subject), cut, control = exact), cut$Subject),
  slope_ml = both(lmer(distance ~ Sex * age + (age | Subject), ortho, REML = FALSE, control = exact), ortho$Subject),
  nested = both(lmer(yield ~ Variety + nitro + (1 | Block / Variety), oats, control = exact), oats$Block),
  nested_slope = both(lmer(pixel ~ day + I(day^2) + (day | Dog) + (1 | side), pixel, control = exact), pixel$Dog),
  crossed_within = both(lmer(log ~ shade + (1 | site) + (1 | place), traps, control = exact), traps$region),
  trial_us = both(gls(f, trial, corSymm(form = ~ n | id), own(~ 1 | visit), control = g), trial$id),
  trial_ar1 = both(gls(f, trial, corAR1(form = ~ n | id), control = g), trial$id),
  trial_ar1_ml = both(gls(f, trial, corAR1(form = ~ n | id), method = "ML", control = g), trial$id),
  ortho_weights = both(lme(fo, ortho, ~ 1 | Subject, weights = varFixed(~ age), control = l), ortho$Subject),
  ortho_ar1_weights = both(gls(fo, ortho, corAR1(form = ~ n | Subject), weights = varFixed(~ age), control = g), ortho$Subject),
  ortho_sex_slopes = both(lme(fo, ortho, ~ age | Subject, weights = own(~ 1 | Sex), control = l), ortho$Subject),
  ortho_ar1_sex = both(lme(fo, ortho, ~ 1 | Subject, correlation = corAR1(form = ~ n | Subject), weights = own(~ 1 | Sex), control = l),
                       ortho$Subject)), "extras", "clusters.json")
