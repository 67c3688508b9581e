# Cumulative logits without random effects by MASS::polr, for the limit of no variance between groups.
# Rscript tests/reference/make_ordinal.R      writes extras/ordinal.json, seconds
suppressMessages({library(MASS); library(jsonlite)})
here <- dirname(sub("--file=", "", grep("--file=", commandArgs(FALSE), value = TRUE)))
wine <- read.csv(file.path(here, "data", "wine.csv"), stringsAsFactors = TRUE)
wine$rating <- factor(wine$rating, ordered = TRUE)
fit <- polr(rating ~ temp + contact, wine, Hess = TRUE, control = list(reltol = 1e-14, maxit = 1000))
se <- sqrt(diag(vcov(fit)))
new <- expand.grid(temp = c("cold", "warm"), contact = c("no", "yes"))
write_json(list(coef = as.list(coef(fit)), zeta = as.list(fit$zeta), se = as.list(se), logLik = c(logLik(fit)),
                probabilities = unname(predict(fit, new, type = "probs"))),
           file.path(here, "extras", "ordinal.json"), digits = 10, auto_unbox = TRUE, pretty = TRUE)
